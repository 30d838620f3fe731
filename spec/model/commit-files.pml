/*
 * The files of the log, the memory of its processes, what the world knows, and what a mutant changes in a word. Included by commit.pml.
 */
#ifndef ENTRIES
#define ENTRIES 2      /* tree sizes that are reached */
#endif

#define TORN 3         /* a frame that is neither zeros nor whole */
#define BROKEN 255     /* a line of heads, or a commit record, that does not parse */

#define ENTRY(h, i)    (((h) >> (2 * (i))) & 3)

/* The files. */
byte jc[ENTRIES], jd[ENTRIES]; bit jx[ENTRIES];    /* the journal's frames: 0 is zeros */
byte junk;                                         /* a torn frame may have left data behind its first sector: 1 + the slot it lies in */
byte hc[ENTRIES], hd[ENTRIES]; bit hx[ENTRIES];    /* the lines of heads behind the first, which says "created" */
byte cc, cd, cx;                                   /* commit: cx has 1 for data, 2 for the name of a replaced file */
byte gc, gd; bit gx;                               /* the guard, on another disk; always replaced by name */
byte sc, sd; bit sx;                               /* the segments' commit: what is sealed; replaced by name */
byte lc, ld; bit lx;                               /* the oldest journal file */

/* The processes; all of it is gone after a kill. */
#define DOWN  0
#define HEADS 1        /* the steps of a start */
#define HSYNC 2
#define CNAME 3
#define CSYNC 4
#define GNAME 5
#define GSYNC 6
#define JZERO 7
#define JSYNC 8
#define RUN   9

byte at[2];            /* DOWN, a step of the start, or RUN */
byte sequencer[2];     /* 0, or the step that comes next */
byte publisher[2];
bit sealing[2];
byte tree[2];          /* what was integrated */
byte current[2];       /* the register's head, as this process knows it */
byte next[2];          /* the head being signed */
byte entry[2], place[2];   /* in the frame at hand */
byte lines[2];         /* where the next line of heads goes */
byte sealed[2];        /* the tree that is sealed for good */
bit asked[2];          /* the witness has told that it is not ahead */
byte lock;             /* 1 + the process whose lock the file of that name carries */

/* What the world outside knows. */
byte answered[ENTRIES];    /* entries whose index was told */
byte released;             /* the largest head whose signature left the process */
byte cosigned;             /* the witness's newest head */

/* What must not happen. */
bit acknowledged_entry_lost, index_given_twice, fork_released, released_above_disk, released_head_forgotten, refused_after_crash,
    halted_without_cause, signed_beside_public;

byte newest, before;       /* scratch: 0 between steps */

#ifdef NOFLOCK
#define MAY_START 1
#define IS_HELD(me) 1
#else
#define MAY_START (lock == 0)
#ifdef NO_HELD_CHECK
#define IS_HELD(me) 1
#else
#define IS_HELD(me) (lock == me + 1)
#endif
#endif

#ifdef NOCAS
#define MOVED(me) 0
#else
#define MOVED(me) (cc != current[me])
#endif

#ifdef WITNESS
#define WITNESSED 1
#define ASKED(me) asked[me]
#else
#define WITNESSED 0
#define ASKED(me) 1
#endif

#ifdef NO_HELD_AT_APPEND
#define MAY_APPEND(me) 1
#else
#define MAY_APPEND(me) IS_HELD(me)
#endif

#ifdef NO_HELD_AT_SEAL
#define MAY_SEAL(me) 1
#else
#define MAY_SEAL(me) IS_HELD(me)
#endif

/* To look and to write are calls of their own, not one: unless PAUSED says otherwise, nobody stops in a start, an append,
   a seal or a swap while another goes on. */
#ifdef PAUSED
#define OTHER_WRITES(me) 0
#else
#define OTHER_WRITES(me) \
    (publisher[1 - me] >= 2 && publisher[1 - me] <= 7 || sequencer[1 - me] != 0 || sealing[1 - me] || at[1 - me] != DOWN && at[1 - me] != RUN)
#endif

/* The order within a swap. */
#ifdef COMMIT_BEFORE_HEADS
#define AFTER_COMPARE 6
#define AFTER_COMMIT  2
#define AFTER_GUARD   8
#else
#define AFTER_COMPARE 2
#define AFTER_GUARD   6
#define AFTER_COMMIT  8
#endif
#ifdef NO_SYNC_COMMIT
#define SYNC_COMMIT skip
#else
#define SYNC_COMMIT sync_commit()
#endif

/* Behind an operator who removed a lock or put an older copy back, only what is signed and told twice is judged; see FORKS_ONLY. */
#ifdef FORKS_ONLY
#define PROMISES 0
#define ANSWERS_HOLD 0
#else
#define PROMISES (!operator_did)
#ifdef REMOVE_LOCK
#define ANSWERS_HOLD 1
#else
#define ANSWERS_HOLD (!operator_did)
#endif
#endif

/* ---- the disk ---- */

inline settle_frames()
{
    for (k : 0 .. ENTRIES - 1) { settle(jd[k], jc[k], jx[k], TORN) }
}

inline sync_frames() { for (k : 0 .. ENTRIES - 1) { if :: jx[k] -> jd[k] = jc[k]; jx[k] = 0 :: else fi } }
inline sync_heads()  { for (k : 0 .. ENTRIES - 1) { if :: hx[k] -> hd[k] = hc[k]; hx[k] = 0 :: else fi } }
inline settle_heads() { for (k : 0 .. ENTRIES - 1) { settle(hd[k], hc[k], hx[k], BROKEN) } }

/* Commit in place: while the file's new name is not durable, a data sync makes nothing durable that can be found again. */
inline write_commit(value)
{
    if :: (cx & 1) && cd != cc -> if :: skip :: cd = cc fi :: else fi;
    cc = value;
    cx = cx | 1
}

inline sync_commit() { if :: (cx & 2) == 0 -> cd = cc :: else fi; cx = cx & 2 }

inline settle_commit()
{
    if
    :: cx == 0 || cd == cc
    :: else -> if :: skip :: cd = cc :: (cx & 1) -> cd = BROKEN fi
    fi;
    cx = 0
}

inline power_loss()
{
    settle_frames(); settle_heads(); settle_commit();
    for (k : 0 .. ENTRIES - 1) { if :: jc[k] != jd[k] && (jd[k] == 0 || jd[k] == TORN) -> junk = k + 2 :: true fi }
    settle_name(gd, gc, gx); settle_name(sd, sc, sx); settle_name(ld, lc, lx);
    d_step {
        for (k : 0 .. ENTRIES - 1) { jc[k] = jd[k]; hc[k] = hd[k] }
        cc = cd; gc = gd; sc = sd; lc = ld; k = 0
    }
}

inline stop(me)
{
    at[me] = DOWN; sequencer[me] = 0; publisher[me] = 0; sealing[me] = 0; tree[me] = 0; current[me] = 0; next[me] = 0;
    entry[me] = 0; place[me] = 0; lines[me] = 0; sealed[me] = 0; asked[me] = 0;
    if :: lock == me + 1 -> lock = 0 :: else fi
}
