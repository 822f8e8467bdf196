// Raw LMDB: one value an event, uncompressed; a durable commit (two flushes of the disk) a batch.
//
// `lmdb`: each caller has its own transaction, one after the other under LMDB's write lock. `lmdb-group`: a
// writer thread puts what waits into one transaction, which LMDB itself does not do.
#include <lmdb.h>
#include <stdio.h>
#include <string.h>

#include "group.h"

static struct {
    MDB_env *env;
    MDB_dbi events;
    uint64_t next;  // The next position; guarded by LMDB's write lock.
    bool grouped;
    MDB_txn *reader;  // Reset between reads, renewed for each.
} db;

static void check(int code, const char *what) {
    if (code) fail("%s: %s", what, mdb_strerror(code));
}

static void open_environment(const char *directory, unsigned flags) {
    char path[4096];
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    check(mdb_env_create(&db.env), "mdb_env_create");
    check(mdb_env_set_mapsize(db.env, (size_t)16 << 30), "mdb_env_set_mapsize");
    check(mdb_env_set_maxdbs(db.env, 4), "mdb_env_set_maxdbs");
    check(mdb_env_open(db.env, path, MDB_NOSUBDIR | MDB_NOTLS | flags, 0600), "mdb_env_open");
    MDB_txn *txn;
    check(mdb_txn_begin(db.env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, "events", MDB_CREATE | MDB_INTEGERKEY, &db.events), "mdb_dbi_open");
    check(mdb_txn_commit(txn), "mdb_txn_commit");
    check(mdb_txn_begin(db.env, NULL, MDB_RDONLY, &db.reader), "mdb_txn_begin");
    mdb_txn_reset(db.reader);
}

static void put_all(MDB_cursor *cursor, const struct event *events, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t position = db.next++;
        MDB_val key = {sizeof position, &position};
        MDB_val value = {events[i].length, (void *)(uintptr_t)events[i].bytes};
        check(mdb_cursor_put(cursor, &key, &value, MDB_APPEND), "mdb_cursor_put");
    }
}

static void commit_group(const struct group_request *requests, size_t count) {
    MDB_txn *txn;
    MDB_cursor *cursor;
    check(mdb_txn_begin(db.env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_cursor_open(txn, db.events, &cursor), "mdb_cursor_open");
    for (size_t i = 0; i < count; i++) put_all(cursor, requests[i].events, requests[i].count);
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void append(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    struct group_request request = {.caller = caller, .index = index, .events = events, .count = count};
    if (db.grouped) group_submit(request);
    else commit_group(&request, 1);
}

static void open_plain(const char *directory, unsigned callers) {
    (void)callers;
    open_environment(directory, 0);
}

static void open_grouped(const char *directory, unsigned callers) {
    open_environment(directory, 0);
    db.grouped = true;
    group_start(commit_group, callers);
}

static void replay(struct tally *tally) {
    MDB_cursor *cursor;
    check(mdb_txn_renew(db.reader), "mdb_txn_renew");
    check(mdb_cursor_open(db.reader, db.events, &cursor), "mdb_cursor_open");
    MDB_val key, value;
    int code;
    while (!(code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) consume(tally, value.mv_data, value.mv_size);
    if (code != MDB_NOTFOUND) check(code, "mdb_cursor_get");
    mdb_cursor_close(cursor);
    mdb_txn_reset(db.reader);
}

static size_t point(uint64_t position, uint8_t *out) {
    check(mdb_txn_renew(db.reader), "mdb_txn_renew");
    MDB_val key = {sizeof position, &position}, value;
    check(mdb_get(db.reader, db.events, &key, &value), "mdb_get");
    memcpy(out, value.mv_data, value.mv_size);
    size_t length = value.mv_size;
    mdb_txn_reset(db.reader);
    return length;
}

static void close_environment(void) {
    if (db.grouped) group_stop();
    mdb_txn_abort(db.reader);
    mdb_env_close(db.env);
}

int main(int argc, char **argv) {
    const struct peer peers[] = {
        {.name = "lmdb", .most_callers = 16, .open = open_plain, .append = append, .replay = replay,
         .point = point, .close = close_environment},
        {.name = "lmdb-group", .most_callers = 1024, .open = open_grouped, .append = append,
         .close = close_environment},
    };
    return peer_main(argc, argv, peers, sizeof peers / sizeof *peers);
}
