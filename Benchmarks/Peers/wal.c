// A plain file: append with a checksum, fdatasync. No index, so nothing can be found again but by reading on.
//
// `wal` lets the file grow (each sync also writes the new size); `wal-zeroed` writes into a file that was
// filled with zeros beforehand, as a log that recycles its files does. With several callers both commit in
// groups, so that one sync serves everybody who waits.
#include <errno.h>
#include <fcntl.h>
#include <nmmintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "group.h"

enum { zeroed_bytes = 512 << 20 };

/// Before each event: its checksum, its length.
struct record_header {
    uint32_t checksum, length;
};

static struct {
    int fd;
    bool grouped;
    uint8_t *buffer;
    size_t used, capacity;
    off_t end;
} wal;

__attribute__((target("sse4.2"))) static uint32_t checksum(const uint8_t *bytes, size_t length) {
    uint64_t crc = 0xffffffff ^ length;
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        crc = _mm_crc32_u64(crc, word);
    }
    while (length--) crc = _mm_crc32_u8((uint32_t)crc, *bytes++);
    return (uint32_t)crc;
}

static void encode(const struct event *events, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct event *event = &events[i];
        size_t needed = wal.used + sizeof(struct record_header) + event->length;
        if (needed > wal.capacity) {
            wal.capacity = needed * 2;
            wal.buffer = realloc(wal.buffer, wal.capacity);
            if (!wal.buffer) fail("out of memory");
        }
        struct record_header header = {checksum(event->bytes, event->length), event->length};
        memcpy(wal.buffer + wal.used, &header, sizeof header);
        memcpy(wal.buffer + wal.used + sizeof header, event->bytes, event->length);
        wal.used = needed;
    }
}

static void write_out(void) {
    for (size_t written = 0; written < wal.used;) {
        ssize_t n = pwrite(wal.fd, wal.buffer + written, wal.used - written, wal.end + (off_t)written);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) fail("write: %s", strerror(errno));
        written += (size_t)n;
    }
    wal.end += (off_t)wal.used;
    wal.used = 0;
    if (fdatasync(wal.fd)) fail("fdatasync: %s", strerror(errno));
}

static void commit_group(const struct group_request *requests, size_t count) {
    for (size_t i = 0; i < count; i++) encode(requests[i].events, requests[i].count);
    write_out();
}

static void open_wal(const char *directory, unsigned callers) {
    char path[4096];
    snprintf(path, sizeof path, "%s/wal", directory);
    wal.fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (wal.fd < 0) fail("cannot create %s", path);
    wal.grouped = callers > 1;
    if (wal.grouped) group_start(commit_group, callers);
}

static void open_zeroed(const char *directory, unsigned callers) {
    open_wal(directory, callers);
    enum { chunk = 1 << 20 };
    uint8_t *zeros = calloc(1, chunk);
    for (off_t at = 0; at < zeroed_bytes; at += chunk)
        if (pwrite(wal.fd, zeros, chunk, at) != chunk) fail("cannot fill the file with zeros");
    free(zeros);
    if (fsync(wal.fd)) fail("fsync: %s", strerror(errno));
}

static void append(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    if (wal.grouped) {
        group_submit((struct group_request){.caller = caller, .index = index, .events = events, .count = count});
        return;
    }
    encode(events, count);
    write_out();
}

static void replay(struct tally *tally) {
    if (!wal.end) return;
    uint8_t *bytes = mmap(NULL, (size_t)wal.end, PROT_READ, MAP_SHARED, wal.fd, 0);
    if (bytes == MAP_FAILED) fail("cannot map the file");
    for (off_t at = 0; at < wal.end;) {
        struct record_header header;
        memcpy(&header, bytes + at, sizeof header);
        const uint8_t *event = bytes + at + sizeof header;
        if (checksum(event, header.length) != header.checksum) fail("a damaged record");
        consume(tally, event, header.length);
        at += (off_t)(sizeof header + header.length);
    }
    munmap(bytes, (size_t)wal.end);
}

static uint64_t stored_bytes(void) { return (uint64_t)wal.end; }

static void close_wal(void) {
    if (wal.grouped) group_stop();
    close(wal.fd);
}

int main(int argc, char **argv) {
    const struct peer peers[] = {
        {.name = "wal", .most_callers = 1024, .open = open_wal, .append = append, .replay = replay,
         .stored_bytes = stored_bytes, .close = close_wal},
        {.name = "wal-zeroed", .most_callers = 1024, .open = open_zeroed, .append = append, .close = close_wal},
    };
    return peer_main(argc, argv, peers, sizeof peers / sizeof *peers);
}
