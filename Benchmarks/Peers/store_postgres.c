// An event store in PostgreSQL over a Unix socket: the table and indexes of store_sqlite.c, one connection a
// caller, prepared statements, binary parameters and results; an append is one statement and so one
// transaction, and the server groups the commits of those who wait.
//
// The server is the one that `with-postgres` started; libpq finds it by PGHOST and the other variables.
#include <postgresql/libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

static struct {
    PGconn **connections;
    unsigned callers;
} db;

static PGresult *checked(PGconn *connection, PGresult *result, const char *what) {
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail("%s: %s", what, PQerrorMessage(connection));
    return result;
}

static void execute(PGconn *connection, const char *sql) {
    PQclear(checked(connection, PQexec(connection, sql), sql));
}

static void prepare(PGconn *connection, const char *name, const char *sql) {
    PQclear(checked(connection, PQprepare(connection, name, sql, 0, NULL), sql));
}

static void open_store(const char *directory, unsigned callers) {
    (void)directory;
    db.callers = callers;
    db.connections = calloc(callers, sizeof *db.connections);
    for (unsigned i = 0; i < callers; i++) {
        PGconn *connection = db.connections[i] = PQconnectdb("");
        if (PQstatus(connection) != CONNECTION_OK) fail("postgres: %s", PQerrorMessage(connection));
        if (i == 0) {
            execute(
                connection,
                "CREATE TABLE events(position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                " stream text NOT NULL, revision bigint NOT NULL, id uuid NOT NULL UNIQUE, type text NOT NULL,"
                " timestamp bigint NOT NULL, correlation uuid, metadata bytea, payload bytea NOT NULL,"
                " UNIQUE (stream, revision))");
            execute(connection, "CREATE INDEX by_type ON events(type)");
        }
        prepare(
            connection, "insert",
            "INSERT INTO events(stream, revision, id, type, timestamp, correlation, metadata, payload)"
            " SELECT $1::text, $2::bigint, $3::uuid, $4::text, $5::bigint, $6::uuid, $7::bytea, $8::bytea"
            " WHERE coalesce((SELECT max(revision) FROM events WHERE stream = $1), -1) = $2 - 1");
        prepare(
            connection, "load",
            "SELECT position, revision, id, type, stream, timestamp, correlation, metadata, payload FROM events"
            " WHERE stream = $1::text ORDER BY revision");
    }
}

static void append(unsigned caller, const struct made *event) {
    PGconn *connection = db.connections[caller];
    uint64_t revision = big_endian((uint64_t)event->revision), timestamp = big_endian((uint64_t)event->timestamp);
    const char *values[] = {event->stream, (const char *)&revision, (const char *)event->id, event->type,
                            (const char *)&timestamp, (const char *)event->correlation, event->metadata,
                            event->payload};
    int lengths[] = {event->stream_length, 8, 16, event->type_length, 8, 16, event->metadata_length,
                     event->payload_length};
    int binary[] = {1, 1, 1, 1, 1, 1, 1, 1};
    PGresult *result =
        checked(connection, PQexecPrepared(connection, "insert", 8, values, lengths, binary, 1), "INSERT");
    if (strcmp(PQcmdTuples(result), "1")) fail("the stream %s has another revision", event->stream);
    PQclear(result);
}

static void fill(const struct made *events, size_t count) {
    PGconn *connection = db.connections[0];
    execute(connection, "BEGIN");
    for (size_t i = 0; i < count; i++) append(0, &events[i]);
    execute(connection, "COMMIT");
}

static void fill_done(void) {
    execute(db.connections[0], "VACUUM ANALYZE events");
    execute(db.connections[0], "CHECKPOINT");
}

static int64_t integer(PGresult *result, int row, int column) {
    uint64_t value;
    memcpy(&value, PQgetvalue(result, row, column), sizeof value);
    return (int64_t)big_endian(value);
}

static size_t load(const char *stream, int length, struct owned *out, size_t capacity) {
    PGconn *connection = db.connections[0];
    const char *values[] = {stream};
    int lengths[] = {length}, binary[] = {1};
    PGresult *r = checked(connection, PQexecPrepared(connection, "load", 1, values, lengths, binary, 1), "SELECT");
    size_t count = (size_t)PQntuples(r);
    if (count > capacity) count = capacity;
    for (int i = 0; i < (int)count; i++) {
        struct owned *event = &out[i];
        event->position = integer(r, i, 0);
        event->revision = integer(r, i, 1);
        event->timestamp = integer(r, i, 5);
        own(event, PQgetvalue(r, i, 2), PQgetvalue(r, i, 6), PQgetvalue(r, i, 3), (size_t)PQgetlength(r, i, 3),
            PQgetvalue(r, i, 4), (size_t)PQgetlength(r, i, 4), PQgetvalue(r, i, 7), (size_t)PQgetlength(r, i, 7),
            PQgetvalue(r, i, 8), (size_t)PQgetlength(r, i, 8));
    }
    PQclear(r);
    return count;
}

static void close_store(void) {
    for (unsigned i = 0; i < db.callers; i++) PQfinish(db.connections[i]);
    free(db.connections);
}

int main(int argc, char **argv) {
    const struct store stores[] = {
        {.name = "postgres", .open = open_store, .append = append, .fill = fill, .fill_done = fill_done,
         .load = load, .close = close_store},
    };
    return store_main(argc, argv, stores, sizeof stores / sizeof *stores);
}
