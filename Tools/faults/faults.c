// Definitions of the C library's calls that change files, in front of its own: the linker binds liblmdb and the
// Swift code of the program to these. Each counts itself while armed, does what it was told to at one
// number, and otherwise calls the C library. So a test kills, stops or fails a process at every step of
// what it does, without privileges and without a debugger.
//
// Counted are calls on regular files, shared maps, locks and names; not standard streams, pipes or /proc.
//
// The clocks can be set as well: to let the wall clock jump, and to pretend that the machine has started anew.
#define _GNU_SOURCE
#include "include/CTidelogFaults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_int action = -1; // -1: not armed
static atomic_int failure;
static atomic_long wanted;
static atomic_long counted;
static atomic_int has_said;

void tidelog_faults_arm(int what, long step, int error) {
    counted = 0;
    has_said = 0;
    wanted = step;
    failure = error;
    action = what;
}

long tidelog_faults_disarm(void) {
    action = -1;
    return counted;
}

static atomic_llong wall_ahead, boot_ahead;
static const char *_Atomic boot_file;

void tidelog_faults_set_clocks(long long wall, long long boot) {
    wall_ahead = wall;
    boot_ahead = boot;
}

void tidelog_faults_set_boot(const char *path) { boot_file = path; }

#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
int tidelog_faults_available(void) { return 0; }
#else
int tidelog_faults_available(void) { return 1; }

#define REAL(name)                                                              \
    ({                                                                          \
        static __typeof__(&name) real;                                          \
        if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);           \
        real;                                                                   \
    })

#define TEAR (-1)

// Says in one line on standard output where the fault came.
static void say(const char *call, int descriptor, const char *path) {
    char link[64], target[512] = "", line[700];
    if (!path && descriptor >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(link, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        path = target;
    }
    int length = snprintf(line, sizeof line, "AT %s %s\n", call, path ? path : "");
    syscall(SYS_write, 1, line, length < (int)sizeof line ? length : (int)sizeof line - 1);
}

// Set by the gate for the call that it lets through.
static _Thread_local int stops_after;

static void end(void) { syscall(SYS_kill, syscall(SYS_getpid), SIGKILL); }

// To this thread, so that it goes no further: a signal to the process may be taken by another.
static void stop(void) { syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), SIGSTOP); }

// Counts a call. 0: let it through; TEAR: half of it; else: let it fail with this number.
static int gate(const char *call, int descriptor, const char *path, int needs_room) {
    int what = action;
    if (what < 0) return 0;
    if (path && (!strncmp(path, "/proc/", 6) || !strncmp(path, "/dev/", 5) || !strncmp(path, "/sys/", 5)))
        return 0;
    if (!path) {
        struct stat status;
        int saved = errno;
        int known = fstat(descriptor, &status);
        errno = saved;
        if (known || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) return 0;
        if (descriptor <= 2) return 0;
    }
    long number = counted++;
    if (what == TIDELOG_FAULT_FULL) {
        if (number < wanted || !needs_room) return 0;
        if (!atomic_exchange(&has_said, 1)) say(call, descriptor, path);
        return ENOSPC;
    }
    if (number != wanted || what == TIDELOG_FAULT_COUNT) return 0;
    say(call, descriptor, path);
    switch (what) {
    case TIDELOG_FAULT_KILL: end(); return 0;
    case TIDELOG_FAULT_STOP: stop(); return 0;
    case TIDELOG_FAULT_STOP_AFTER: stops_after = 1; return 0;
    case TIDELOG_FAULT_FAIL: return failure;
    default: return TEAR;
    }
}

// The end of calls that have no halves.
static int whole(int fault) {
    if (fault == TEAR) end();
    return fault;
}

#define GUARD(fault, failed)                                                    \
    do {                                                                        \
        int number_ = whole(fault);                                             \
        if (number_) {                                                          \
            errno = number_;                                                    \
            return failed;                                                      \
        }                                                                       \
    } while (0)

// Makes the call, and stops behind it if that was asked for.
#define PASS(type, call)                                                        \
    do {                                                                        \
        type result_ = call;                                                    \
        if (stops_after) {                                                      \
            int saved_ = errno;                                                 \
            stops_after = 0;                                                    \
            stop();                                                             \
            errno = saved_;                                                     \
        }                                                                       \
        return result_;                                                         \
    } while (0)

// Bytes.

ssize_t write(int descriptor, const void *bytes, size_t count) {
    int fault = gate("write", descriptor, NULL, 1);
    if (fault == TEAR) REAL(write)(descriptor, bytes, count / 2);
    GUARD(fault, -1);
    PASS(ssize_t, REAL(write)(descriptor, bytes, count));
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    int fault = gate("pwrite", descriptor, NULL, 1);
    if (fault == TEAR) REAL(pwrite)(descriptor, bytes, count / 2, offset);
    GUARD(fault, -1);
    PASS(ssize_t, REAL(pwrite)(descriptor, bytes, count, offset));
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    int fault = gate("writev", descriptor, NULL, 1);
    if (fault == TEAR) REAL(writev)(descriptor, parts, (count + 1) / 2);
    GUARD(fault, -1);
    PASS(ssize_t, REAL(writev)(descriptor, parts, count));
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    int fault = gate("pwritev", descriptor, NULL, 1);
    if (fault == TEAR) REAL(pwritev)(descriptor, parts, (count + 1) / 2, offset);
    GUARD(fault, -1);
    PASS(ssize_t, REAL(pwritev)(descriptor, parts, count, offset));
}

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *end_, size_t count, unsigned flags) {
    GUARD(gate("copy_file_range", to, NULL, 1), -1);
    PASS(ssize_t, REAL(copy_file_range)(from, start, to, end_, count, flags));
}

int ftruncate(int descriptor, off_t length) {
    GUARD(gate("ftruncate", descriptor, NULL, 0), -1);
    PASS(int, REAL(ftruncate)(descriptor, length));
}

int posix_fallocate(int descriptor, off_t offset, off_t length) {
    int fault = whole(gate("posix_fallocate", descriptor, NULL, 1));
    if (fault) return fault;
    PASS(int, REAL(posix_fallocate)(descriptor, offset, length));
}

int fallocate(int descriptor, int mode, off_t offset, off_t length) {
    GUARD(gate("fallocate", descriptor, NULL, 1), -1);
    PASS(int, REAL(fallocate)(descriptor, mode, offset, length));
}

int fsync(int descriptor) {
    GUARD(gate("fsync", descriptor, NULL, 0), -1);
    PASS(int, REAL(fsync)(descriptor));
}

int fdatasync(int descriptor) {
    GUARD(gate("fdatasync", descriptor, NULL, 0), -1);
    PASS(int, REAL(fdatasync)(descriptor));
}

int msync(void *start, size_t count, int flags) {
    GUARD(gate("msync", -1, "", 0), -1);
    PASS(int, REAL(msync)(start, count, flags));
}

void *mmap(void *start, size_t count, int protection, int flags, int descriptor, off_t offset) {
    if ((flags & MAP_SHARED) && descriptor >= 0) GUARD(gate("mmap", descriptor, NULL, 0), MAP_FAILED);
    PASS(void *, REAL(mmap)(start, count, protection, flags, descriptor, offset));
}

// Names.

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (boot_file && !strcmp(path, "/proc/sys/kernel/random/boot_id")) path = boot_file;
    GUARD(gate("open", -1, path, (flags & O_CREAT) != 0), -1);
    PASS(int, REAL(open)(path, flags, mode));
}

int openat(int directory, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    GUARD(gate("openat", -1, path, (flags & O_CREAT) != 0), -1);
    PASS(int, REAL(openat)(directory, path, flags, mode));
}

int rename(const char *path, const char *other) {
    GUARD(gate("rename", -1, other, 1), -1);
    PASS(int, REAL(rename)(path, other));
}

int renameat2(int from, const char *path, int to, const char *other, unsigned flags) {
    GUARD(gate("renameat2", -1, other, 1), -1);
    PASS(int, REAL(renameat2)(from, path, to, other, flags));
}

int unlink(const char *path) {
    GUARD(gate("unlink", -1, path, 0), -1);
    PASS(int, REAL(unlink)(path));
}

int mkdir(const char *path, mode_t mode) {
    GUARD(gate("mkdir", -1, path, 1), -1);
    PASS(int, REAL(mkdir)(path, mode));
}

int rmdir(const char *path) {
    GUARD(gate("rmdir", -1, path, 0), -1);
    PASS(int, REAL(rmdir)(path));
}

int fchmod(int descriptor, mode_t mode) {
    GUARD(gate("fchmod", descriptor, NULL, 0), -1);
    PASS(int, REAL(fchmod)(descriptor, mode));
}

// Locks.

int flock(int descriptor, int operation) {
    GUARD(gate("flock", descriptor, NULL, 0), -1);
    PASS(int, REAL(flock)(descriptor, operation));
}

int fcntl(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (command == F_SETLK || command == F_SETLKW) GUARD(gate("fcntl", descriptor, NULL, 0), -1);
    PASS(int, REAL(fcntl)(descriptor, command, argument));
}

// Clocks.

int clock_gettime(clockid_t clock, struct timespec *time) {
    int status = REAL(clock_gettime)(clock, time);
    long long ahead = clock == CLOCK_REALTIME ? wall_ahead : clock == CLOCK_BOOTTIME ? boot_ahead : 0;
    if (status || !ahead) return status;
    long long total = (long long)time->tv_sec * 1000000000 + time->tv_nsec + ahead;
    time->tv_sec = total / 1000000000;
    time->tv_nsec = total % 1000000000;
    return 0;
}
#endif
