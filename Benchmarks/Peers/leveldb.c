// LevelDB with its defaults for durability turned on: a write batch, `sync`, one key an event (its position,
// big-endian), Snappy, blocks of 16 KiB, 64 MiB of memtable, 256 MiB of block cache. It groups the writes of
// several callers itself.
#include <leveldb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

static struct {
    leveldb_t *handle;
    leveldb_options_t *options;
    leveldb_writeoptions_t *write;
    leveldb_readoptions_t *read;
    leveldb_writebatch_t **batches;  // One per caller, reused.
    _Atomic uint64_t next;
} db;

static void check(char *error, const char *what) {
    if (error) fail("%s: %s", what, error);
}

static void open_database(const char *directory, unsigned callers) {
    db.options = leveldb_options_create();
    leveldb_options_set_create_if_missing(db.options, 1);
    leveldb_options_set_write_buffer_size(db.options, 64 << 20);
    leveldb_options_set_block_size(db.options, 16 << 10);
    leveldb_options_set_max_file_size(db.options, 32 << 20);
    leveldb_options_set_cache(db.options, leveldb_cache_create_lru(256 << 20));
    leveldb_options_set_compression(db.options, leveldb_snappy_compression);
    db.write = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(db.write, 1);
    db.read = leveldb_readoptions_create();
    char *error = NULL;
    db.handle = leveldb_open(db.options, directory, &error);
    check(error, "leveldb_open");
    db.batches = calloc(callers, sizeof *db.batches);
    for (unsigned i = 0; i < callers; i++) db.batches[i] = leveldb_writebatch_create();
}

static void append(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    (void)index;
    leveldb_writebatch_t *batch = db.batches[caller];
    leveldb_writebatch_clear(batch);
    uint64_t position = atomic_fetch_add(&db.next, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t key = big_endian(position + i);
        leveldb_writebatch_put(
            batch, (const char *)&key, sizeof key, (const char *)events[i].bytes, events[i].length);
    }
    char *error = NULL;
    leveldb_write(db.handle, db.write, batch, &error);
    check(error, "leveldb_write");
}

static void settle(void) { leveldb_compact_range(db.handle, NULL, 0, NULL, 0); }

static void replay(struct tally *tally) {
    leveldb_readoptions_set_fill_cache(db.read, 0);
    leveldb_iterator_t *iterator = leveldb_create_iterator(db.handle, db.read);
    for (leveldb_iter_seek_to_first(iterator); leveldb_iter_valid(iterator); leveldb_iter_next(iterator)) {
        size_t length;
        const char *value = leveldb_iter_value(iterator, &length);
        consume(tally, value, length);
    }
    leveldb_iter_destroy(iterator);
    leveldb_readoptions_set_fill_cache(db.read, 1);
}

static size_t point(uint64_t position, uint8_t *out) {
    uint64_t key = big_endian(position);
    size_t length;
    char *error = NULL;
    char *value = leveldb_get(db.handle, db.read, (const char *)&key, sizeof key, &length, &error);
    check(error, "leveldb_get");
    if (!value) fail("position %llu is not there", (unsigned long long)position);
    memcpy(out, value, length);
    leveldb_free(value);
    return length;
}

static void close_database(void) { leveldb_close(db.handle); }

int main(int argc, char **argv) {
    const struct peer peers[] = {
        {.name = "leveldb", .most_callers = 1024, .open = open_database, .append = append, .settle = settle,
         .replay = replay, .point = point, .close = close_database},
    };
    return peer_main(argc, argv, peers, sizeof peers / sizeof *peers);
}
