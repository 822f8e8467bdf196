#include <libpq-fe.h>
#include <pthread.h>

// Macros that Swift does not import.
static const int tidelog_pq_sqlstate = PG_DIAG_SQLSTATE;
static const int tidelog_pq_message = PG_DIAG_MESSAGE_PRIMARY;

// Declared by <pthread.h> only with _GNU_SOURCE.
extern int pthread_setname_np(pthread_t thread, const char *name);

// Names the calling thread; at most 15 bytes.
static inline void tidelog_pq_name_thread(const char *name) {
    pthread_setname_np(pthread_self(), name);
}
