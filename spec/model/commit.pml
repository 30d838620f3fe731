/*
 * The commit of the log: journal, heads, guard, commit record, release, segments, trimming, and the restart that has to make sense of what a crash
 * left of them. spec/model/README.md says what is left out, and which line of the code each mutant stands for.
 *
 * An entry is 1 or 2: a promise about an index is broken when the other one is found there. A frame holds one entry, a journal file one frame, a
 * segment one entry. disk.pml has the page cache and what a head is, commit-files.pml the state.
 */
#include "disk.pml"
#include "commit-files.pml"

/* ---- what leaves the process ---- */

inline answer(me)
{
    MUST_NOT(index_given_twice, ANSWERS_HOLD && answered[place[me]] != 0 && answered[place[me]] != entry[me]);
    answered[place[me]] = entry[me]
}

inline release(me, head)
{
#ifdef WITNESS
    /* Public only with a cosignature, and the witness cosigns what extends its newest. The request, or its answer, may be lost. */
    if
    :: skip
    :: BEGINS(head, cosigned) -> cosigned = head; asked[me] = 1; if :: skip :: publish(head) fi
    :: SIZE(cosigned) > SIZE(head) -> MUST_NOT(halted_without_cause, DIRECTLY && PROMISES); stop(me)
    fi
#else
    publish(head)
#endif
}

inline publish(head)
{
    MUST_NOT(fork_released, !AGREE(released, head));
    n = 0;
    for (k : 0 .. SIZE(head) - 1) {
        n = n + (SIZE(head) > 0 && !(k < SIZE(sd) && ENTRY(sd, k) == ENTRY(head, k)) && !(k >= ld && jd[k] == ENTRY(head, k)))
    }
    MUST_NOT(released_above_disk, DIRECTLY && PROMISES && n > 0);
    if :: SIZE(head) > SIZE(released) -> released = head :: else fi
}

/* ---- the start: TreeRegister.Load, Journal.Open, Reconcile, RecoverAsync ---- */

inline refuse(me) { MUST_NOT(refused_after_crash, ANSWERS_HOLD); stop(me) }

inline read_register(me)
{
    n = 0;
    do :: n < ENTRIES -> if :: hc[n] != 0 && hc[n] != BROKEN -> n++ :: else -> break fi :: else -> break od;
    lines[me] = n;
    newest = (n > 0 -> hc[n - 1] : 0);
    before = (n > 1 -> hc[n - 2] : 0);
    t = (cc != newest && cc != BROKEN && !(n > 0 && cc == before));
#ifndef NO_GUARD
#ifndef NO_GUARD_CHECK
    t = t || gc != newest && !(n > 0 && gc == before);
#endif
#endif
    if
    :: t -> refuse(me)
    :: else ->
        current[me] = newest;
        lock = me + 1;
#ifdef OPEN_GUARD_FIRST
        at[me] = GNAME;
#else
        at[me] = HEADS;
#endif
#ifdef OPEN_KEEPS_COMMIT
        /* Nothing to mend where both say the same. */
        if :: cc == newest && at[me] == HEADS -> at[me] = GNAME :: else fi
#endif
    fi;
    newest = 0; before = 0; t = 0; n = 0
}

/* The end of the whole frames; t: what lies there is not a journal. */
inline scan()
{
    n = lc;
    do :: n < ENTRIES -> if :: jc[n] == 1 || jc[n] == 2 -> n++ :: else -> break fi :: else -> break od;
    t = (lc > 0 && n == lc);                                     /* trimmed files, and no frame left to say where they ended */
    t = t || (junk != 0 && junk != n + 2);                       /* bytes behind the last frame that are no torn frame's */
    for (k : n + 1 .. ENTRIES - 1) { t = t || (k < ENTRIES && jc[k] != 0) }
}

inline open_journal(me)
{
    scan();
    t = t || n < SIZE(current[me]) || n < SIZE(sc) || lc > SIZE(sc);
    if
    :: t -> refuse(me)
    :: else ->
        /* A torn frame was never answered. Zeros and their sync are one step here. */
        if :: n < ENTRIES -> jc[n] = 0; jd[n] = 0; jx[n] = 0 :: else fi;
#ifndef NO_CUT_ZERO
        junk = 0;
#endif
        /* The name of the segments' commit may be in the cache only, and what it covers will be trimmed. */
#ifndef OPEN_TRUSTS_NAMES
        sd = sc; sx = 0;
#endif
        for (k : SIZE(current[me]) .. ENTRIES - 1) {
#if !defined(RECOVERY_TRUSTS_CACHE) && !defined(RECOVERY_ONLY_SYNCS)
            if :: k < n && k >= lc -> jx[k] = 1 :: else fi
#else
            skip
#endif
        }
        at[me] = JSYNC
    fi;
    t = 0; n = 0; k = 0
}

inline begin(me)
{
    scan();
    tree[me] = sc;
    for (k : SIZE(sc) .. ENTRIES - 1) { if :: k < n -> tree[me] = tree[me] | (jc[k] << (2 * k)) :: else fi }
    if
    :: !BEGINS(tree[me], current[me]) -> refuse(me)      /* the tree has not the signed root at the signed size */
    :: else ->
        n = 0;
        for (k : 0 .. ENTRIES - 1) { n = n + (answered[k] != 0 && answered[k] != ENTRY(tree[me], k)) }
        MUST_NOT(acknowledged_entry_lost, ANSWERS_HOLD && n > 0);
        MUST_NOT(released_head_forgotten, PROMISES && !BEGINS(current[me], released));
        sealed[me] = sc;
        at[me] = RUN;
#ifdef NO_ASK_FIRST
        asked[me] = 1;
#endif
        n = 0; k = 0; t = 0;
        release(me, current[me])
    fi;
    n = 0; k = 0; t = 0
}

#define STEP(me, where) at[me] == where && !OTHER_WRITES(me)
#define RUNS(me, who, step) at[me] == RUN && who[me] == step && !OTHER_WRITES(me)

proctype server(byte me)
{
end:
    do
    /* The start. */
    :: atomic { STEP(me, DOWN) && MAY_START -> read_register(me) }
    :: atomic { STEP(me, HEADS) ->
        n = lines[me];
        if :: n > 0 -> hx[n - 1] = 1 :: else fi;                       /* RewriteNewest: the same line, dirty again */
        if :: n < ENTRIES && hc[n] != 0 -> hc[n] = 0; hx[n] = 1 :: else fi;   /* CutTorn */
        n = 0; at[me] = HSYNC }
    :: atomic { STEP(me, HSYNC) -> if :: sync_heads(); at[me] = CNAME :: FAILS -> faults++; settle_heads(); stop(me) fi; k = 0 }
    :: atomic { STEP(me, CNAME) -> replace(cd, cc, cx, current[me]); cx = 2; at[me] = CSYNC }
    :: atomic { STEP(me, CSYNC) -> cd = cc; cx = 0;
#ifdef OPEN_GUARD_FIRST
        at[me] = JZERO }
#else
        at[me] = GNAME }
#endif
    :: atomic { STEP(me, GNAME) ->
#ifndef NO_GUARD
        if :: gc != current[me] -> replace(gd, gc, gx, current[me]) :: else fi;
#endif
        at[me] = GSYNC }
    :: atomic { STEP(me, GSYNC) -> if :: gx -> gd = gc; gx = 0 :: else fi;
#ifdef OPEN_GUARD_FIRST
        at[me] = HEADS }
#else
        at[me] = JZERO }
#endif
    :: atomic { STEP(me, JZERO) -> open_journal(me) }
    :: atomic { STEP(me, JSYNC) ->
#ifndef RECOVERY_TRUSTS_CACHE
        if :: sync_frames() :: FAILS -> faults++; settle_frames(); stop(me) fi;
#endif
        if :: at[me] == JSYNC -> begin(me) :: else fi; k = 0 }

#ifdef WITNESS
    :: atomic { at[me] == RUN && !asked[me] -> release(me, current[me]) }
#endif

    /* The sequencer: one frame, written and synced; the answer; the tree grows. */
    :: atomic { RUNS(me, sequencer, 0) && ASKED(me) && SIZE(tree[me]) < ENTRIES ->
        if
        :: !MAY_APPEND(me) -> MUST_NOT(halted_without_cause, DIRECTLY && PROMISES); stop(me); goto end
        :: else
        fi;
        place[me] = SIZE(tree[me]);
        if :: entry[me] = 1 :: entry[me] = 2 fi;
        sequencer[me] = 1 }
    :: atomic { RUNS(me, sequencer, 1) ->
        jc[place[me]] = entry[me]; jx[place[me]] = 1;
        if :: junk == place[me] + 1 -> junk = 0 :: else fi;
#ifdef ANSWER_FIRST
        answer(me);
#endif
#ifdef SIGN_BEFORE_DURABLE
        tree[me] = tree[me] | (entry[me] << (2 * place[me]));
#endif
        sequencer[me] = 2 }
    :: atomic { RUNS(me, sequencer, 2) ->
        if
#ifndef NO_FSYNC_JOURNAL
        :: sync_frames(); sequencer[me] = 3
#ifdef RETRY_SYNC
        :: FAILS -> faults++; settle_frames()
#else
        :: FAILS -> faults++; settle_frames(); stop(me)
#endif
#else
        :: sequencer[me] = 3
#endif
        fi; k = 0 }
    :: atomic { RUNS(me, sequencer, 3) ->
        if
        :: !MAY_APPEND(me) -> MUST_NOT(halted_without_cause, DIRECTLY && PROMISES); stop(me); goto end
        :: else
        fi;
        answer(me);
        tree[me] = tree[me] | (entry[me] << (2 * place[me]));
        sequencer[me] = 0; entry[me] = 0; place[me] = 0 }

#ifndef NO_SEGMENTS
    /* 4 segments: sealed by name, then by the directory's sync; the journal forgets what is sealed for good, but for its last frame. */
    :: atomic { RUNS(me, sealing, 0) && SIZE(tree[me]) > SIZE(sealed[me]) && sequencer[me] == 0 ->
        if
        :: !MAY_SEAL(me) -> MUST_NOT(halted_without_cause, DIRECTLY && PROMISES); stop(me); goto end
        :: else
        fi;
        replace(sd, sc, sx, tree[me]);
#ifdef TRIM_EARLY
        sealed[me] = tree[me]
#else
        sealing[me] = 1
#endif
        }
    :: atomic { RUNS(me, sealing, 1) -> sd = sc; sx = 0; sealed[me] = sc; sealing[me] = 0 }
#ifdef TRIM_ALL
    :: atomic { RUNS(me, sealing, 0) && lc < SIZE(sealed[me]) -> replace(ld, lc, lx, SIZE(sealed[me])) }
#else
    :: atomic { RUNS(me, sealing, 0) && lc + 1 < SIZE(sealed[me]) -> replace(ld, lc, lx, SIZE(sealed[me]) - 1) }
#endif
#endif

    /* The publisher: 5 consistency, sign. 6 the swap: lock and commit record compared, heads, guard, commit. 7, 8 release. */
    :: atomic { RUNS(me, publisher, 0) && ASKED(me) && SIZE(tree[me]) > SIZE(current[me]) ->
        next[me] = tree[me];
        MUST_NOT(signed_beside_public, WITNESSED && !AGREE(released, next[me]));
        publisher[me] = 1 }
    :: atomic { RUNS(me, publisher, 1) ->
        if
        :: !IS_HELD(me) || MOVED(me) -> MUST_NOT(halted_without_cause, DIRECTLY && PROMISES); stop(me)
        :: else ->
#ifdef RELEASE_FIRST
            release(me, next[me]);
#endif
            publisher[me] = AFTER_COMPARE
        fi }
    :: atomic { RUNS(me, publisher, 2) -> hc[lines[me]] = next[me]; hx[lines[me]] = 1; publisher[me] = 3 }
    :: atomic { RUNS(me, publisher, 3) ->
        if
#ifndef NO_SYNC_HEADS
        :: sync_heads(); lines[me] = lines[me] + 1; publisher[me] = 4
        :: FAILS -> faults++; settle_heads(); stop(me)
#else
        :: lines[me] = lines[me] + 1; publisher[me] = 4
#endif
        fi; k = 0 }
    :: atomic { RUNS(me, publisher, 4) ->
#if !defined(NO_GUARD) && !defined(GUARD_AFTER_COMMIT) && !defined(GUARD_AFTER_RELEASE)
        replace(gd, gc, gx, next[me]);
#endif
        publisher[me] = 5 }
    :: atomic { RUNS(me, publisher, 5) -> if :: gx -> gd = gc; gx = 0 :: else fi; publisher[me] = AFTER_GUARD }
    :: atomic { RUNS(me, publisher, 6) ->
#ifdef RELEASE_BEFORE_COMMIT
        release(me, next[me]);
#endif
        write_commit(next[me]); publisher[me] = 7 }
    :: atomic { RUNS(me, publisher, 7) ->
        if
        :: SYNC_COMMIT; publisher[me] = AFTER_COMMIT
        :: FAILS -> faults++; settle_commit(); stop(me)
        fi }
    :: atomic { RUNS(me, publisher, 8) ->
#ifdef GUARD_AFTER_COMMIT
        gc = next[me]; gd = gc;
#endif
        current[me] = next[me]; next[me] = 0; publisher[me] = 9 }
    :: atomic { RUNS(me, publisher, 9) -> release(me, current[me]);
#ifdef GUARD_AFTER_RELEASE
        publisher[me] = 10 }
    :: atomic { RUNS(me, publisher, 10) -> gc = current[me]; gd = gc;
#endif
        publisher[me] = 0 }
    od
}

#ifdef RESTORE
byte kj[ENTRIES], kh[ENTRIES], kc, ks, kl, kept;    /* a copy of the directory: 1 taken, 2 put back. The guard and the witnesses are elsewhere */
#endif

proctype world()
{
end:
    do
    :: atomic { at[0] != DOWN && FAILS -> faults++; stop(0) }
    :: atomic { at[1] != DOWN && FAILS -> faults++; stop(1) }
    :: atomic { FAILS -> faults++; power_loss(); stop(0); stop(1) }
#ifdef REMOVE_LOCK
    :: atomic { lock != 0 && !operator_did -> lock = 0; operator_did = 1 }
#endif
#ifdef RESTORE
    :: atomic { kept == 0 && at[0] == DOWN -> kept = 1; kc = cc; ks = sc; kl = lc; for (k : 0 .. ENTRIES - 1) { kj[k] = jc[k]; kh[k] = hc[k] } k = 0 }
    :: atomic { kept == 1 && at[0] == DOWN -> kept = 2; operator_did = 1; junk = 0;
        cc = kc; cd = kc; cx = 0; sc = ks; sd = ks; sx = 0; lc = kl; ld = kl; lx = 0;
        for (k : 0 .. ENTRIES - 1) { jc[k] = kj[k]; jd[k] = kj[k]; jx[k] = 0; hc[k] = kh[k]; hd[k] = kh[k]; hx[k] = 0; kj[k] = 0; kh[k] = 0 }
        kc = 0; ks = 0; kl = 0; k = 0 }
#endif
    od
}

init
{
    atomic {
        run server(0);
#ifdef TWO
        run server(1);
#endif
        run world()
    }
}
