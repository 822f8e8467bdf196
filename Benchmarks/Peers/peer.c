// The scenarios, the input file and the output line that all peers share.
#include "peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "events.h"

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

_Noreturn void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "error: ");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

void report(const char *peer, const char *scenario, uint64_t events, double seconds) {
    printf(
        "{\"peer\":\"%s\",\"scenario\":\"%s\",\"events\":%llu,\"seconds\":%.6f,\"events_per_second\":%.0f}\n",
        peer, scenario, (unsigned long long)events, seconds, (double)events / seconds);
    fflush(stdout);
}

void report_value(
    const char *peer, const char *scenario, uint64_t events, double seconds, const char *field, double value) {
    printf(
        "{\"peer\":\"%s\",\"scenario\":\"%s\",\"events\":%llu,\"seconds\":%.6f,\"events_per_second\":%.0f,"
        "\"%s\":%.3f}\n",
        peer, scenario, (unsigned long long)events, seconds, seconds > 0 ? (double)events / seconds : 0, field,
        value);
    fflush(stdout);
}

// MARK: Appending

struct run {
    const struct peer *peer;
    const struct input *input;
    size_t batch;
    unsigned callers;
    double limit;
    pthread_barrier_t ready;
    _Atomic uint64_t next;   // The next event of the input that nobody has taken.
    _Atomic uint64_t done;
    double start;
};

struct caller {
    struct run *run;
    unsigned number;
};

static void *append_until_done(void *argument) {
    struct caller *caller = argument;
    struct run *run = caller->run;
    pthread_barrier_wait(&run->ready);  // Everyone is there,
    pthread_barrier_wait(&run->ready);  // and the clock runs.
    uint64_t done = 0;
    for (;;) {
        uint64_t first = atomic_fetch_add_explicit(&run->next, run->batch, memory_order_relaxed);
        if (first >= run->input->count) break;
        size_t count = run->batch;
        if (count > run->input->count - first) count = run->input->count - first;
        run->peer->append(caller->number, first, run->input->events + first, count);
        done += count;
        if (now() - run->start > run->limit) break;
    }
    atomic_fetch_add(&run->done, done);
    return NULL;
}

/// Appends the input from `callers` threads in batches; returns how many events became durable, and when.
static uint64_t append_all(
    const struct peer *peer, const struct input *input, unsigned callers, size_t batch, double limit,
    double *seconds) {
    struct run run = {.peer = peer, .input = input, .batch = batch, .callers = callers, .limit = limit};
    pthread_barrier_init(&run.ready, NULL, callers + 1);
    pthread_t *threads = calloc(callers, sizeof *threads);
    struct caller *each = calloc(callers, sizeof *each);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    for (unsigned i = 0; i < callers; i++) {
        each[i] = (struct caller){&run, i};
        if (pthread_create(&threads[i], &attributes, append_until_done, &each[i])) fail("cannot start a thread");
    }
    pthread_barrier_wait(&run.ready);
    run.start = now();
    pthread_barrier_wait(&run.ready);
    for (unsigned i = 0; i < callers; i++) pthread_join(threads[i], NULL);
    if (peer->flush) peer->flush();
    *seconds = now() - run.start;
    free(threads);
    free(each);
    pthread_barrier_destroy(&run.ready);
    return run.done;
}

// MARK: Reading

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void expect_all(const char *what, const struct tally *seen, const struct tally *expected) {
    if (seen->events != expected->events || seen->bytes != expected->bytes || seen->sum != expected->sum)
        fail("%s read %llu events (%llu bytes), not the %llu (%llu bytes) that were written", what,
             (unsigned long long)seen->events, (unsigned long long)seen->bytes,
             (unsigned long long)expected->events, (unsigned long long)expected->bytes);
}

static void measure_replay(const struct peer *peer, const struct input *input) {
    struct tally expected = {0};
    for (size_t i = 0; i < input->count; i++) consume(&expected, input->events[i].bytes, input->events[i].length);
    for (int pass = 0; pass < 2; pass++) {  // The first one warms the caches.
        struct tally seen = {0};
        double start = now();
        peer->replay(&seen);
        double seconds = now() - start;
        expect_all("the replay", &seen, &expected);
        if (pass) report(peer->name, "replay", seen.events, seconds);
    }
}

static void measure_points(const struct peer *peer, const struct input *input) {
    enum { warming = 20000, reads = 20000 };
    static double times[reads];
    uint8_t *buffer = malloc(16 << 20);
    uint64_t seed = 1;
    double total = 0;
    for (int i = 0; i < warming + reads; i++) {
        uint64_t position = next_random(&seed) % input->count;
        double start = now();
        size_t length = peer->point(position, buffer);
        double seconds = now() - start;
        const struct event *event = &input->events[position];
        if (length != event->length || memcmp(buffer, event->bytes, length))
            fail("position %llu holds another event", (unsigned long long)position);
        if (i >= warming) times[i - warming] = seconds, total += seconds;
    }
    report_value(peer->name, "point", reads, total, "median_us", median(times, reads) * 1e6);
    free(buffer);
}

/// Asks the kernel to forget every file of a directory, so that the next read comes from the disk.
static void evict(const char *directory) {
    DIR *entries = opendir(directory);
    if (!entries) return;
    for (struct dirent *e; (e = readdir(entries));) {
        int fd = openat(dirfd(entries), e->d_name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        fdatasync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    closedir(entries);
}

static void measure_stream(const struct peer *peer, const struct input *input, const char *directory) {
    const struct event *chosen = &input->events[input->hundred];
    struct tally expected = {0};
    for (size_t i = 0; i < input->count; i++)
        if (input->events[i].stream_number == chosen->stream_number)
            consume(&expected, input->events[i].bytes, input->events[i].length);
    enum { warming = 100, reads = 1000 };
    static double times[reads];
    double total = 0;
    for (int i = 0; i < warming + reads; i++) {
        struct tally seen = {0};
        double start = now();
        peer->stream(chosen->stream, chosen->stream_length, &seen);
        double seconds = now() - start;
        expect_all("the stream", &seen, &expected);
        if (i >= warming) times[i - warming] = seconds, total += seconds;
    }
    report_value(peer->name, "stream", expected.events * reads, total, "median_us", median(times, reads) * 1e6);
    if (!peer->reopen) return;
    peer->close();
    evict(directory);
    struct tally seen = {0};
    double start = now();
    peer->reopen(directory);
    peer->stream(chosen->stream, chosen->stream_length, &seen);
    double seconds = now() - start;
    expect_all("the stream", &seen, &expected);
    report_value(peer->name, "stream-cold", seen.events, seconds, "median_us", seconds * 1e6);
}

static void measure_count(const struct peer *peer, const struct input *input) {
    const struct event *chosen = &input->events[input->percent];
    uint64_t expected = 0;
    for (size_t i = 0; i < input->count; i++) {
        const struct event *e = &input->events[i];
        expected += e->type_length == chosen->type_length && !memcmp(e->type, chosen->type, e->type_length);
    }
    enum { reads = 11 };
    double times[reads];
    for (int i = 0; i < reads; i++) {
        double start = now();
        uint64_t seen = peer->count_type(chosen->type, chosen->type_length);
        times[i] = now() - start;
        if (seen != expected) fail("counted %llu events", (unsigned long long)seen);
    }
    double middle = median(times, reads);
    report_value(peer->name, "count-type", input->count, middle, "median_us", middle * 1e6);
}

/// What the files of a directory take on the disk, or their length where that is less.
static uint64_t directory_bytes(const char *path) {
    uint64_t total = 0;
    DIR *directory = opendir(path);
    if (!directory) return 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        struct stat info;
        if (fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) || !S_ISREG(info.st_mode)) continue;
        uint64_t allocated = (uint64_t)info.st_blocks * 512;
        total += allocated < (uint64_t)info.st_size ? allocated : (uint64_t)info.st_size;
    }
    closedir(directory);
    return total;
}

static void measure_reads(const struct peer *peer, const struct input *input, const char *directory) {
    double seconds;
    peer->open(directory, 1);
    if (append_all(peer, input, 1, 1000, 1e9, &seconds) != input->count) fail("the load is incomplete");
    fprintf(stderr, "%s: loaded in %.1f s\n", peer->name, seconds);
    if (peer->settle) peer->settle();
    if (peer->replay) measure_replay(peer, input);
    if (peer->point) measure_points(peer, input);
    if (peer->count_type && input->has_columns) measure_count(peer, input);
    if (peer->stream && input->has_columns) measure_stream(peer, input, directory);
    uint64_t bytes = peer->stored_bytes ? peer->stored_bytes() : 0;
    peer->close();
    if (!bytes) bytes = directory_bytes(directory);
    report_value(peer->name, "bytes", input->count, 0, "bytes_per_event", (double)bytes / (double)input->count);
}

void expect_event(const struct input *input, uint64_t index, const void *bytes, size_t length) {
    if (index >= input->count) fail("more events than there are");
    const struct event *event = &input->events[index];
    if (length != event->length || memcmp(bytes, event->bytes, length))
        fail("another event was delivered in place of number %llu", (unsigned long long)index);
}

static void measure_consume(const struct peer *peer, const struct input *input, const char *directory) {
    if (!peer->consume) fail("%s has no durable consumers", peer->name);
    double seconds;
    peer->open(directory, 1);
    if (append_all(peer, input, 1, 1000, 1e9, &seconds) != input->count) fail("the load is incomplete");
    fprintf(stderr, "%s: loaded in %.1f s\n", peer->name, seconds);
    double start = now();
    peer->consume(input);
    seconds = now() - start;
    peer->close();
    report(peer->name, "consume", input->count, seconds);
}

// MARK: The command line

static _Noreturn void usage(const char *program) {
    fail(
        "usage: %s --peer NAME --scenario append-CxB|read|consume --input FILE --directory DIR [--events N] [--seconds S]",
        program);
}

int peer_main(int argc, char **argv, const struct peer *peers, size_t count) {
    const char *name = peers[0].name, *scenario = NULL, *path = NULL, *directory = NULL;
    uint64_t events = UINT64_MAX;
    double limit = 1e9;
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        for (size_t i = 0; i < count; i++) printf("%s\n", peers[i].name);
        return 0;
    }
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (!strcmp(argv[i], "--peer")) name = value;
        else if (!strcmp(argv[i], "--scenario")) scenario = value;
        else if (!strcmp(argv[i], "--input")) path = value;
        else if (!strcmp(argv[i], "--directory")) directory = value;
        else if (!strcmp(argv[i], "--events")) events = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--seconds")) limit = strtod(value, NULL);
        else usage(argv[0]);
    }
    if (argc % 2 == 0 || !scenario || !path || !directory) usage(argv[0]);
    const struct peer *peer = NULL;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(peers[i].name, name)) peer = &peers[i];
    if (!peer) fail("no peer '%s' here; --list names them", name);

    if (!strcmp(scenario, "read")) {
        struct input input = input_load(path, events, peer->needs_columns);
        measure_reads(peer, &input, directory);
        return 0;
    }
    if (!strcmp(scenario, "consume")) {
        struct input input = input_load(path, events, false);
        measure_consume(peer, &input, directory);
        return 0;
    }
    unsigned callers;
    size_t batch;
    if (sscanf(scenario, "append-%ux%zu", &callers, &batch) != 2 || !callers || !batch) usage(argv[0]);
    if (callers > peer->most_callers) {
        fprintf(stderr, "%s: left out of %s (at most %u callers)\n", peer->name, scenario, peer->most_callers);
        return 0;
    }
    struct input input = input_load(path, events, peer->needs_columns);
    double seconds;
    peer->open(directory, callers);
    uint64_t done = append_all(peer, &input, callers, batch, limit, &seconds);
    peer->close();
    report(peer->name, scenario, done, seconds);
    return 0;
}
