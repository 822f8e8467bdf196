// What the peers of the event store have in common: the events, the scenarios, the lines of results.
//
// Each event goes to a stream that the caller names and must get the next revision there: an append says which
// revision it expects the stream to have, and one that finds another revision is a failure of the run.
#ifndef TIDELOG_STORE_H
#define TIDELOG_STORE_H

#include "peer.h"

/// One event with all that an event store keeps of it.
struct made {
    uint8_t id[16], correlation[16];
    char stream[32], type[32], metadata[96], payload[256];
    int stream_length, type_length, metadata_length, payload_length;
    int64_t timestamp;
    int64_t revision;
};

/// The event number `number` of the run, as the next one of a stream. The same numbers give the same events in
/// every peer.
void make_event(uint64_t number, uint32_t stream, int64_t revision, struct made *event);

/// The name of a stream.
int stream_name(uint32_t stream, char *out);

/// An event as a caller gets it: a copy of its own of everything.
struct owned {
    int64_t position, revision, timestamp;
    uint8_t id[16], correlation[16];
    /// One allocation with all texts and bytes, one after the other.
    char *bytes;
    uint32_t type_length, stream_length, metadata_length, payload_length;
};

struct store {
    const char *name;
    void (*open)(const char *directory, unsigned callers);
    /// Appends one event, durable, if its stream is at the revision before the event's.
    void (*append)(unsigned caller, const struct made *event);
    /// Stores many, durable at the end; `fill_done` follows the last call.
    void (*fill)(const struct made *events, size_t count);
    void (*fill_done)(void);
    /// Answers the events of a stream as an array of `capacity` owned values at the most; how many there are.
    size_t (*load)(const char *stream, int length, struct owned *out, size_t capacity);
    void (*close)(void);
};

/// Takes the parts of a row apart into an owned event.
void own(
    struct owned *out, const void *id, const void *correlation, const void *type, size_t type_length,
    const void *stream, size_t stream_length, const void *metadata, size_t metadata_length, const void *payload,
    size_t payload_length);

int store_main(int argc, char **argv, const struct store *stores, size_t count);

#endif
