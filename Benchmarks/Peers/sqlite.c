// SQLite: WAL journal, synchronous=FULL, prepared statements, one transaction a batch.
//
// `sqlite` is the table that an event store has: position, stream, revision and type beside the event, with
// one index on (stream, revision) and one on type. `sqlite-bare` is position and event alone, no index.
// Several callers share one connection under a lock; `sqlite-group` puts what waits into one transaction,
// which SQLite itself does not do.
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "group.h"

static struct {
    sqlite3 *handle;
    sqlite3_stmt *begin, *commit, *insert, *scan, *point, *stream, *count;
    pthread_mutex_t lock;
    bool bare, grouped;
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

static void connect_to(const char *directory) {
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
        db.bare ? "CREATE TABLE IF NOT EXISTS events(position INTEGER PRIMARY KEY, event BLOB NOT NULL)"
                : "CREATE TABLE IF NOT EXISTS events(position INTEGER PRIMARY KEY, stream TEXT NOT NULL,"
                  " revision INTEGER NOT NULL, type TEXT NOT NULL, event BLOB NOT NULL);"
                  "CREATE UNIQUE INDEX IF NOT EXISTS by_stream ON events(stream, revision);"
                  "CREATE INDEX IF NOT EXISTS by_type ON events(type)");
    db.begin = prepare("BEGIN IMMEDIATE");
    db.commit = prepare("COMMIT");
    db.insert = prepare(
        db.bare ? "INSERT INTO events(event) VALUES (?1)"
                : "INSERT INTO events(event, stream, revision, type) VALUES (?1, ?2, ?3, ?4)");
    db.scan = prepare("SELECT event FROM events ORDER BY position");
    db.point = prepare("SELECT event FROM events WHERE position = ?1");
    if (!db.bare) {
        db.stream = prepare("SELECT event FROM events WHERE stream = ?1 ORDER BY revision");
        db.count = prepare("SELECT count(*) FROM events WHERE type = ?1");
    }
}

static void insert_all(const struct event *events, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct event *event = &events[i];
        sqlite3_bind_blob(db.insert, 1, event->bytes, (int)event->length, SQLITE_STATIC);
        if (!db.bare) {
            sqlite3_bind_text(db.insert, 2, event->stream, event->stream_length, SQLITE_STATIC);
            sqlite3_bind_int64(db.insert, 3, event->revision);
            sqlite3_bind_text(db.insert, 4, event->type, event->type_length, SQLITE_STATIC);
        }
        step(db.insert, "INSERT");
    }
}

static void commit_group(const struct group_request *requests, size_t count) {
    pthread_mutex_lock(&db.lock);
    if (count == 1 && requests[0].count == 1) {
        insert_all(requests[0].events, 1);  // A statement alone is its own transaction.
    } else {
        step(db.begin, "BEGIN");
        for (size_t i = 0; i < count; i++) insert_all(requests[i].events, requests[i].count);
        step(db.commit, "COMMIT");
    }
    pthread_mutex_unlock(&db.lock);
}

static void append(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    struct group_request request = {.caller = caller, .index = index, .events = events, .count = count};
    if (db.grouped) group_submit(request);
    else commit_group(&request, 1);
}

static void open_store(const char *directory, unsigned callers) {
    (void)callers;
    connect_to(directory);
}

static void open_bare(const char *directory, unsigned callers) {
    db.bare = true;
    open_store(directory, callers);
}

static void open_grouped(const char *directory, unsigned callers) {
    open_store(directory, callers);
    db.grouped = true;
    group_start(commit_group, callers);
}

static void settle(void) {
    execute("PRAGMA wal_checkpoint(TRUNCATE)");
    execute("PRAGMA optimize");
}

static void read_all(sqlite3_stmt *statement, struct tally *tally) {
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const void *bytes = sqlite3_column_blob(statement, 0);
        consume(tally, bytes, (size_t)sqlite3_column_bytes(statement, 0));
    }
    check(code, "SELECT");
    sqlite3_reset(statement);
}

static void replay(struct tally *tally) { read_all(db.scan, tally); }

static size_t point(uint64_t position, uint8_t *out) {
    sqlite3_bind_int64(db.point, 1, (sqlite3_int64)position + 1);  // Row ids start at 1.
    if (sqlite3_step(db.point) != SQLITE_ROW) fail("position %llu is not there", (unsigned long long)position);
    const void *bytes = sqlite3_column_blob(db.point, 0);
    size_t length = (size_t)sqlite3_column_bytes(db.point, 0);
    memcpy(out, bytes, length);
    sqlite3_reset(db.point);
    return length;
}

static void stream(const char *name, size_t length, struct tally *tally) {
    sqlite3_bind_text(db.stream, 1, name, (int)length, SQLITE_STATIC);
    read_all(db.stream, tally);
}

static uint64_t count_type(const char *name, size_t length) {
    sqlite3_bind_text(db.count, 1, name, (int)length, SQLITE_STATIC);
    if (sqlite3_step(db.count) != SQLITE_ROW) fail("no count");
    uint64_t count = (uint64_t)sqlite3_column_int64(db.count, 0);
    sqlite3_reset(db.count);
    return count;
}

static void close_store(void) {
    if (db.grouped) group_stop();
    sqlite3_stmt *all[] = {db.begin, db.commit, db.insert, db.scan, db.point, db.stream, db.count};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) sqlite3_finalize(all[i]);
    check(sqlite3_close(db.handle), "sqlite3_close");
}

int main(int argc, char **argv) {
    const struct peer peers[] = {
        {.name = "sqlite", .most_callers = 16, .needs_columns = true, .open = open_store, .append = append,
         .settle = settle, .replay = replay, .point = point, .stream = stream, .count_type = count_type,
         .close = close_store, .reopen = connect_to},
        {.name = "sqlite-bare", .most_callers = 16, .open = open_bare, .append = append, .settle = settle,
         .replay = replay, .point = point, .close = close_store},
        {.name = "sqlite-group", .most_callers = 1024, .needs_columns = true, .open = open_grouped,
         .append = append, .close = close_store},
    };
    return peer_main(argc, argv, peers, sizeof peers / sizeof *peers);
}
