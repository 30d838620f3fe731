/*
 * The guard as a fence: two live copies of a data directory, on two machines, with one guard folder, and nothing else that keeps them apart. The swap of a
 * head is the one of commit.pml without its journal: read the guard, append to heads, link the next guard file, sync the folder, look again, write the commit
 * record, release. Each of these is a step of its own, and the copies interleave freely: so each may be stopped anywhere for as long as it likes.
 *
 * Every head has one entry more than the one before, so a directory's heads are one number, and the sequence of a guard file is the size of its head.
 * spec/model/README.md says which line of the code each mutant stands for. disk.pml has what a head is.
 */
#include "disk.pml"

#define ENTRIES 3
#define FILES 5        /* sequences 0 to ENTRIES, and one more that a mutant writes */

/* The files. Heads and commit record of each copy; the guard's files by sequence, 1 + head, 0 where there is none. */
byte hc[2], hd[2];
byte cc[2], cd[2];
byte gc[FILES], gd[FILES];

/* The processes. */
#define DOWN   0
#define HEADS  1       /* the steps of a start */
#define COMMIT 2
#define LINK   3
#define FOLDER 4
#define LOOK   5
#define RUN    6

byte at[2];
byte publisher[2];     /* 0, or the step of the swap that comes next */
byte current[2], next[2];
byte sequence[2];      /* of the guard file that this process wrote or found last */
bit copied, halted[2];
bit guard_changed;     /* the machine of the guard lost power, and with it a name that was not synced */
byte lock;             /* 1 + the process whose lock the file of that name carries */

byte released;         /* the largest head whose signature left a process */
bit fork_released, refused_after_crash, fenced_without_cause, released_above_disk;

byte newest;           /* scratch */

#ifdef LOCK_LOST
#define MAY_START 1
#define IS_HELD(me) 1
#else
#define MAY_START (lock == 0)
#define IS_HELD(me) (lock == me + 1)
#endif

/* The order within a swap. */
#ifdef GUARD_AFTER_COMMIT
#define AFTER_HEADS 7
#define AFTER_LOOK  10
#define AFTER_COMMIT 9
#define AFTER_RELEASE 4
#else
#define AFTER_HEADS 4
#define AFTER_LOOK  7
#define AFTER_COMMIT 9
#define AFTER_RELEASE 10
#endif

#define WITHOUT_LAST(head) ((head) & ((1 << (2 * (SIZE(head) - 1))) - 1))

inline find_newest() { newest = 0; for (k : 0 .. FILES - 1) { if :: gc[k] != 0 -> newest = k :: else fi } k = 0 }

inline stop(me)
{
    at[me] = DOWN; publisher[me] = 0; current[me] = 0; next[me] = 0; sequence[me] = 0;
    if :: lock == me + 1 -> lock = 0 :: else fi
}

inline refuse(me) { MUST_NOT(refused_after_crash, !operator_did && !guard_changed); stop(me) }

/* Evidence against itself: kept, so that it does not start again. */
inline fence(me) { MUST_NOT(fenced_without_cause, !operator_did && !guard_changed); halted[me] = 1; stop(me) }

inline release(me)
{
    MUST_NOT(fork_released, !AGREE(released, current[me]));
    MUST_NOT(released_above_disk, !operator_did && cd[me] != current[me] && hd[me] != current[me]);
    if :: SIZE(current[me]) > SIZE(released) -> released = current[me] :: else fi
}

/* link(2) of the next file fails where the name exists. */
#ifdef GUARD_RENAME
#define EXISTS(me) 0
#else
#define EXISTS(me) (gc[sequence[me] + 1] != 0)
#endif

/* The look after the folder's sync: our own last file is there, and the newest is the one just made. */
#ifdef LOOK_FOR_LAST_ONLY
#define NEWER(x) 0
#else
#define NEWER(x) (x)
#endif

proctype log(byte me)
{
end:
    do
    /* The start: the guard's newest file is the last or the last but one line of heads. */
    :: atomic { at[me] == DOWN && !halted[me] && MAY_START && (me == 0 || copied) ->
        find_newest();
        t = (cc[me] != hc[me] && !(hc[me] != 0 && cc[me] == WITHOUT_LAST(hc[me])));
        t = t || (gc[newest] != hc[me] + 1 && !(hc[me] != 0 && gc[newest] == WITHOUT_LAST(hc[me]) + 1));
        if
        :: t -> refuse(me)
        :: !t && newest > SIZE(hc[me]) -> stop(me)                              /* only a blind writer leaves that: the history ends here */
        :: else -> current[me] = hc[me]; sequence[me] = newest; lock = me + 1; at[me] = HEADS
        fi;
        t = 0; newest = 0 }
    :: atomic { at[me] == HEADS -> if :: hd[me] = hc[me]; at[me] = COMMIT :: FAILS -> faults++; stop(me) fi }
    :: atomic { at[me] == COMMIT -> cc[me] = current[me]; cd[me] = current[me]; at[me] = LINK }
    :: atomic { at[me] == LINK ->
        if
        :: sequence[me] == SIZE(current[me]) -> at[me] = FOLDER
        :: sequence[me] != SIZE(current[me]) && EXISTS(me) -> refuse(me)
        :: else -> gc[sequence[me] + 1] = current[me] + 1; at[me] = FOLDER
        fi }
    :: atomic { at[me] == FOLDER -> for (k : 0 .. FILES - 1) { gd[k] = gc[k] } k = 0; at[me] = LOOK }
    :: atomic { at[me] == LOOK ->
        find_newest();
        if
#ifndef NO_LOOK_AFTER
        :: NEWER(newest != SIZE(current[me]) || gc[newest] != current[me] + 1) || gc[sequence[me]] == 0 -> refuse(me)
        :: else ->
#else
        :: true ->
#endif
            sequence[me] = SIZE(current[me]); at[me] = RUN; release(me)
        fi;
        newest = 0 }

    /* The swap. 1 the guard is what we wrote last. */
    :: atomic { at[me] == RUN && publisher[me] == 0 && SIZE(current[me]) < ENTRIES ->
        if
        :: next[me] = current[me] | (1 << (2 * SIZE(current[me])))
        :: next[me] = current[me] | (2 << (2 * SIZE(current[me])))
        fi;
        publisher[me] = 1 }
    :: atomic { at[me] == RUN && publisher[me] == 1 ->
        find_newest();
        if
#if !defined(NO_READ_FIRST) && !defined(GUARD_BLIND)
        :: !IS_HELD(me) || newest != sequence[me] || gc[newest] != current[me] + 1 -> fence(me)
        :: else ->
#else
        :: !IS_HELD(me) -> fence(me)
#ifdef GUARD_BLIND
        :: IS_HELD(me) && newest >= ENTRIES -> stop(me)                     /* the history ends here */
#endif
        :: else ->
#endif
#ifdef GUARD_BLIND
            sequence[me] = newest;
#endif
            publisher[me] = 2
        fi;
        newest = 0 }
    /* 2 heads, and its sync. */
    :: atomic { at[me] == RUN && publisher[me] == 2 -> hc[me] = next[me]; publisher[me] = 3 }
    :: atomic { at[me] == RUN && publisher[me] == 3 -> if :: hd[me] = hc[me]; publisher[me] = AFTER_HEADS :: FAILS -> faults++; stop(me) fi }
    /* 3 the next file of the guard; 4 the folder's sync, and the look: our last file is there, and nothing is newer than ours. */
    :: atomic { at[me] == RUN && publisher[me] == 4 ->
        if :: EXISTS(me) -> fence(me) :: else -> gc[sequence[me] + 1] = next[me] + 1; publisher[me] = 5 fi }
    :: atomic { at[me] == RUN && publisher[me] == 5 -> for (k : 0 .. FILES - 1) { gd[k] = gc[k] } k = 0; publisher[me] = 6 }
    :: atomic { at[me] == RUN && publisher[me] == 6 ->
        find_newest();
        if
#ifdef NO_LOOK_AFTER
        :: false -> skip
#else
        :: NEWER(newest != sequence[me] + 1 || gc[newest] != next[me] + 1) || gc[sequence[me]] == 0 -> fence(me)
#endif
        :: else -> sequence[me] = sequence[me] + 1; publisher[me] = AFTER_LOOK
        fi;
        newest = 0 }
    /* 5 the commit record, in place. */
    :: atomic { at[me] == RUN && publisher[me] == 7 -> cc[me] = next[me]; publisher[me] = 8 }
    :: atomic { at[me] == RUN && publisher[me] == 8 -> if :: cd[me] = cc[me]; publisher[me] = AFTER_COMMIT :: FAILS -> faults++; stop(me) fi }
    :: atomic { at[me] == RUN && publisher[me] == 9 -> current[me] = next[me]; publisher[me] = AFTER_RELEASE; release(me) }
    /* All but the last two files go, the oldest first. */
    :: atomic { at[me] == RUN && publisher[me] == 10 ->
        n = FILES;
#ifdef REMOVE_NEWEST_FIRST
        for (k : 0 .. FILES - 1) { if :: gc[k] != 0 && k + 1 < sequence[me] -> n = k :: else fi }
#else
        for (k : 0 .. FILES - 1) { if :: n == FILES && gc[k] != 0 && k + 1 < sequence[me] -> n = k :: else fi }
#endif
        if :: n < FILES -> gc[n] = 0 :: else -> publisher[me] = 0; next[me] = 0 fi;
        k = 0; n = 0 }
    od
}

byte kh, kc, kept;     /* an older copy of the first directory: 1 taken, 2 put back */

/* A write that was not synced is on disk afterwards, or is not. */
inline machine_stops(me)
{
    if :: skip :: hd[me] = hc[me] fi;
    if :: skip :: cd[me] = cc[me] fi;
    hc[me] = hd[me]; cc[me] = cd[me];
    stop(me)
}

proctype world()
{
end:
    do
    :: atomic { at[0] != DOWN && FAILS -> faults++; stop(0) }
    :: atomic { at[1] != DOWN && FAILS -> faults++; stop(1) }
    :: atomic { FAILS -> faults++; machine_stops(0) }
    :: atomic { copied && FAILS -> faults++; machine_stops(1) }
    /* The machine of the guard: names that were made or removed without a sync are so afterwards, or not, each for itself. The copies go on. */
    :: atomic { FAILS -> faults++;
        for (k : 0 .. FILES - 1) { if :: gd[k] != gc[k] -> if :: guard_changed = 1 :: gd[k] = gc[k] fi :: else fi; gc[k] = gd[k] }
        k = 0 }
#ifndef ONE
    :: atomic { !copied && at[1] == DOWN -> copied = 1; operator_did = 1; hc[1] = hc[0]; hd[1] = hc[0]; cc[1] = cc[0]; cd[1] = cc[0] }
#endif
#ifdef REMOVE_LOCK
    :: atomic { lock != 0 && !kept -> kept = 2; lock = 0; operator_did = 1 }
#endif
#ifdef RESTORE
    :: atomic { kept == 0 && at[0] == DOWN -> kept = 1; kh = hc[0]; kc = cc[0] }
    :: atomic { kept == 1 && at[0] == DOWN -> kept = 2; operator_did = 1; hc[0] = kh; hd[0] = kh; cc[0] = kc; cd[0] = kc; kh = 0; kc = 0 }
#endif
    od
}

init
{
    atomic {
        gc[0] = 1; gd[0] = 1;      /* the empty tree, at sequence 0 */
        run log(0); run log(1); run world()
    }
}
