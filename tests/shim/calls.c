// Libc's names for the storage calls, each told to the shim if it concerns the folder under test; fault.c says the rest.
#define _GNU_SOURCE
#include "fault.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define EXPORT __attribute__((visibility("default")))

// ---- opens

static int open_at(const char *op, int folder, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    bool directory = (flags & O_DIRECTORY) != 0 && (flags & O_TMPFILE) != O_TMPFILE;
    bool counts = directory || (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_ACCMODE) != O_RDONLY;
    struct call call = {
        .kind = directory ? OPENDIR : counts ? OPEN : READ, .op = directory ? "opendir" : counts ? op : "openread", .path = full,
        .number = SYS_openat, .argument = {folder, (long)path, flags, (long)mode}};
    return (int)(concerns_path(folder, path, full) ? run(&call) : perform(&call));
}

#define MODE_IF_TAKEN(mode, flags) \
    mode_t mode = 0; \
    if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) \
    { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

EXPORT int open(const char *path, int flags, ...)
{
    MODE_IF_TAKEN(mode, flags)
    return open_at("open", AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int folder, const char *path, int flags, ...)
{
    MODE_IF_TAKEN(mode, flags)
    return open_at("openat", folder, path, flags, mode);
}

EXPORT int creat(const char *path, mode_t mode)
{
    return open_at("creat", AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

// What a program built with _FORTIFY_SOURCE calls where the mode is not needed.
int __open_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
EXPORT int __open_2(const char *path, int flags) { return open_at("open", AT_FDCWD, path, flags, 0); }
EXPORT int __openat_2(int folder, const char *path, int flags) { return open_at("openat", folder, path, flags, 0); }

// On a 64-bit system libc has every call with an offset under two names that are one function.
#define ALIAS(name) EXPORT __attribute__((alias(#name)))
ALIAS(open) int open64(const char *path, int flags, ...);
ALIAS(openat) int openat64(int folder, const char *path, int flags, ...);
ALIAS(creat) int creat64(const char *path, mode_t mode);
ALIAS(__open_2) int __open64_2(const char *path, int flags);
ALIAS(__openat_2) int __openat64_2(int folder, const char *path, int flags);

// ---- calls on a descriptor

#define ARGUMENTS(...) ((const long[6]){__VA_ARGS__})

// `length_at` is the index of the length among the arguments, for writes.
static long on_fd(enum kind kind, const char *op, int fd, size_t bytes, int length_at, long number, const long *arguments)
{
    char path[PATH_MAX];
    struct call call = {.kind = kind, .op = op, .path = path, .bytes = bytes, .length_at = length_at, .number = number};
    memcpy(call.argument, arguments, sizeof call.argument);
    return concerns_fd(fd, path) ? run(&call) : perform(&call);
}

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
    return on_fd(WRITE, "write", fd, n, 2, SYS_write, ARGUMENTS(fd, (long)data, (long)n));
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t offset)
{
    return on_fd(WRITE, "pwrite", fd, n, 2, SYS_pwrite64, ARGUMENTS(fd, (long)data, (long)n, offset));
}

EXPORT ssize_t sendfile(int to, int from, off_t *offset, size_t n)
{
    return on_fd(WRITE, "sendfile", to, n, 3, SYS_sendfile, ARGUMENTS(to, from, (long)offset, (long)n));
}

EXPORT ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t n, unsigned flags)
{
    return on_fd(WRITE, "copy_file_range", to, n, 4, SYS_copy_file_range,
        ARGUMENTS(from, (long)from_offset, to, (long)to_offset, (long)n, flags));
}

static ssize_t on_vector(const char *op, long number, int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    char path[PATH_MAX];
    struct call call = {
        .kind = WRITE, .op = op, .path = path, .vector = true, .number = number,
        .argument = {fd, (long)parts, count, offset, 0, flags}};
    if (count < 0 || count > IOV_MAX || !concerns_fd(fd, path)) return perform(&call);
    for (int i = 0; i < count; i++) call.bytes += parts[i].iov_len;
    return run(&call);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return on_vector("writev", SYS_writev, fd, parts, count, 0, 0);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return on_vector("pwritev", SYS_pwritev, fd, parts, count, offset, 0);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    return on_vector("pwritev2", SYS_pwritev2, fd, parts, count, offset, flags);
}

EXPORT int fsync(int fd) { return (int)on_fd(SYNC, "fsync", fd, 0, 0, SYS_fsync, ARGUMENTS(fd)); }
EXPORT int fdatasync(int fd) { return (int)on_fd(SYNC, "fdatasync", fd, 0, 0, SYS_fdatasync, ARGUMENTS(fd)); }
EXPORT int flock(int fd, int operation)
{
    char path[PATH_MAX];
    const char *lost = getenv("DEVTLOG_FAULT_FLOCK");
    if (lost != NULL && *lost == '1' && concerns_fd(fd, path)) return 0;
    struct call call = {.number = SYS_flock, .argument = {fd, operation}};
    return (int)perform(&call);
}

EXPORT int syncfs(int fd) { return (int)on_fd(SYNC, "syncfs", fd, 0, 0, SYS_syncfs, ARGUMENTS(fd)); }

EXPORT int sync_file_range(int fd, off64_t offset, off64_t n, unsigned flags)
{
    return (int)on_fd(SYNC, "sync_file_range", fd, (size_t)n, 0, SYS_sync_file_range, ARGUMENTS(fd, offset, n, flags));
}

EXPORT int ftruncate(int fd, off_t n)
{
    return (int)on_fd(TRUNC, "ftruncate", fd, (size_t)n, 0, SYS_ftruncate, ARGUMENTS(fd, n));
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t n)
{
    return (int)on_fd(ALLOC, "fallocate", fd, (size_t)n, 0, SYS_fallocate, ARGUMENTS(fd, mode, offset, n));
}

// Returns the error instead of setting errno. libc would fall back to writing a byte a block where the file system
// cannot allocate; here that is EOPNOTSUPP, which POSIX allows.
EXPORT int posix_fallocate(int fd, off_t offset, off_t n)
{
    int before = errno;
    bool done = on_fd(ALLOC, "posix_fallocate", fd, (size_t)n, 0, SYS_fallocate, ARGUMENTS(fd, 0, offset, n)) == 0;
    int error = done ? 0 : errno;
    errno = before;
    return error;
}

ALIAS(pwrite) ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset);
ALIAS(sendfile) ssize_t sendfile64(int to, int from, off64_t *offset, size_t n);
ALIAS(pwritev) ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset);
ALIAS(pwritev2) ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags);
ALIAS(ftruncate) int ftruncate64(int fd, off64_t n);
ALIAS(fallocate) int fallocate64(int fd, int mode, off64_t offset, off64_t n);
ALIAS(posix_fallocate) int posix_fallocate64(int fd, off64_t offset, off64_t n);

// ---- calls on names

static int on_path(enum kind kind, const char *op, int folder, const char *path, size_t bytes, long number, const long *arguments)
{
    char full[PATH_MAX];
    struct call call = {.kind = kind, .op = op, .path = full, .bytes = bytes, .number = number};
    memcpy(call.argument, arguments, sizeof call.argument);
    return (int)(concerns_path(folder, path, full) ? run(&call) : perform(&call));
}

EXPORT int truncate(const char *path, off_t n)
{
    return on_path(TRUNC, "truncate", AT_FDCWD, path, (size_t)n, SYS_truncate, ARGUMENTS((long)path, n));
}

EXPORT int unlink(const char *path)
{
    return on_path(UNLINK, "unlink", AT_FDCWD, path, 0, SYS_unlinkat, ARGUMENTS(AT_FDCWD, (long)path));
}

EXPORT int unlinkat(int folder, const char *path, int flags)
{
    return on_path(UNLINK, "unlinkat", folder, path, 0, SYS_unlinkat, ARGUMENTS(folder, (long)path, flags));
}

EXPORT int rmdir(const char *path)
{
    return on_path(UNLINK, "rmdir", AT_FDCWD, path, 0, SYS_unlinkat, ARGUMENTS(AT_FDCWD, (long)path, AT_REMOVEDIR));
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    return on_path(MKDIR, "mkdir", AT_FDCWD, path, 0, SYS_mkdirat, ARGUMENTS(AT_FDCWD, (long)path, (long)mode));
}

EXPORT int mkdirat(int folder, const char *path, mode_t mode)
{
    return on_path(MKDIR, "mkdirat", folder, path, 0, SYS_mkdirat, ARGUMENTS(folder, (long)path, (long)mode));
}

EXPORT int symlink(const char *target, const char *path)
{
    return on_path(LINK, "symlink", AT_FDCWD, path, 0, SYS_symlinkat, ARGUMENTS((long)target, AT_FDCWD, (long)path));
}

// ---- questions

// On a 64-bit system libc's struct stat is the kernel's.
EXPORT int fstatat(int folder, const char *path, struct stat *info, int flags)
{
    if ((flags & AT_EMPTY_PATH) != 0 && *path == 0) return (int)on_fd(STAT, "fstat", folder, 0, 0, SYS_newfstatat, ARGUMENTS(folder, (long)path, (long)info, flags));
    return on_path(STAT, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? "lstat" : "stat", folder, path, 0, SYS_newfstatat, ARGUMENTS(folder, (long)path, (long)info, flags));
}

EXPORT int stat(const char *path, struct stat *info) { return fstatat(AT_FDCWD, path, info, 0); }
EXPORT int lstat(const char *path, struct stat *info) { return fstatat(AT_FDCWD, path, info, AT_SYMLINK_NOFOLLOW); }
EXPORT int fstat(int fd, struct stat *info) { return (int)on_fd(STAT, "fstat", fd, 0, 0, SYS_fstat, ARGUMENTS(fd, (long)info)); }

EXPORT int statx(int folder, const char *path, int flags, unsigned mask, struct statx *info)
{
    if ((flags & AT_EMPTY_PATH) != 0 && *path == 0) return (int)on_fd(STAT, "statx", folder, 0, 0, SYS_statx, ARGUMENTS(folder, (long)path, flags, mask, (long)info));
    return on_path(STAT, "statx", folder, path, 0, SYS_statx, ARGUMENTS(folder, (long)path, flags, mask, (long)info));
}

ALIAS(stat) int stat64(const char *path, struct stat64 *info);
ALIAS(lstat) int lstat64(const char *path, struct stat64 *info);
ALIAS(fstat) int fstat64(int fd, struct stat64 *info);
ALIAS(fstatat) int fstatat64(int folder, const char *path, struct stat64 *info, int flags);

// What programs call that were built for a libc before 2.33; the version is always that of the machine.
int __xstat(int version, const char *path, struct stat *info);
int __lxstat(int version, const char *path, struct stat *info);
int __fxstat(int version, int fd, struct stat *info);
int __fxstatat(int version, int folder, const char *path, struct stat *info, int flags);
EXPORT int __xstat(int version, const char *path, struct stat *info) { (void)version; return stat(path, info); }
EXPORT int __lxstat(int version, const char *path, struct stat *info) { (void)version; return lstat(path, info); }
EXPORT int __fxstat(int version, int fd, struct stat *info) { (void)version; return fstat(fd, info); }
EXPORT int __fxstatat(int version, int folder, const char *path, struct stat *info, int flags) { (void)version; return fstatat(folder, path, info, flags); }
ALIAS(__xstat) int __xstat64(int version, const char *path, struct stat64 *info);
ALIAS(__lxstat) int __lxstat64(int version, const char *path, struct stat64 *info);
ALIAS(__fxstat) int __fxstat64(int version, int fd, struct stat64 *info);
ALIAS(__fxstatat) int __fxstatat64(int version, int folder, const char *path, struct stat64 *info, int flags);

EXPORT int access(const char *path, int mode)
{
    return on_path(ACCESS, "access", AT_FDCWD, path, 0, SYS_faccessat, ARGUMENTS(AT_FDCWD, (long)path, mode));
}

EXPORT int faccessat(int folder, const char *path, int mode, int flags)
{
    return on_path(ACCESS, "faccessat", folder, path, 0, flags == 0 ? SYS_faccessat : SYS_faccessat2, ARGUMENTS(folder, (long)path, mode, flags));
}

static void *next_of(const char *name);

EXPORT DIR *opendir(const char *path)
{
    char full[PATH_MAX];
    struct call call = {
        .kind = LIST, .op = "opendir(3)", .path = full, .number = SYS_openat,
        .argument = {AT_FDCWD, (long)path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK}};
    int fd = (int)(concerns_path(AT_FDCWD, path, full) ? run(&call) : perform(&call));
    return fd < 0 ? NULL : fdopendir(fd);
}

EXPORT struct dirent *readdir(DIR *directory)
{
    static struct dirent *(*libc_readdir)(DIR *);
    char path[PATH_MAX];
    struct call call = {.kind = LIST, .op = "readdir", .path = path, .number = -1};
    if (libc_readdir == NULL) *(void **)&libc_readdir = next_of("readdir");
    return concerns_fd(dirfd(directory), path) && run(&call) != 0 ? NULL : libc_readdir(directory);
}

ALIAS(readdir) struct dirent64 *readdir64(DIR *directory);

// Counts when either name is ours.
static int on_two(enum kind kind, const char *op, long number, int folder, const char *path, int to_folder, const char *to, unsigned flags)
{
    char from_full[PATH_MAX], to_full[PATH_MAX], both[2 * PATH_MAX];
    struct call call = {
        .kind = kind, .op = op, .path = both, .number = number,
        .argument = {folder, (long)path, to_folder, (long)to, flags}};
    bool from_ours = concerns_path(folder, path, from_full), to_ours = concerns_path(to_folder, to, to_full);
    if (!from_ours && !to_ours) return (int)perform(&call);
    snprintf(both, sizeof both, "%s>%s", from_ours ? from_full : path, to_ours ? to_full : to);
    return (int)run(&call);
}

EXPORT int link(const char *path, const char *to)
{
    return on_two(LINK, "link", SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0);
}

EXPORT int linkat(int folder, const char *path, int to_folder, const char *to, int flags)
{
    return on_two(LINK, "linkat", SYS_linkat, folder, path, to_folder, to, (unsigned)flags);
}

EXPORT int rename(const char *path, const char *to)
{
    return on_two(RENAME, "rename", SYS_renameat2, AT_FDCWD, path, AT_FDCWD, to, 0);
}

EXPORT int renameat(int folder, const char *path, int to_folder, const char *to)
{
    return on_two(RENAME, "renameat", SYS_renameat2, folder, path, to_folder, to, 0);
}

EXPORT int renameat2(int folder, const char *path, int to_folder, const char *to, unsigned flags)
{
    return on_two(RENAME, "renameat2", SYS_renameat2, folder, path, to_folder, to, flags);
}

// ---- calls found by name

// P/Invoke of "libc" asks dlsym for a function in libc itself and so goes past anything preloaded: it gets ours here.
static void *(*libc_dlsym)(void *, const char *);
static void *self, *self_base, *libc_base;

static void *base_of(const void *function)
{
    Dl_info about;
    return dladdr(function, &about) != 0 ? about.dli_fbase : NULL;
}

static void find_libc_dlsym(void)
{
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions && libc_dlsym == NULL; i++)
    {
        *(void **)&libc_dlsym = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    }

    Dl_info about;
    if (libc_dlsym == NULL || dladdr((void *)find_libc_dlsym, &about) == 0) abort();
    self_base = about.dli_fbase;
    self = dlopen(about.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    libc_base = base_of(libc_dlsym(RTLD_NEXT, "write"));
}

static pthread_once_t found_dlsym = PTHREAD_ONCE_INIT;

static void *next_of(const char *name)
{
    pthread_once(&found_dlsym, find_libc_dlsym);
    return libc_dlsym(RTLD_NEXT, name);
}

EXPORT void *dlsym(void *handle, const char *name)
{
    pthread_once(&found_dlsym, find_libc_dlsym);
    // RTLD_NEXT goes by the caller's place in memory: this has to stay a tail call.
    if (handle == RTLD_NEXT || self == NULL) return libc_dlsym(handle, name);

    void *ours = libc_dlsym(self, name);
    dlerror();
    void *found = libc_dlsym(handle, name);
    bool replace = found != NULL && ours != NULL && base_of(ours) == self_base && base_of(found) == libc_base;
    return replace ? ours : found;
}
