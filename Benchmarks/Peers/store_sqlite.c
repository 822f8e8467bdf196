// An event store in SQLite: WAL, synchronous=FULL, prepared statements, unique ids, unique (stream, revision),
// an index on the type.
//
// `sqlite`: callers share one connection under a lock, an append is one statement and so one transaction.
// `sqlite-group`: a writer thread in front puts what waits into one transaction, which SQLite does not do.
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "group.h"
#include "store.h"

static struct {
    sqlite3 *handle;
    sqlite3_stmt *begin, *commit, *insert, *load;
    pthread_mutex_t lock;
    bool grouped;
} db = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void check(int code, const char *what) {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        fail("%s: %s", what, sqlite3_errmsg(db.handle));
}

static void execute(const char *sql) { check(sqlite3_exec(db.handle, sql, NULL, NULL, NULL), sql); }

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v3(db.handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL), sql);
    return statement;
}

static void step(sqlite3_stmt *statement, const char *what) {
    check(sqlite3_step(statement), what);
    sqlite3_reset(statement);
}

static void open_store(const char *directory, unsigned callers) {
    (void)callers;
    char path[4096];
    snprintf(path, sizeof path, "%s/events.db", directory);
    check(
        sqlite3_open_v2(
            path, &db.handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL),
        "sqlite3_open_v2");
    execute("PRAGMA journal_mode=WAL");
    execute("PRAGMA synchronous=FULL");
    execute("PRAGMA cache_size=-262144");  // 256 MiB
    execute("PRAGMA mmap_size=68719476736");
    execute(
        "CREATE TABLE events(position INTEGER PRIMARY KEY, stream TEXT NOT NULL, revision INTEGER NOT NULL,"
        " id BLOB NOT NULL, type TEXT NOT NULL, timestamp INTEGER NOT NULL, correlation BLOB, metadata BLOB,"
        " payload BLOB NOT NULL);"
        "CREATE UNIQUE INDEX by_stream ON events(stream, revision);"
        "CREATE UNIQUE INDEX by_id ON events(id);"
        "CREATE INDEX by_type ON events(type)");
    db.begin = prepare("BEGIN IMMEDIATE");
    db.commit = prepare("COMMIT");
    db.insert = prepare(
        "INSERT INTO events(stream, revision, id, type, timestamp, correlation, metadata, payload)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
        " WHERE coalesce((SELECT max(revision) FROM events WHERE stream = ?1), -1) = ?2 - 1");
    db.load = prepare(
        "SELECT position, revision, id, type, stream, timestamp, correlation, metadata, payload FROM events"
        " WHERE stream = ?1 ORDER BY revision");
}

static void insert(const struct made *event) {
    sqlite3_bind_text(db.insert, 1, event->stream, event->stream_length, SQLITE_STATIC);
    sqlite3_bind_int64(db.insert, 2, event->revision);
    sqlite3_bind_blob(db.insert, 3, event->id, 16, SQLITE_STATIC);
    sqlite3_bind_text(db.insert, 4, event->type, event->type_length, SQLITE_STATIC);
    sqlite3_bind_int64(db.insert, 5, event->timestamp);
    sqlite3_bind_blob(db.insert, 6, event->correlation, 16, SQLITE_STATIC);
    sqlite3_bind_blob(db.insert, 7, event->metadata, event->metadata_length, SQLITE_STATIC);
    sqlite3_bind_blob(db.insert, 8, event->payload, event->payload_length, SQLITE_STATIC);
    step(db.insert, "INSERT");
    if (sqlite3_changes(db.handle) != 1) fail("the stream %s has another revision", event->stream);
}

static void commit_group(const struct group_request *requests, size_t count) {
    pthread_mutex_lock(&db.lock);
    if (count > 1) step(db.begin, "BEGIN");
    for (size_t i = 0; i < count; i++) insert(requests[i].encoded);
    if (count > 1) step(db.commit, "COMMIT");
    pthread_mutex_unlock(&db.lock);
}

static void append(unsigned caller, const struct made *event) {
    struct group_request request = {.caller = caller, .count = 1, .encoded = event};
    if (db.grouped) group_submit(request);
    else commit_group(&request, 1);
}

static void open_grouped(const char *directory, unsigned callers) {
    open_store(directory, callers);
    db.grouped = true;
    group_start(commit_group, callers);
}

static void fill(const struct made *events, size_t count) {
    step(db.begin, "BEGIN");
    for (size_t i = 0; i < count; i++) insert(&events[i]);
    step(db.commit, "COMMIT");
}

static void settle(void) {
    execute("PRAGMA wal_checkpoint(TRUNCATE)");
    execute("PRAGMA optimize");
}

static size_t load(const char *stream, int length, struct owned *out, size_t capacity) {
    sqlite3_stmt *s = db.load;
    sqlite3_bind_text(s, 1, stream, length, SQLITE_STATIC);
    size_t count = 0;
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW && count < capacity) {
        struct owned *event = &out[count++];
        event->position = sqlite3_column_int64(s, 0);
        event->revision = sqlite3_column_int64(s, 1);
        event->timestamp = sqlite3_column_int64(s, 5);
        own(event, sqlite3_column_blob(s, 2), sqlite3_column_blob(s, 6), sqlite3_column_text(s, 3),
            (size_t)sqlite3_column_bytes(s, 3), sqlite3_column_text(s, 4), (size_t)sqlite3_column_bytes(s, 4),
            sqlite3_column_blob(s, 7), (size_t)sqlite3_column_bytes(s, 7), sqlite3_column_blob(s, 8),
            (size_t)sqlite3_column_bytes(s, 8));
    }
    check(code, "SELECT");
    sqlite3_reset(s);
    return count;
}

static void close_store(void) {
    if (db.grouped) group_stop();
    sqlite3_stmt *all[] = {db.begin, db.commit, db.insert, db.load};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) sqlite3_finalize(all[i]);
    check(sqlite3_close(db.handle), "sqlite3_close");
}

int main(int argc, char **argv) {
    const struct store stores[] = {
        {.name = "sqlite", .open = open_store, .append = append, .fill = fill, .fill_done = settle,
         .load = load, .close = close_store},
        {.name = "sqlite-group", .open = open_grouped, .append = append, .fill = fill, .fill_done = settle,
         .load = load, .close = close_store},
    };
    return store_main(argc, argv, stores, sizeof stores / sizeof *stores);
}
