// Group commit for libraries that have none: one writer thread commits whatever callers are waiting, in one
// transaction with one sync, and wakes them all.
#ifndef TIDELOG_GROUP_H
#define TIDELOG_GROUP_H

#include "peer.h"

/// What one caller waits for. `encoded` is for a peer that encodes on its callers' threads.
struct group_request {
    unsigned caller;
    uint64_t index;
    const struct event *events;
    size_t count;
    const void *encoded;
    size_t encoded_length;
};

/// Starts the writer thread, which calls `commit` with all that is waiting; it must return after the sync.
void group_start(void (*commit)(const struct group_request *requests, size_t count), unsigned callers);
/// Hands a request to the writer and returns when it is durable.
void group_submit(struct group_request request);
/// Ends the writer thread. Nothing may be waiting.
void group_stop(void);

#endif
