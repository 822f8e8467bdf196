// Calls of Linux that Swift's Glibc module lacks: the type of a file system, the name of a thread, and the
// exchange of two files.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/vfs.h>

// Declared by <pthread.h> only with _GNU_SOURCE.
extern int pthread_setname_np(pthread_t thread, const char *name);

// The type of the file system that holds `path`, or -1 and errno.
static inline long tidelog_file_system_type(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (long)(unsigned int)status.f_type : -1;
}

// The type of the file system that holds an open file, or -1 and errno.
static inline long tidelog_file_system_type_of(int descriptor) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 ? (long)(unsigned int)status.f_type : -1;
}

// Names the calling thread.
static inline void tidelog_name_thread(const char *name) {
    pthread_setname_np(pthread_self(), name);
}

// Declared by <stdio.h> only with _GNU_SOURCE, as is RENAME_EXCHANGE.
extern int renameat2(int from, const char *path, int to, const char *other, unsigned int flags);

// Exchanges what stands under two names; 0, or -1 and errno.
static inline int tidelog_exchange(const char *path, const char *other) {
    return renameat2(AT_FDCWD, path, AT_FDCWD, other, 2);
}
