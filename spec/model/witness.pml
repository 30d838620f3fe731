/*
 * The witness: two requests for one log at once, its store (journal, snapshot, guard), and the restart. spec/model/README.md says what is left
 * out, and which line of the code each mutant stands for.
 *
 * Whoever asks holds the log's key and lies as he can: every request may carry any head, with a proof if there is one. The updates of the store are
 * heads of at most two entries in a row, four bits each, which is also what its hash chain says: index and chain in one number. disk.pml has the page
 * cache and what a head is.
 */
#include "disk.pml"

#ifndef UPDATES
#define UPDATES 3      /* the journal's frames */
#endif
#define TORN 15        /* a frame that is neither zeros nor a whole one; no head of two entries */

#define INDEX(chain)   ((chain) == 0 -> 0 : ((chain) < 16 -> 1 : ((chain) < 256 -> 2 : 3)))
#define UPDATE(chain, i) (((chain) >> (4 * (i))) & 15)
#define NEWEST(chain)  ((chain) == 0 -> 0 : UPDATE(chain, INDEX(chain) - 1))
#define PASSED(chain, g) (((chain) & ((1 << (4 * INDEX(g))) - 1)) == (g))

/* The files. */
byte jc[UPDATES], jd[UPDATES]; bit jx[UPDATES];    /* the journal's frames: 0 is zeros */
byte lc, ld; bit lx;                               /* its oldest file */
short sc, sd; bit sx;                              /* the snapshot: the chain at its moment, and with it the newest note; replaced by name */
short gc, gd; bit gx;                              /* the guard, on another disk */

/* The process; gone after a kill. */
#define DOWN  0
#define JOPEN 1        /* the steps of a start */
#define JSYNC 2
#define GNAME 3
#define GSYNC 4
#define RUN   5

byte at;
short chain;           /* the store's memory */
byte latest;           /* the log's newest cosigned head */
byte gate;             /* the log's lock: 1 + the request that has it */
byte writer;           /* 0 idle, or the step of the store's one writer that comes next */
byte writing;          /* 1 + the request whose update it is */
byte request[2];       /* 0, or the step of a request that comes next */
byte asks[2];          /* its head */

/* What the world outside knows. */
byte answered;         /* the largest head whose cosignature left the process */

bit two_views_cosigned, older_after_newer, answered_above_disk, cosigned_head_forgotten, refused_after_crash;

#ifdef NO_GUARD
#define GUARD 0
#else
#define GUARD 1
#endif

/* What the request has to pass under the lock: it begins with the newest head, which is what old size and proof together say. */
#ifdef NO_PROOF
#define REFUSED(head, newest) (SIZE(head) < SIZE(newest))
#else
#define REFUSED(head, newest) (!BEGINS(head, newest))
#endif
#ifdef RACE
#define MAY_ENTER 1
#else
#define MAY_ENTER (gate == 0)
#endif

/* The order of a start, and what follows a failed sync. */
#ifdef OPEN_GUARD_FIRST
#define AFTER_GUARD JOPEN
#define AFTER_JOURNAL RUN
#else
#define AFTER_JOURNAL GNAME
#define AFTER_GUARD RUN
#endif
#ifdef RETRY_SYNC
#define STOP_OR_RETRY skip
#else
#define STOP_OR_RETRY stop()
#endif
#ifdef TRIM_FIRST
#define AFTER_ANSWER 8
#else
#define AFTER_ANSWER 6
#endif

/* ---- the disk ---- */

inline settle_frames() { for (k : 0 .. UPDATES - 1) { settle(jd[k], jc[k], jx[k], TORN) } k = 0 }
inline sync_frames() { for (k : 0 .. UPDATES - 1) { if :: jx[k] -> jd[k] = jc[k]; jx[k] = 0 :: else fi } k = 0 }

inline power_loss()
{
    settle_frames(); settle_name(sd, sc, sx); settle_name(gd, gc, gx); settle_name(ld, lc, lx);
    for (k : 0 .. UPDATES - 1) { jc[k] = jd[k] }
    sc = sd; gc = gd; lc = ld; k = 0
}

inline stop()
{
    at = DOWN; chain = 0; latest = 0; gate = 0; writer = 0; writing = 0;
    request[0] = 0; request[1] = 0; asks[0] = 0; asks[1] = 0
}

/* ---- the start: WitnessStore.Open ---- */

inline refuse() { MUST_NOT(refused_after_crash, !operator_did); stop() }

/* The whole frames behind the snapshot, onto its chain. */
inline read_store()
{
    n = lc;
    do :: n < UPDATES -> if :: jc[n] != 0 && jc[n] != TORN -> n++ :: else -> break fi :: else -> break od;
    t = (lc > 0 && n == lc) || lc > INDEX(sc) || n < INDEX(sc);
    for (k : n + 1 .. UPDATES - 1) { t = t || (k < UPDATES && jc[k] != 0) }
    chain = sc;
    for (k : INDEX(sc) .. UPDATES - 1) {
        if
        :: k < n -> t = t || SIZE(jc[k]) < SIZE(NEWEST(chain)); chain = chain | (jc[k] << (4 * k))
        :: else
        fi
    }
#ifndef NO_GUARD_CHECK
    t = t || (GUARD && (INDEX(gc) > INDEX(chain) || INDEX(gc) < INDEX(sc) || !PASSED(chain, gc)));
#endif
    k = 0
}

inline publish_answer(who)
{
    MUST_NOT(two_views_cosigned, !AGREE(answered, asks[who]));
    /* Its frame, or a snapshot that covers it, is what a power loss would leave. */
    t = (NEWEST(sd) == asks[who]);
    for (k : 0 .. UPDATES - 1) { t = t || jd[k] == asks[who] }
    MUST_NOT(answered_above_disk, DIRECTLY && !t);
    t = 0; k = 0;
    if :: SIZE(asks[who]) > SIZE(answered) -> answered = asks[who] :: else fi
}

/* What becomes of the request: its lock, and its place for the next one. */
inline finish(who)
{
    request[who] = 0; asks[who] = 0;
    if :: gate == who + 1 -> gate = 0 :: else fi
}

inline begin()
{
    latest = NEWEST(chain);
    MUST_NOT(cosigned_head_forgotten, !operator_did && !BEGINS(latest, answered))
}

proctype witness()
{
end:
    do
    /* The start: all is read and judged, the last frame written anew and synced, and only then the guard follows. */
    :: atomic { at == DOWN -> read_store();
        if
        :: t -> t = 0; n = 0; refuse()
        :: else ->
            n = 0;
#ifdef OPEN_GUARD_FIRST
            at = GNAME
#else
            at = JOPEN
#endif
        fi }
    :: atomic { at == JOPEN ->
        n = INDEX(chain);
        if :: n < UPDATES && jc[n] == TORN -> jc[n] = 0; jd[n] = 0; jx[n] = 0 :: else fi;
#ifndef RECOVERY_TRUSTS_CACHE
        if :: n > 0 && n - 1 >= lc -> jx[n - 1] = 1 :: else fi;
#endif
        n = 0; at = JSYNC }
    :: atomic { at == JSYNC ->
        if
#ifndef RECOVERY_TRUSTS_CACHE
        :: sync_frames(); at = AFTER_JOURNAL
        :: FAILS -> faults++; settle_frames(); stop()
#else
        :: at = AFTER_JOURNAL
#endif
        fi;
        if :: at == RUN -> begin() :: else fi }
    :: atomic { at == GNAME -> if :: GUARD -> replace(gd, gc, gx, chain) :: else fi; at = GSYNC }
    :: atomic { at == GSYNC -> if :: gx -> gd = gc; gx = 0 :: else fi; at = AFTER_GUARD;
        if :: at == RUN -> begin() :: else fi }

    /* The store's writer: 1 frame, 2 sync, 3 and 4 guard, 5 the callers answer; now and then 6 snapshot, 7 its sync, 8 trim. */
    :: atomic { at == RUN && writer == 1 -> n = INDEX(chain);
        if
        :: n < UPDATES -> jc[n] = asks[writing - 1]; jx[n] = 1; writer = 2
        :: else -> finish(writing - 1); writing = 0; writer = 0        /* the history ends here */
        fi;
        n = 0 }
    :: atomic { at == RUN && writer == 2 ->
        if
#ifndef NO_FSYNC_JOURNAL
        :: sync_frames(); writer = 3
        :: FAILS -> faults++; settle_frames(); STOP_OR_RETRY
#else
        :: writer = 3
#endif
        fi;
        if :: writer == 3 -> chain = chain | (asks[writing - 1] << (4 * INDEX(chain))) :: else fi }
    :: atomic { at == RUN && writer == 3 ->
#ifndef GUARD_AFTER_ANSWER
        if :: GUARD -> replace(gd, gc, gx, chain) :: else fi;
#endif
        writer = 4 }
    :: atomic { at == RUN && writer == 4 -> if :: gx -> gd = gc; gx = 0 :: else fi; writer = 5 }
    :: atomic { at == RUN && writer == 5 ->
        request[writing - 1] = 3; writing = 0;
        if :: writer = 0 :: writer = AFTER_ANSWER fi }
#ifdef TRIM_FIRST
    :: atomic { at == RUN && writer == 8 -> if :: lc + 1 < INDEX(chain) -> replace(ld, lc, lx, INDEX(chain) - 1) :: else fi; writer = 6 }
    :: atomic { at == RUN && writer == 6 -> replace(sd, sc, sx, chain); writer = 7 }
    :: atomic { at == RUN && writer == 7 -> sd = sc; sx = 0; writer = 0 }
#else
    :: atomic { at == RUN && writer == 6 -> replace(sd, sc, sx, chain); writer = 7 }
    :: atomic { at == RUN && writer == 7 -> sd = sc; sx = 0; writer = 8 }
    :: atomic { at == RUN && writer == 8 -> if :: lc + 1 < INDEX(chain) -> replace(ld, lc, lx, INDEX(chain) - 1) :: else fi; writer = 0 }
#endif
#ifdef GUARD_AFTER_ANSWER
    :: atomic { at == RUN && writer == 0 && GUARD && gc != chain -> gc = chain; gd = gc }
#endif
    od
}

proctype asker(byte who)
{
end:
    do
    /* 1 the lock of the log, 2 the comparison and the signature, then the store's writer; 3 the newest head is shown, 4 the answer leaves. */
    :: atomic { at == RUN && request[who] == 0 && INDEX(chain) < UPDATES ->
        if :: asks[who] = 1 :: asks[who] = 2 :: asks[who] = 5 :: asks[who] = 9 :: asks[who] = 6 :: asks[who] = 10 fi;
        request[who] = 1 }
    :: atomic { at == RUN && request[who] == 1 && MAY_ENTER -> if :: gate == 0 -> gate = who + 1 :: else fi; request[who] = 2 }
    :: atomic { at == RUN && request[who] == 2 && writing != who + 1 ->
        if
        :: REFUSED(asks[who], latest) -> finish(who)
        :: else ->
            MUST_NOT(older_after_newer, SIZE(asks[who]) < SIZE(answered) && !operator_did);
#ifdef RESPFIRST
            publish_answer(who);
#endif
            request[who] = 5
        fi }
    :: atomic { at == RUN && request[who] == 5 && writer == 0 -> writer = 1; writing = who + 1; request[who] = 6 }
    :: atomic { at == RUN && request[who] == 3 -> latest = asks[who]; request[who] = 4 }
    :: atomic { at == RUN && request[who] == 4 ->
#ifndef RESPFIRST
        publish_answer(who);
#endif
        finish(who) }
    od
}

short ks; byte kj[UPDATES], kl, kept;      /* a copy of the directory: 1 taken, 2 put back. The guard is elsewhere */

proctype world()
{
end:
    do
    :: atomic { at != DOWN && FAILS -> faults++; stop() }
    :: atomic { FAILS -> faults++; power_loss(); stop() }
#ifdef RESTORE
    :: atomic { kept == 0 && at == DOWN -> kept = 1; ks = sc; kl = lc; for (k : 0 .. UPDATES - 1) { kj[k] = jc[k] } k = 0 }
    :: atomic { kept == 1 && at == DOWN -> kept = 2; operator_did = 1;
        sc = ks; sd = ks; sx = 0; lc = kl; ld = kl; lx = 0; ks = 0; kl = 0;
        for (k : 0 .. UPDATES - 1) { jc[k] = kj[k]; jd[k] = kj[k]; jx[k] = 0; kj[k] = 0 } k = 0 }
#endif
    od
}

init { atomic { run witness(); run asker(0); run asker(1); run world() } }
