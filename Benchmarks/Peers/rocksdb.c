// RocksDB: a write batch, a synced WAL whose files are recycled, one key an event (its position, big-endian),
// zstd on every level, blocks of 16 KiB, 64 MiB of memtable, 256 MiB of block cache. It groups the writes of
// several callers itself.
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

static struct {
    rocksdb_t *handle;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read, *scan;
    rocksdb_writebatch_t **batches;  // One per caller, reused.
    _Atomic uint64_t next;
} db;

static void check(char *error, const char *what) {
    if (error) fail("%s: %s", what, error);
}

static void open_database(const char *directory, unsigned callers) {
    db.options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(db.options, 1);
    rocksdb_options_increase_parallelism(db.options, 2);
    rocksdb_options_set_write_buffer_size(db.options, 64 << 20);
    rocksdb_options_set_compression(db.options, rocksdb_zstd_compression);
    rocksdb_options_set_recycle_log_file_num(db.options, 4);
    rocksdb_options_set_enable_pipelined_write(db.options, 1);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, 16 << 10);
    rocksdb_block_based_options_set_block_cache(table, rocksdb_cache_create_lru(256 << 20));
    rocksdb_options_set_block_based_table_factory(db.options, table);
    db.write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(db.write, 1);
    db.read = rocksdb_readoptions_create();
    db.scan = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(db.scan, 0);
    rocksdb_readoptions_set_readahead_size(db.scan, 2 << 20);
    char *error = NULL;
    db.handle = rocksdb_open(db.options, directory, &error);
    check(error, "rocksdb_open");
    db.batches = calloc(callers, sizeof *db.batches);
    for (unsigned i = 0; i < callers; i++) db.batches[i] = rocksdb_writebatch_create();
}

static void append(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    (void)index;
    rocksdb_writebatch_t *batch = db.batches[caller];
    rocksdb_writebatch_clear(batch);
    uint64_t position = atomic_fetch_add(&db.next, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t key = big_endian(position + i);
        rocksdb_writebatch_put(
            batch, (const char *)&key, sizeof key, (const char *)events[i].bytes, events[i].length);
    }
    char *error = NULL;
    rocksdb_write(db.handle, db.write, batch, &error);
    check(error, "rocksdb_write");
}

static void settle(void) { rocksdb_compact_range(db.handle, NULL, 0, NULL, 0); }

static void replay(struct tally *tally) {
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(db.handle, db.scan);
    for (rocksdb_iter_seek_to_first(iterator); rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
        size_t length;
        const char *value = rocksdb_iter_value(iterator, &length);
        consume(tally, value, length);
    }
    rocksdb_iter_destroy(iterator);
}

static size_t point(uint64_t position, uint8_t *out) {
    uint64_t key = big_endian(position);
    char *error = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned(db.handle, db.read, (const char *)&key, sizeof key, &error);
    check(error, "rocksdb_get_pinned");
    if (!slice) fail("position %llu is not there", (unsigned long long)position);
    size_t length;
    const char *value = rocksdb_pinnableslice_value(slice, &length);
    memcpy(out, value, length);
    rocksdb_pinnableslice_destroy(slice);
    return length;
}

/// The sorted files alone: the write-ahead logs are empty of anything new, but kept for recycling.
static uint64_t stored_bytes(void) {
    char *value = rocksdb_property_value(db.handle, "rocksdb.total-sst-files-size");
    if (!value) fail("no size");
    uint64_t bytes = strtoull(value, NULL, 10);
    rocksdb_free(value);
    return bytes;
}

static void close_database(void) { rocksdb_close(db.handle); }

int main(int argc, char **argv) {
    const struct peer peers[] = {
        {.name = "rocksdb", .most_callers = 1024, .open = open_database, .append = append, .settle = settle,
         .replay = replay, .point = point, .stored_bytes = stored_bytes, .close = close_database},
    };
    return peer_main(argc, argv, peers, sizeof peers / sizeof *peers);
}
