// The fault shim: preloaded into the real programs, it counts their storage calls and makes the n-th one go wrong.
// Method "sweep" of the failure catalogue: run a workload once with DEVTLOG_FAULT_ACTION=count to learn how many calls it
// makes, then once for each n and each action; after each run the real checker rebuilds everything from entry bytes.
//
//   LD_PRELOAD=bin/fault.so DEVTLOG_FAULT_PREFIX=/data DEVTLOG_FAULT_AT=17 DEVTLOG_FAULT_ACTION=torn bin/tlog-server serve ...
//
//   DEVTLOG_FAULT_PREFIX  the folder whose calls count: it and everything below it; unset: the shim does nothing
//   DEVTLOG_FAULT_AT      n: the n-th counted call of the process, over all its threads, from 1; unset or 0: none
//   DEVTLOG_FAULT_ACTION  count        does nothing but count and log (default)
//                      kill         SIGKILL before the call
//                      killafter    SIGKILL after it
//                      torn         a write of its first KEEP bytes, then SIGKILL; any other call: as kill
//                      short        a write of KEEP bytes that says so
//                      eio eacces eloop enospc edquot erofs emfile eintr      fails with that error, does nothing
//                      lie          says done; a write keeps KEEP bytes, any other call does nothing
//                      flip         a write that says done, with the lowest bit of byte KEEP inverted
//                      persistfail  does it, and says EIO
//                      hang         never returns
//                      stop         SIGSTOP before the call, which is made when somebody sends SIGCONT
//   DEVTLOG_FAULT_KEEP    bytes, for torn and short (default: half of the call's) and lie (default: 0); for flip the byte, from 0
//                      (default: the middle one)
//   DEVTLOG_FAULT_REPEAT  1: every later call of the same kind goes wrong too; all: of any kind, as on a dead disk
//   DEVTLOG_FAULT_ONLY    kinds to count, with commas: open,opendir,write,sync,trunc,alloc,rename,unlink,mkdir,link (default: all of these),
//                      and the questions: stat, access, list (opendir(3), readdir), read (an open that only reads)
//   DEVTLOG_FAULT_LOG     file: one line for each counted call, "n op path bytes result"
//
//   DEVTLOG_FAULT_FLOCK   1: every flock in the folder succeeds, whoever has the lock, as on a file system that has lost it; not counted
//
// In the log, n is unique and without gaps, but lines of two threads may change places. op is the name of the call, or
// opendir for an open with O_DIRECTORY. path is absolute, rename and link give "from>to"; blanks become '?'. bytes is the
// length asked for, 0 where there is none. result is the number returned, the error by name, or "!action" where the shim
// decided: a sweep that finds no '!' has not injected anything, because the action does not apply to that kind (no EINTR
// from rename, no lie about an open). An open that only reads is a question.
//
// A descriptor's file is asked of /proc/self/fd at each call: true after dup, rename, unlink and inheritance, and nothing
// to keep in step. Calls are made as raw system calls, so there is nothing to resolve and no order of loading to respect.
// Not seen: stores through mmap, io_uring, libaio, stdio (fopen, fwrite), mkstemp, and system calls made without libc's
// wrapper (File.Copy in .NET; its File.WriteAllBytes, FileStream and RandomAccess are seen).
#define _GNU_SOURCE
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// In the order of the bits.
static const char *const kind_names[] = {"open", "opendir", "write", "sync", "trunc", "alloc", "rename", "unlink", "mkdir", "link", "stat", "access", "list", "read"};

enum what { NOTHING, KILL, KILLAFTER, TORN, SHORT, FAIL, LIE, FLIP, PERSISTFAIL, HANG, STOP };

// What an action can befall: the errors are those the manual pages give, so that no program is blamed for the impossible.
static const struct action { const char *name; enum what what; int error; unsigned kinds; } actions[] =
{
    {"count", NOTHING, 0, 0},
    {"kill", KILL, 0, ALL | QUESTIONS},
    {"killafter", KILLAFTER, 0, ALL | QUESTIONS},
    {"torn", TORN, 0, ALL},
    {"short", SHORT, 0, WRITE},
    {"eio", FAIL, EIO, ALL | QUESTIONS},
    {"eacces", FAIL, EACCES, OPEN | OPENDIR | RENAME | UNLINK | MKDIR | LINK | QUESTIONS},
    {"eloop", FAIL, ELOOP, OPEN | OPENDIR | STAT | ACCESS | READ},
    {"enospc", FAIL, ENOSPC, ALL & ~(OPENDIR | UNLINK)},
    {"edquot", FAIL, EDQUOT, ALL & ~(OPENDIR | UNLINK)},
    {"erofs", FAIL, EROFS, ALL & ~OPENDIR},
    {"emfile", FAIL, EMFILE, OPEN | OPENDIR},
    {"eintr", FAIL, EINTR, OPEN | OPENDIR | WRITE | SYNC | TRUNC | ALLOC},
    {"lie", LIE, 0, ALL & ~(OPEN | OPENDIR)},
    {"flip", FLIP, 0, WRITE},
    {"persistfail", PERSISTFAIL, EIO, ALL},
    {"hang", HANG, 0, ALL},
    {"stop", STOP, 0, ALL},
};

static char prefix[PATH_MAX];
static size_t prefix_length; // 0: not for us
static const struct action *action = &actions[0];
static unsigned long at;
static long keep = -1; // -1: the action's default
static bool repeat_kind, repeat_all;
static unsigned only = ALL;
static int log_fd = -1;
static atomic_ulong counter;  // of all threads
static atomic_uint hit_kind;  // the kind of call number `at`, once it has come

// ---- settings

// A misspelt setting would be a test that injects nothing and passes: it ends the process instead.
static void refuse(const char *name, const char *value)
{
    dprintf(STDERR_FILENO, "fault shim: %s=%s is not understood\n", name, value);
    _exit(2);
}

static long number(const char *name, long otherwise)
{
    const char *value = getenv(name);
    if (value == NULL || *value == 0) return otherwise;
    char *end;
    errno = 0;
    long n = strtol(value, &end, 10);
    if (errno != 0 || *end != 0 || n < 0) refuse(name, value);
    return n;
}

// Absolute and without symbolic links, as /proc/self/fd shows paths. The last part need not exist.
static bool resolve(int folder, const char *path, char *out)
{
    char whole[2 * PATH_MAX], base[PATH_MAX], link[64];
    if (path == NULL || *path == 0 || strlen(path) >= PATH_MAX) return false;
    if (*path == '/')
    {
        strcpy(whole, path);
    }
    else
    {
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, whole, PATH_MAX - 1);
        if (length <= 0) return false;
        whole[length] = '/';
        strcpy(whole + length + 1, path);
    }

    size_t end = strlen(whole);
    while (end > 1 && whole[end - 1] == '/') whole[--end] = 0;
    char *slash = strrchr(whole, '/');
    if (slash[1] == 0 || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0) return realpath(whole, out) != NULL;
    if (strlen(slash + 1) >= sizeof base) return false;
    strcpy(base, slash + 1);
    slash[slash == whole ? 1 : 0] = 0;
    if (realpath(whole, out) == NULL || strlen(out) + strlen(base) + 2 > PATH_MAX) return false;
    if (out[1] != 0) strcat(out, "/");
    strcat(out, base);
    return true;
}

__attribute__((constructor)) static void read_settings(void)
{
    const char *value = getenv("DEVTLOG_FAULT_PREFIX");
    if (value == NULL || *value == 0) return;
    if (access("/proc/self/fd", X_OK) != 0) refuse("/proc", "absent");
    if (!resolve(AT_FDCWD, value, prefix)) refuse("DEVTLOG_FAULT_PREFIX", value);

    at = (unsigned long)number("DEVTLOG_FAULT_AT", 0);
    keep = number("DEVTLOG_FAULT_KEEP", -1);

    const char *name = getenv("DEVTLOG_FAULT_ACTION");
    for (size_t i = 0; name != NULL && *name != 0; i++)
    {
        if (i == sizeof actions / sizeof *actions) refuse("DEVTLOG_FAULT_ACTION", name);
        if (strcmp(actions[i].name, name) != 0) continue;
        action = &actions[i];
        break;
    }

    const char *again = getenv("DEVTLOG_FAULT_REPEAT");
    if (again != NULL && *again != 0 && strcmp(again, "0") != 0)
    {
        repeat_all = strcmp(again, "all") == 0;
        repeat_kind = strcmp(again, "1") == 0;
        if (!repeat_all && !repeat_kind) refuse("DEVTLOG_FAULT_REPEAT", again);
    }

    const char *kinds = getenv("DEVTLOG_FAULT_ONLY");
    if (kinds != NULL && *kinds != 0)
    {
        char list[256], *rest = list;
        snprintf(list, sizeof list, "%s", kinds);
        only = 0;
        for (char *kind; (kind = strsep(&rest, ",")) != NULL;)
        {
            size_t i = 0;
            while (i < sizeof kind_names / sizeof *kind_names && strcmp(kind_names[i], kind) != 0) i++;
            if (i == sizeof kind_names / sizeof *kind_names) refuse("DEVTLOG_FAULT_ONLY", kinds);
            only |= 1u << i;
        }
    }

    const char *log = getenv("DEVTLOG_FAULT_LOG");
    if (log != NULL && *log != 0)
    {
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (log_fd < 0) refuse("DEVTLOG_FAULT_LOG", log);

        // Out of the low numbers, so that the program under test gets the descriptors it would get without us.
        int high = fcntl(log_fd, F_DUPFD_CLOEXEC, 200);
        if (high >= 0)
        {
            syscall(SYS_close, log_fd);
            log_fd = high;
        }
    }

    prefix_length = strlen(prefix);
}

// ---- which calls count

static bool inside(const char *path)
{
    return prefix_length == 1
        || (strncmp(path, prefix, prefix_length) == 0 && (path[prefix_length] == 0 || path[prefix_length] == '/'));
}

bool concerns_path(int folder, const char *path, char *out)
{
    int before = errno;
    bool yes = prefix_length > 0 && resolve(folder, path, out) && inside(out);
    errno = before;
    return yes;
}

bool concerns_fd(int fd, char *out)
{
    if (prefix_length == 0) return false;
    int before = errno;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, PATH_MAX - 1);
    errno = before;
    if (length <= 0) return false;
    out[length] = 0;
    return *out == '/' && inside(out);
}

// ---- one counted call

long perform(const struct call *c)
{
    const long *a = c->argument;
    if (c->number < 0) return 0;
    return syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// The first `bytes` of a write.
static long perform_part(const struct call *c, size_t bytes)
{
    struct call part = *c;
    struct iovec cut[IOV_MAX];
    if (bytes >= c->bytes) return perform(c);
    if (bytes == 0) return 0;
    if (c->vector)
    {
        const struct iovec *all = (const struct iovec *)c->argument[1];
        long count = 0;
        for (size_t left = bytes; left > 0; count++)
        {
            cut[count] = all[count];
            if (cut[count].iov_len > left) cut[count].iov_len = left;
            left -= cut[count].iov_len;
        }
        part.argument[1] = (long)cut;
        part.argument[2] = count;
    }
    else
    {
        part.argument[c->length_at] = (long)bytes;
    }
    return perform(&part);
}

// The write with one bit of it inverted. The caller's bytes stay as they are: it may read back and compare.
static long perform_flipped(const struct call *c, size_t place)
{
    unsigned char *copy = malloc(c->bytes);
    struct iovec whole = {copy, c->bytes};
    struct call flipped = *c;
    if (copy == NULL) abort();
    if (c->vector)
    {
        const struct iovec *parts = (const struct iovec *)c->argument[1];
        size_t length = 0;
        for (long i = 0; i < c->argument[2]; i++)
        {
            memcpy(copy + length, parts[i].iov_base, parts[i].iov_len);
            length += parts[i].iov_len;
        }
        flipped.argument[1] = (long)&whole;
        flipped.argument[2] = 1;
    }
    else
    {
        memcpy(copy, (const void *)c->argument[1], c->bytes);
        flipped.argument[1] = (long)copy;
    }

    copy[place] ^= 1;
    long result = perform(&flipped);
    int error = errno;
    free(copy);
    errno = error;
    return result;
}

// One write(2) of one line: whole lines even with many threads, and still there after SIGKILL.
static void note(const struct call *c, unsigned long n, const char *decided, long result)
{
    if (log_fd < 0) return;
    int error = errno;
    char line[3 * PATH_MAX], outcome[64];
    const char *name = decided == NULL && result == -1 ? strerrorname_np(error) : NULL;
    if (decided != NULL) snprintf(outcome, sizeof outcome, "!%s", decided);
    else if (name != NULL) snprintf(outcome, sizeof outcome, "%s", name);
    else snprintf(outcome, sizeof outcome, "%ld", result);

    int start = snprintf(line, sizeof line, "%lu %s ", n, c->op);
    int length = start + snprintf(line + start, sizeof line - (size_t)start, "%s", c->path);
    for (int i = start; i < length; i++)
    {
        if ((unsigned char)line[i] <= ' ') line[i] = '?';
    }
    length += snprintf(line + length, sizeof line - (size_t)length, " %zu %s\n", c->bytes, outcome);
    syscall(SYS_write, log_fd, line, (size_t)length);
    errno = error;
}

static void __attribute__((noreturn)) die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

// What an action that cuts a write leaves of it. A short write of nothing is only had by asking for it.
static size_t part_kept(const struct call *c)
{
    if (keep >= 0) return (size_t)keep;
    return action->what == LIE ? 0 : action->what == SHORT ? (c->bytes + 1) / 2 : c->bytes / 2;
}

// Not of a copy between two files: its bytes are not in the caller's memory.
static bool can_flip(const struct call *c)
{
    return part_kept(c) < c->bytes && (c->vector || c->length_at == 2);
}

static bool fires(const struct call *c, unsigned long n)
{
    if (n == at) atomic_store(&hit_kind, (unsigned)c->kind);
    bool after = n > at && (repeat_all || (repeat_kind && atomic_load(&hit_kind) == (unsigned)c->kind));
    bool chosen = at != 0 && (n == at || after);
    return chosen && (action->kinds & (unsigned)c->kind) != 0 && (action->what != SHORT || part_kept(c) < c->bytes) && (action->what != FLIP || can_flip(c));
}

long run(const struct call *c)
{
    if ((only & (unsigned)c->kind) == 0) return perform(c);
    unsigned long n = atomic_fetch_add(&counter, 1) + 1;
    if (!fires(c, n))
    {
        long result = perform(c);
        note(c, n, NULL, result);
        return result;
    }

    note(c, n, action->name, 0); // before the act: some acts do not come back
    size_t part = part_kept(c);
    long result;
    switch (action->what)
    {
        case KILL:
            die();
        case KILLAFTER:
            perform(c);
            die();
        case TORN:
            if (c->kind == WRITE) perform_part(c, part);
            die();
        case SHORT:
            return perform_part(c, part);
        case FAIL:
            errno = action->error;
            return -1;
        case LIE:
            if (c->kind != WRITE) return 0;
            result = perform_part(c, part);
            if (result < 0) result = 0;
            // The next write without an offset goes where it would have gone: the lie leaves a hole, not a shift.
            if (c->number == SYS_write || c->number == SYS_writev)
            {
                lseek((int)c->argument[0], (off_t)c->bytes - result, SEEK_CUR);
            }
            return (long)c->bytes;
        case FLIP:
            return perform_flipped(c, part);
        case PERSISTFAIL:
            result = perform(c);
            if (result == -1) return -1;
            if (c->kind == OPEN || c->kind == OPENDIR) syscall(SYS_close, (int)result);
            errno = action->error;
            return -1;
        case HANG:
            for (;;) pause();
        case STOP:
            // To this thread: it does not go on before the whole process has stopped.
            syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSTOP);
            return perform(c);
        default:
            return perform(c);
    }
}
