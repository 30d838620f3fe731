// One storage call under the eyes of the shim; fault.c decides about it, calls.c has libc's names for it.
#ifndef DEVTLOG_FAULT_H
#define DEVTLOG_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#if !defined(__linux__) || !defined(__LP64__)
#error "written for 64-bit Linux: an offset is one argument of a system call"
#endif

enum kind
{
    OPEN = 1, OPENDIR = 2, WRITE = 4, SYNC = 8, TRUNC = 16, ALLOC = 32, RENAME = 64, UNLINK = 128, MKDIR = 256, LINK = 512, ALL = 1023,

    // Questions, which change nothing. They count only where DEVTLOG_FAULT_ONLY names them: a runtime asks thousands, at any time.
    STAT = 1024, ACCESS = 2048, LIST = 4096, READ = 8192, QUESTIONS = STAT | ACCESS | LIST | READ
};

struct call
{
    enum kind kind;
    const char *op, *path;
    size_t bytes;   // asked for
    int length_at;  // of a write: index of the argument that holds the length, if it is no vector
    bool vector;    // arguments 1 and 2 are an iovec array and its count
    long number;    // of the system call; -1: none, the caller asks libc when the answer is 0
    long argument[6];
};

// Whether the name, or the descriptor's file, is in the folder under test. Its absolute path (PATH_MAX bytes) goes to out.
bool concerns_path(int folder, const char *path, char *out);
bool concerns_fd(int fd, char *out);

// The plain system call: -1 and errno on failure.
long perform(const struct call *c);

// The same for a call that concerns us: counted, logged, and gone wrong if its turn has come.
long run(const struct call *c);

#endif
