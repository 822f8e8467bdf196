// LMDB with one zstd-1 frame a batch: the shape of Tidelog's head without its columns, checksums and indexes.
//
// `lmdb-zstd`: each caller compresses its batch on its own thread, then commits it in its own transaction.
// `lmdb-zstd-group`: the same, but a writer thread commits the frames of all who wait in one transaction.
// `lmdb-zstd-pipelined`: one caller that does not await each batch: a second thread compresses the next ones
// while this one commits. It is an upper bound for one stream of batches, not a durable answer to each.
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "group.h"

enum { level = 1, most_events = 1000, depth = 4 };

/// A frame before compression: the count, the lengths, the bytes. One per caller, reused.
struct encoder {
    ZSTD_CCtx *context;
    uint8_t *plain, *frame;
    size_t plain_capacity, frame_capacity, frame_length;
};

static struct {
    MDB_env *env;
    MDB_dbi frames;
    uint64_t next;  // The next position; guarded by LMDB's write lock.
    bool grouped, pipelined;
    MDB_txn *reader;
    ZSTD_DCtx *decompressor;
    uint8_t *plain;
    size_t plain_capacity;
    struct encoder *encoders;
    unsigned callers;
} db;

static void check(int code, const char *what) {
    if (code) fail("%s: %s", what, mdb_strerror(code));
}

static size_t checked(size_t result, const char *what) {
    if (ZSTD_isError(result)) fail("%s: %s", what, ZSTD_getErrorName(result));
    return result;
}

static void start_encoder(struct encoder *encoder) {
    encoder->context = ZSTD_createCCtx();
    checked(ZSTD_CCtx_setParameter(encoder->context, ZSTD_c_compressionLevel, level), "level");
    checked(ZSTD_CCtx_setParameter(encoder->context, ZSTD_c_checksumFlag, 1), "checksum");
}

static void encode(struct encoder *encoder, const struct event *events, size_t count) {
    size_t size = 4 + 4 * count;
    for (size_t i = 0; i < count; i++) size += events[i].length;
    if (size > encoder->plain_capacity) {
        encoder->plain_capacity = size * 2;
        encoder->frame_capacity = ZSTD_compressBound(encoder->plain_capacity);
        free(encoder->plain), free(encoder->frame);
        encoder->plain = malloc(encoder->plain_capacity);
        encoder->frame = malloc(encoder->frame_capacity);
        if (!encoder->plain || !encoder->frame) fail("out of memory");
    }
    uint32_t number = (uint32_t)count;
    memcpy(encoder->plain, &number, 4);
    uint8_t *out = encoder->plain + 4 + 4 * count;
    for (size_t i = 0; i < count; i++) {
        memcpy(encoder->plain + 4 + 4 * i, &events[i].length, 4);
        memcpy(out, events[i].bytes, events[i].length);
        out += events[i].length;
    }
    encoder->frame_length = checked(
        ZSTD_compress2(encoder->context, encoder->frame, encoder->frame_capacity, encoder->plain, size),
        "ZSTD_compress2");
}

static void commit_frames(const struct group_request *requests, size_t count) {
    MDB_txn *txn;
    MDB_cursor *cursor;
    check(mdb_txn_begin(db.env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_cursor_open(txn, db.frames, &cursor), "mdb_cursor_open");
    for (size_t i = 0; i < count; i++) {
        uint64_t position = db.next;
        db.next += requests[i].count;
        MDB_val key = {sizeof position, &position};
        MDB_val value = {requests[i].encoded_length, (void *)(uintptr_t)requests[i].encoded};
        check(mdb_cursor_put(cursor, &key, &value, MDB_APPEND), "mdb_cursor_put");
    }
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void append(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    struct encoder *encoder = &db.encoders[caller];
    encode(encoder, events, count);
    struct group_request request = {caller, index, events, count, encoder->frame, encoder->frame_length};
    if (db.grouped) group_submit(request);
    else commit_frames(&request, 1);
}

// MARK: The pipeline: the caller hands out batches, one thread compresses, another commits.

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t compressor, writer;
    struct encoder slots[depth];
    const struct event *events[depth];
    size_t counts[depth];
    uint64_t given, compressed, committed;  // Batches so far.
    bool ending;
} pipe_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/// Waits until `*counter` is past `own`; false when there will be no more.
static bool await_batch(const uint64_t *counter, uint64_t own) {
    pthread_mutex_lock(&pipe_state.lock);
    while (*counter <= own && !(pipe_state.ending && pipe_state.given == own))
        pthread_cond_wait(&pipe_state.changed, &pipe_state.lock);
    bool more = *counter > own;
    pthread_mutex_unlock(&pipe_state.lock);
    return more;
}

static void advance(uint64_t *counter) {
    pthread_mutex_lock(&pipe_state.lock);
    *counter += 1;
    pthread_cond_broadcast(&pipe_state.changed);
    pthread_mutex_unlock(&pipe_state.lock);
}

static void *compress_batches(void *unused) {
    (void)unused;
    for (uint64_t own = 0; await_batch(&pipe_state.given, own); own++) {
        encode(&pipe_state.slots[own % depth], pipe_state.events[own % depth], pipe_state.counts[own % depth]);
        advance(&pipe_state.compressed);
    }
    return NULL;
}

static void *commit_batches(void *unused) {
    (void)unused;
    for (uint64_t own = 0; await_batch(&pipe_state.compressed, own); own++) {
        const struct encoder *slot = &pipe_state.slots[own % depth];
        struct group_request request = {
            .count = pipe_state.counts[own % depth], .encoded = slot->frame, .encoded_length = slot->frame_length};
        commit_frames(&request, 1);
        advance(&pipe_state.committed);
    }
    return NULL;
}

static void give(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    (void)caller, (void)index;
    pthread_mutex_lock(&pipe_state.lock);
    while (pipe_state.given - pipe_state.committed == depth)
        pthread_cond_wait(&pipe_state.changed, &pipe_state.lock);
    pipe_state.events[pipe_state.given % depth] = events;
    pipe_state.counts[pipe_state.given % depth] = count;
    pipe_state.given += 1;
    pthread_cond_broadcast(&pipe_state.changed);
    pthread_mutex_unlock(&pipe_state.lock);
}

static void finish_pipeline(void) {
    pthread_mutex_lock(&pipe_state.lock);
    pipe_state.ending = true;
    pthread_cond_broadcast(&pipe_state.changed);
    pthread_mutex_unlock(&pipe_state.lock);
    pthread_join(pipe_state.compressor, NULL);
    pthread_join(pipe_state.writer, NULL);
}

// MARK: Opening and closing

static void open_plain(const char *directory, unsigned callers) {
    char path[4096];
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    check(mdb_env_create(&db.env), "mdb_env_create");
    check(mdb_env_set_mapsize(db.env, (size_t)16 << 30), "mdb_env_set_mapsize");
    check(mdb_env_set_maxdbs(db.env, 4), "mdb_env_set_maxdbs");
    check(mdb_env_open(db.env, path, MDB_NOSUBDIR | MDB_NOTLS, 0600), "mdb_env_open");
    MDB_txn *txn;
    check(mdb_txn_begin(db.env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, "frames", MDB_CREATE | MDB_INTEGERKEY, &db.frames), "mdb_dbi_open");
    check(mdb_txn_commit(txn), "mdb_txn_commit");
    check(mdb_txn_begin(db.env, NULL, MDB_RDONLY, &db.reader), "mdb_txn_begin");
    mdb_txn_reset(db.reader);
    db.decompressor = ZSTD_createDCtx();
    db.callers = callers;
    db.encoders = calloc(callers, sizeof *db.encoders);
    for (unsigned i = 0; i < callers; i++) start_encoder(&db.encoders[i]);
}

static void open_grouped(const char *directory, unsigned callers) {
    open_plain(directory, callers);
    db.grouped = true;
    group_start(commit_frames, callers);
}

static void open_pipelined(const char *directory, unsigned callers) {
    open_plain(directory, callers);
    for (int i = 0; i < depth; i++) start_encoder(&pipe_state.slots[i]);
    if (pthread_create(&pipe_state.compressor, NULL, compress_batches, NULL) ||
        pthread_create(&pipe_state.writer, NULL, commit_batches, NULL))
        fail("cannot start a thread");
}

static void close_environment(void) {
    if (db.grouped) group_stop();
    mdb_txn_abort(db.reader);
    mdb_env_close(db.env);
}

// MARK: Reading

/// Decompresses a frame into `db.plain`; its size was checked against a bound.
static void load(MDB_val value) {
    unsigned long long size = ZSTD_getFrameContentSize(value.mv_data, value.mv_size);
    if (size > 64 << 20) fail("a frame of an unlikely size");
    if (size > db.plain_capacity) {
        db.plain_capacity = size * 2;
        db.plain = realloc(db.plain, db.plain_capacity);
        if (!db.plain) fail("out of memory");
    }
    checked(
        ZSTD_decompressDCtx(db.decompressor, db.plain, db.plain_capacity, value.mv_data, value.mv_size),
        "ZSTD_decompressDCtx");
}

static uint32_t word(size_t index) {
    uint32_t value;
    memcpy(&value, db.plain + 4 * index, 4);
    return value;
}

static void replay(struct tally *tally) {
    MDB_cursor *cursor;
    check(mdb_txn_renew(db.reader), "mdb_txn_renew");
    check(mdb_cursor_open(db.reader, db.frames, &cursor), "mdb_cursor_open");
    MDB_val key, value;
    while (!mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        load(value);
        uint32_t count = word(0);
        const uint8_t *bytes = db.plain + 4 + 4 * (size_t)count;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t length = word(1 + i);
            consume(tally, bytes, length);
            bytes += length;
        }
    }
    mdb_cursor_close(cursor);
    mdb_txn_reset(db.reader);
}

static size_t point(uint64_t position, uint8_t *out) {
    MDB_cursor *cursor;
    check(mdb_txn_renew(db.reader), "mdb_txn_renew");
    check(mdb_cursor_open(db.reader, db.frames, &cursor), "mdb_cursor_open");
    uint64_t wanted = position / most_events * most_events;  // The load writes full frames.
    MDB_val key = {sizeof wanted, &wanted}, value;
    check(mdb_cursor_get(cursor, &key, &value, MDB_SET), "mdb_cursor_get");
    load(value);
    uint32_t count = word(0), index = (uint32_t)(position - wanted);
    const uint8_t *bytes = db.plain + 4 + 4 * (size_t)count;
    for (uint32_t i = 0; i < index; i++) bytes += word(1 + i);
    size_t length = word(1 + index);
    memcpy(out, bytes, length);
    mdb_cursor_close(cursor);
    mdb_txn_reset(db.reader);
    return length;
}

int main(int argc, char **argv) {
    const struct peer peers[] = {
        {.name = "lmdb-zstd", .most_callers = 16, .open = open_plain, .append = append, .replay = replay,
         .point = point, .close = close_environment},
        {.name = "lmdb-zstd-group", .most_callers = 1024, .open = open_grouped, .append = append,
         .close = close_environment},
        {.name = "lmdb-zstd-pipelined", .most_callers = 1, .open = open_pipelined, .append = give,
         .flush = finish_pipeline, .close = close_environment},
    };
    return peer_main(argc, argv, peers, sizeof peers / sizeof *peers);
}
