// The scenarios of the event store, for peers in C:
//     append   64 callers; each owns some of 1,000 streams and appends one event to each in turn, expecting its
//              revision, for so many seconds
//     load     1,000,000 events in 10,000 streams, all streams in turn; then one stream of 100 again and again,
//              and different ones in a random order
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mixed(uint64_t z) {
    z += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

int stream_name(uint32_t stream, char *out) { return sprintf(out, "account-%07u", stream); }

void make_event(uint64_t number, uint32_t stream, int64_t revision, struct made *event) {
    uint64_t a = mixed(number * 4), b = mixed(number * 4 + 1), c = mixed(number * 4 + 2), d = mixed(number * 4 + 3);
    // As a UUID of version 7: ids ascend, which suits a B-tree.
    uint64_t first = big_endian(0x018f000000007000 + (number << 16));
    memcpy(event->id, &first, 8), memcpy(event->id + 8, &b, 8);
    memcpy(event->correlation, &c, 8), memcpy(event->correlation + 8, &d, 8);
    event->stream_length = stream_name(stream, event->stream);
    event->type_length = sprintf(event->type, "account.changed-%02u", (unsigned)(a % 20));
    event->metadata_length =
        sprintf(event->metadata, "{\"user\":\"u-%04u\",\"trace\":\"%016llx\"}", (unsigned)(b % 5000),
                (unsigned long long)c);
    event->payload_length = sprintf(
        event->payload,
        "{\"amount\":%u,\"currency\":\"EUR\",\"reason\":\"%s\",\"reference\":\"%016llx\",\"balance\":%u,\"approved\":%s}",
        (unsigned)(a % 100000), b % 3 ? "a purchase at the counter" : "a transfer between accounts",
        (unsigned long long)d, (unsigned)(d % 1000000), c % 2 ? "true" : "false");
    event->timestamp = 1700000000000000000 + (int64_t)number * 1000000;
    event->revision = revision;
}

void own(
    struct owned *out, const void *id, const void *correlation, const void *type, size_t type_length,
    const void *stream, size_t stream_length, const void *metadata, size_t metadata_length, const void *payload,
    size_t payload_length) {
    memcpy(out->id, id, 16);
    memcpy(out->correlation, correlation, 16);
    char *p = out->bytes = malloc(type_length + stream_length + metadata_length + payload_length);
    if (!p) fail("out of memory");
    memcpy(p, type, type_length), p += type_length;
    memcpy(p, stream, stream_length), p += stream_length;
    memcpy(p, metadata, metadata_length), p += metadata_length;
    memcpy(p, payload, payload_length);
    out->type_length = (uint32_t)type_length;
    out->stream_length = (uint32_t)stream_length;
    out->metadata_length = (uint32_t)metadata_length;
    out->payload_length = (uint32_t)payload_length;
}

// MARK: Appending

static struct {
    const struct store *store;
    unsigned callers, streams;
    double limit, start;
    pthread_barrier_t ready;
    _Atomic uint64_t done;
} run;

static void *append_in_turn(void *argument) {
    unsigned caller = (unsigned)(uintptr_t)argument;
    struct made event;
    pthread_barrier_wait(&run.ready);
    pthread_barrier_wait(&run.ready);
    uint64_t done = 0;
    for (int64_t round = 0;; round++) {
        for (uint32_t stream = caller; stream < run.streams; stream += run.callers) {
            make_event((uint64_t)round * run.streams + stream, stream, round, &event);
            run.store->append(caller, &event);
            done++;
            if (now() - run.start > run.limit) goto over;
        }
    }
over:
    atomic_fetch_add(&run.done, done);
    return NULL;
}

static void measure_append(const struct store *store, const char *directory, double seconds) {
    run.store = store, run.callers = 64, run.streams = 1000, run.limit = seconds;
    store->open(directory, run.callers);
    pthread_barrier_init(&run.ready, NULL, run.callers + 1);
    pthread_t threads[64];
    for (unsigned i = 0; i < run.callers; i++)
        if (pthread_create(&threads[i], NULL, append_in_turn, (void *)(uintptr_t)i)) fail("cannot start a thread");
    pthread_barrier_wait(&run.ready);
    run.start = now();
    pthread_barrier_wait(&run.ready);
    for (unsigned i = 0; i < run.callers; i++) pthread_join(threads[i], NULL);
    report(store->name, "append", run.done, now() - run.start);
    store->close();
}

// MARK: Loading

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void load_all(const struct store *store, const char *scenario, unsigned streams, bool same) {
    enum { warming = 200, reads = 2000, length = 100 };
    static double times[reads];
    double total = 0;
    for (unsigned i = 0; i < warming + reads; i++) {
        char name[32];
        uint32_t stream = same ? streams / 2 : (uint32_t)(mixed(i) % streams);
        int name_length = stream_name(stream, name);
        struct owned events[length];
        double start = now();
        size_t count = store->load(name, name_length, events, length);
        for (size_t e = 0; e < count; e++) free(events[e].bytes);
        double seconds = now() - start;
        if (count != length || events[length - 1].revision != length - 1) fail("the stream has %zu events", count);
        if (i >= warming) times[i - warming] = seconds, total += seconds;
    }
    qsort(times, reads, sizeof *times, compare);
    report_value(store->name, scenario, (uint64_t)reads * length, total, "median_us", times[reads / 2] * 1e6);
}

static void measure_load(const struct store *store, const char *directory, uint64_t count) {
    enum { batch = 1000 };
    static struct made events[batch];
    uint32_t streams = (uint32_t)(count / 100);
    store->open(directory, 1);
    for (uint64_t n = 0; n < count; n += batch) {
        for (uint64_t i = 0; i < batch; i++)
            make_event(n + i, (uint32_t)((n + i) % streams), (int64_t)((n + i) / streams), &events[i]);
        store->fill(events, batch);
    }
    store->fill_done();
    load_all(store, "load", streams, true);
    load_all(store, "load-any", streams, false);
    store->close();
}

int store_main(int argc, char **argv, const struct store *stores, size_t count) {
    const char *name = stores[0].name, *scenario = NULL, *directory = NULL;
    uint64_t events = 1000000;
    double seconds = 3;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--peer")) name = argv[i + 1];
        else if (!strcmp(argv[i], "--scenario")) scenario = argv[i + 1];
        else if (!strcmp(argv[i], "--directory")) directory = argv[i + 1];
        else if (!strcmp(argv[i], "--events")) events = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--seconds")) seconds = strtod(argv[i + 1], NULL);
        else fail("there is no option %s", argv[i]);
    }
    if (!scenario || !directory || events % 100000) fail("--scenario, --directory; --events in 100,000s");
    const struct store *store = NULL;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(stores[i].name, name)) store = &stores[i];
    if (!store) fail("no peer '%s' here", name);
    if (!strcmp(scenario, "append")) measure_append(store, directory, seconds);
    else if (!strcmp(scenario, "load")) measure_load(store, directory, events);
    else fail("no scenario '%s' here", scenario);
    return 0;
}
