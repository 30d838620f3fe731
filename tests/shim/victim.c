// What the self-test of the shim preys on: each storage call once, in a fixed order, by the names that programs use.
// Prints "step outcome" for each on standard output: the number returned, or the error. Never stops at one.
//
//   victim DIR          the steps below, in DIR
//   victim DIR threads  8 threads, each with a file of its own and 100 writes of 10 bytes
//   victim DIR ask      questions: the stat family, access, listing, an open that only reads
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void step(const char *name, long result)
{
    if (result == -1) dprintf(STDOUT_FILENO, "%s %s\n", name, strerrorname_np(errno));
    else dprintf(STDOUT_FILENO, "%s %ld\n", name, result);
}

static void opened(const char *name, int fd)
{
    step(name, fd == -1 ? -1 : 0);
}

static void *writer(void *name)
{
    char bytes[10] = "123456789\n";
    int fd = open(name, O_WRONLY | O_CREAT, 0644);
    for (int i = 0; i < 100; i++)
    {
        if (write(fd, bytes, sizeof bytes) != sizeof bytes) return name;
    }
    close(fd);
    return NULL;
}

static int threads(void)
{
    pthread_t all[8];
    char names[8][8];
    int failed = 0;
    for (int i = 0; i < 8; i++)
    {
        snprintf(names[i], sizeof names[i], "t%d", i);
        pthread_create(&all[i], NULL, writer, names[i]);
    }
    for (int i = 0; i < 8; i++)
    {
        void *bad;
        pthread_join(all[i], &bad);
        failed += bad != NULL;
    }
    return failed;
}

// Questions about names and files, in the order of the self-test's list.
static int questions(void)
{
    struct stat info;
    struct statx more;
    mkdir("d", 0755);
    close(open("d/a", O_WRONLY | O_CREAT, 0644));
    step("stat", stat("d/a", &info));
    step("lstat", lstat("d/a", &info));
    int reader = open("d/a", O_RDONLY);
    opened("read", reader);
    step("fstat", fstat(reader, &info));
    step("fstatat", fstatat(AT_FDCWD, "d/a", &info, 0));
    step("statx", statx(AT_FDCWD, "d/a", 0, STATX_BASIC_STATS, &more));
    step("statx_fd", statx(reader, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &more));
    step("access", access("d/a", R_OK));
    step("faccessat", faccessat(AT_FDCWD, "d/a", R_OK, AT_EACCESS));
    DIR *folder = opendir("d");
    step("opendir", folder == NULL ? -1 : 0);
    for (int i = 0; folder != NULL && i < 4; i++)
    {
        errno = 0;
        struct dirent *entry = readdir(folder);
        step("readdir", entry == NULL && errno != 0 ? -1 : entry != NULL);
    }
    step("stat_absent", stat("d/none", &info));
    step("stat_outside", stat("../outside", &info));
    return 0;
}

int main(int count, char **arguments)
{
    char bytes[1000];
    memset(bytes, 'x', sizeof bytes);
    char others[60];
    memset(others, 'y', sizeof others);
    struct iovec three[] = {{others, 10}, {others, 20}, {others + 30, 30}};
    if (count < 2 || chdir(arguments[1]) != 0) return 2;
    if (count == 3) return strcmp(arguments[2], "ask") == 0 ? questions() : threads();

    step("mkdir", mkdir("d", 0755));                                       // 1
    int a = open("d/a", O_RDWR | O_CREAT, 0644);                           // 2
    opened("open", a);
    step("write", write(a, bytes, 1000));                                  // 3
    step("pwrite", pwrite(a, bytes, 1000, 1000));                          // 4
    step("writev", writev(a, three, 3));                                   // 5
    step("pwritev", pwritev64(a, three, 3, 2000));                         // 6
    step("fsync", fsync(a));                                               // 7
    step("fdatasync", fdatasync(a));                                       // 8
    step("sync_file_range", sync_file_range(a, 0, 0, SYNC_FILE_RANGE_WRITE)); // 9
    step("ftruncate", ftruncate(a, 3000));                                 // 10
    step("fallocate", fallocate(a, 0, 0, 4000));                           // 11
    errno = posix_fallocate(a, 0, 5000);                                   // 12
    step("posix_fallocate", errno == 0 ? 0 : -1);
    int folder = open("d", O_DIRECTORY | O_RDONLY);                        // 13
    opened("opendir", folder);
    step("fsync_folder", fsync(folder));                                   // 14
    opened("openat", openat(folder, "b", O_WRONLY | O_CREAT | O_EXCL, 0644)); // 15
    opened("creat", creat("d/c", 0644));                                   // 16
    step("rename", rename("d/b", "d/e"));                                  // 17
    step("renameat", renameat(folder, "e", folder, "f"));                  // 18
    step("renameat2", renameat2(folder, "f", folder, "g", RENAME_NOREPLACE)); // 19
    step("link", link("d/c", "d/h"));                                      // 20
    step("unlink", unlink("d/h"));                                         // 21
    step("unlinkat", unlinkat(folder, "g", 0));                            // 22
    int twin = dup(a);
    step("write_dup", write(twin, bytes, 7));                              // 23
    close(twin);

    // As .NET's P/Invoke of "libc" does.
    int (*by_name)(int) = NULL;
    *(void **)&by_name = dlsym(dlopen("libc.so.6", RTLD_LAZY), "fsync");
    step("fsync_by_name", by_name(a));                                     // 24

    step("close", close(a));
    step("write_closed", write(a, bytes, 1));
    int reader = open("d/a", O_RDONLY);
    opened("open_reading", reader);
    int out = open("../outside", O_WRONLY | O_CREAT, 0644);
    step("write_outside", write(out, bytes, 5));
    step("fsync_outside", fsync(out));
    return 0;
}
