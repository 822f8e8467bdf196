// Calls of Linux that Swift's Glibc module lacks: the type of a file system, and the name of a thread.
#include <errno.h>
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
