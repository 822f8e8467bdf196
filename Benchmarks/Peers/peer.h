// What every peer has in common: the events it stores, the scenarios it runs, the line it prints.
//
// A peer is another way to keep the same events, measured beside Tidelog in the same run. Each program here
// fills in a `struct peer` (open, append, replay, …) and hands it to `peer_main`, which runs one scenario,
// checks that what was read back is what was written, and prints one JSON object a result:
//     {"peer":"lmdb","scenario":"append-1x1000","events":1000000,"seconds":0.7,"events_per_second":1428571}
// Results that are no rates carry one more field: "median_us" (a time per read) or "bytes_per_event".
#ifndef TIDELOG_PEER_H
#define TIDELOG_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// One event of the input file, which is a sequence of (u32 length, little-endian; that many bytes of JSON).
struct event {
    const uint8_t *bytes;
    uint32_t length;
    uint32_t revision;     ///< Its number in its stream, from 0.
    const char *stream;    ///< Not terminated; empty when it has none. Points into `bytes`.
    const char *type;
    uint16_t stream_length, type_length;
    uint32_t stream_number;  ///< Streams are numbered in the order of their first event.
};

/// What was seen while reading events: enough to tell that all of them came back.
struct tally {
    uint64_t events, bytes, sum;
};

/// Takes one event of a replay: reads one byte of each cache line, so that its bytes are really fetched.
static inline void consume(struct tally *tally, const void *bytes, size_t length) {
    const uint8_t *p = bytes;
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i += 64) sum += p[i];
    tally->events += 1;
    tally->bytes += length;
    tally->sum += sum;
}

struct input;

/// One way to store events. A function that is NULL is a scenario that the peer does not take part in.
struct peer {
    const char *name;
    /// The most callers that append at once; scenarios with more are left out.
    unsigned most_callers;
    /// Whether it needs streams and types (an index on them), which cost a pass over the input.
    bool needs_columns;
    /// Opens a store in an empty directory, for so many concurrent callers.
    void (*open)(const char *directory, unsigned callers);
    /// Appends events and returns when they are durable. The first event's place in the input is `index`;
    /// with one caller it is also its position.
    void (*append)(unsigned caller, uint64_t index, const struct event *events, size_t count);
    /// Waits for what `append` left under way (only a peer that says so in its name leaves anything).
    void (*flush)(void);
    /// Puts the store into the state that a reader finds after a while: compacted, checkpointed.
    void (*settle)(void);
    /// Reads every event in order.
    void (*replay)(struct tally *tally);
    /// Copies the event at a position to `out` and returns its length.
    size_t (*point)(uint64_t position, uint8_t *out);
    /// Reads the events of one stream in order.
    void (*stream)(const char *name, size_t length, struct tally *tally);
    /// How many events have this type.
    uint64_t (*count_type)(const char *name, size_t length);
    /// Takes every event of the input in order as a durable consumer that acknowledges each, and returns when
    /// the server has taken all acknowledgements. Holds each against the input with `expect_event`.
    void (*consume)(const struct input *input);
    /// The bytes that the events take; NULL: the size of the directory after `close`.
    uint64_t (*stored_bytes)(void);
    /// Closes the store. `open` with `reopen` set may follow.
    void (*close)(void);
    /// Opens what `close` left, for reading.
    void (*reopen)(const char *directory);
};

/// Runs the scenario that the arguments name, with the one of these peers that they name.
int peer_main(int argc, char **argv, const struct peer *peers, size_t count);

/// Seconds on the monotonic clock.
double now(void);

/// Ends the program with a message.
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// Ends the program unless these bytes are the event at that place of the input.
void expect_event(const struct input *input, uint64_t index, const void *bytes, size_t length);

/// Prints one result.
void report(const char *peer, const char *scenario, uint64_t events, double seconds);
void report_value(
    const char *peer, const char *scenario, uint64_t events, double seconds, const char *field, double value);

static inline uint64_t big_endian(uint64_t value) { return __builtin_bswap64(value); }

#endif
