// Callers wait on a futex word of their generation (even or odd), so that a commit wakes those it served and
// nobody else, and none of them takes a lock again on its way out.
#include "group.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    pthread_t writer;
    void (*commit)(const struct group_request *, size_t);
    struct group_request *waiting, *committing;
    size_t count;
    uint32_t generation;          // Of the requests in `waiting`.
    _Atomic uint32_t durable[2];  // The last durable generation that is even; that is odd.
    _Atomic uint32_t work;        // 1 when the writer has something to do; its futex.
    bool stopping;
} group = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void *write_groups(void *unused) {
    (void)unused;
    for (;;) {
        while (!atomic_exchange(&group.work, 0)) futex_wait(&group.work, 0);
        pthread_mutex_lock(&group.lock);
        size_t count = group.count;
        uint32_t generation = group.generation;
        bool stopping = group.stopping;
        struct group_request *requests = group.waiting;
        group.waiting = group.committing;
        group.committing = requests;
        group.count = 0;
        if (count) group.generation++;
        pthread_mutex_unlock(&group.lock);
        if (count) {
            group.commit(requests, count);
            atomic_store(&group.durable[generation & 1], generation);
            futex_wake(&group.durable[generation & 1], INT_MAX);
        }
        if (stopping) return NULL;
    }
}

void group_start(void (*commit)(const struct group_request *, size_t), unsigned callers) {
    group.commit = commit;
    group.waiting = calloc(callers, sizeof *group.waiting);
    group.committing = calloc(callers, sizeof *group.committing);
    group.generation = 2;
    if (pthread_create(&group.writer, NULL, write_groups, NULL)) fail("cannot start the writer thread");
}

void group_submit(struct group_request request) {
    pthread_mutex_lock(&group.lock);
    uint32_t generation = group.generation;
    group.waiting[group.count++] = request;
    bool first = group.count == 1;
    pthread_mutex_unlock(&group.lock);
    if (first) {
        atomic_store(&group.work, 1);
        futex_wake(&group.work, 1);
    }
    _Atomic uint32_t *word = &group.durable[generation & 1];
    uint32_t seen;
    while ((int32_t)(generation - (seen = atomic_load(word))) > 0) futex_wait(word, seen);
}

void group_stop(void) {
    pthread_mutex_lock(&group.lock);
    group.stopping = true;
    pthread_mutex_unlock(&group.lock);
    atomic_store(&group.work, 1);
    futex_wake(&group.work, 1);
    pthread_join(group.writer, NULL);
    free(group.waiting);
    free(group.committing);
    group.stopping = false;
}
