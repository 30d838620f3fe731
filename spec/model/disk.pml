/*
 * What both models take for granted: a disk behind a page cache, and heads.
 *
 * Every file is there twice. What a process reads and writes is the page cache (..c); what a power loss leaves is the disk (..d); ..x says what the
 * next sync would carry over. A sync that fails leaves the page clean and the disk as it was, or torn, or written: a second sync carries
 * nothing over, and succeeds.
 *
 * A head is the entries of its tree, 1 or 2, in two bits each, the first lowest: so a number is size and root, and "extends" is "begins with".
 */
#define SIZE(h)        ((h) == 0 -> 0 : ((h) < 4 -> 1 : ((h) < 16 -> 2 : 3)))
#define BEGINS(h, g)   (((h) & ((1 << (2 * SIZE(g))) - 1)) == (g))
#define AGREE(g, h)    (BEGINS(h, g) || BEGINS(g, h))

#ifndef FAULTS
#define FAULTS 3       /* kills, power losses and failed syncs in one history */
#endif
byte faults;
#define FAILS (faults < FAULTS)

bit operator_did;      /* a lock file removed, an older copy put back */

/* What must not happen has a name, so that a failure says what it is. */
#define MUST_NOT(what, when) what = (when); assert(!what)

#ifdef CONSEQUENCES
#define DIRECTLY 0     /* not what is out of order by itself, but what comes of it */
#else
#define DIRECTLY 1
#endif

byte k, n, t;          /* scratch: 0 between steps */

/* What becomes of a page that was to be written and perhaps was not. The same bytes over the same bytes cannot tear. */
inline settle(disk, cache, dirty, torn)
{
    if
    :: !dirty || disk == cache
    :: else -> if :: skip :: disk = cache :: disk = torn fi
    fi;
    dirty = 0
}

/* A new name, visible at once and durable with the directory's sync. If one before it was not synced, that one may have become durable by itself. */
inline replace(disk, cache, dirty, value)
{
    if :: dirty && disk != cache -> if :: skip :: disk = cache fi :: else fi;
    cache = value;
    dirty = 1
}

inline settle_name(disk, cache, dirty)
{
    if :: dirty && disk != cache -> if :: skip :: disk = cache fi :: else fi;
    dirty = 0
}
