// What a program does that talks to PostgreSQL by hand: one INSERT an event, each its own commit, and
// SELECT … ORDER BY. It works on a table with the columns and indexes of Tidelog's, and on the same rows, so that
// nothing but the way differs.
//
//     postgres_plain TABLE insert ROWS FROM COUNT     inserts rows of a file that COPY … (FORMAT binary) wrote
//     postgres_plain TABLE insert-prepared …          the same by a prepared statement
//     postgres_plain TABLE select                     reads the whole table in order
//     postgres_plain TABLE streams COUNT              reads so many streams, one after the other
//     postgres_plain TABLE type|prefix|correlation FILE   reads what each line of the file selects: events of a type,
//                                                     of streams with a prefix, of a correlation
//     postgres_plain TABLE streams-prepared|type-prepared|… …   the same by a prepared statement
//
// Prints the seconds that it took and how many events that were. libpq finds the server by PGHOST and its like.
#include <postgresql/libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS 18

static const char *const names =
    "log_id, position, revision, occurred_at, nanoseconds, schema_version, id, type, stream, source, content_type,"
    " tenant_id, correlation_id, causation_id, metadata, metadata_raw, payload, payload_raw";
static const Oid types[COLUMNS] = {2950, 20, 20, 1184, 21, 20, 25, 25, 25, 25, 25, 25, 25, 25, 3802, 17, 3802, 17};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "postgres_plain: %s: %s\n", what, why);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static PGresult *checked(PGconn *connection, PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail("statement", PQerrorMessage(connection));
    return result;
}

static unsigned char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path, "cannot be opened");
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size);
    if (!bytes || fread(bytes, 1, *size, file) != *size) fail(path, "cannot be read");
    fclose(file);
    return bytes;
}

static uint32_t big_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void insert(
    PGconn *connection, const char *table, const char *path, long from, long count, int is_prepared) {
    size_t size;
    unsigned char *bytes = read_file(path, &size);
    char sql[1024];
    snprintf(
        sql, sizeof sql,
        "INSERT INTO %s (%s) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)", table, names);
    if (is_prepared) PQclear(checked(connection, PQprepare(connection, "insert", sql, COLUMNS, types)));
    const unsigned char *at = bytes + 19; // after the header of COPY
    double start = 0;
    for (long row = 0; row < from + count; row++) {
        const char *values[COLUMNS];
        int lengths[COLUMNS], formats[COLUMNS];
        if (at + 2 > bytes + size || at[0] == 0xFF) fail(path, "has too few rows");
        at += 2;
        for (int column = 0; column < COLUMNS; column++) {
            int32_t length = (int32_t)big_endian(at);
            at += 4;
            formats[column] = 1;
            lengths[column] = length < 0 ? 0 : length;
            values[column] = length < 0 ? NULL : (const char *)at;
            if (length > 0) at += length;
        }
        if (row < from) continue;
        if (row == from) start = now();
        PGresult *result =
            is_prepared ? PQexecPrepared(connection, "insert", COLUMNS, values, lengths, formats, 1)
                        : PQexecParams(connection, sql, COLUMNS, types, values, lengths, formats, 1);
        PQclear(checked(connection, result));
    }
    printf("%.6f %ld\n", now() - start, count);
    free(bytes);
}

/// Looks at every field, as a program does that makes something of them.
static uint64_t touch(const PGresult *result) {
    uint64_t sum = 0;
    for (int row = 0; row < PQntuples(result); row++)
        for (int column = 0; column < PQnfields(result); column++)
            if (!PQgetisnull(result, row, column)) {
                const char *value = PQgetvalue(result, row, column);
                sum += (uint64_t)PQgetlength(result, row, column) + (unsigned char)value[0];
            }
    return sum;
}

static void select_all(PGconn *connection, const char *table) {
    char sql[1024];
    snprintf(sql, sizeof sql, "SELECT %s FROM %s ORDER BY position", names, table);
    double start = now();
    PGresult *result = checked(connection, PQexec(connection, sql));
    uint64_t sum = touch(result);
    printf("%.6f %d\n", now() - start, PQntuples(result));
    if (sum == 0) fail(table, "is empty");
    PQclear(result);
}

/// Runs a SELECT with two parameters and looks at what it brings: by a prepared statement, or as it comes.
static int select_with(PGconn *connection, const char *sql, const char *const *values, int is_prepared) {
    PGresult *result = is_prepared ? PQexecPrepared(connection, "select", 2, values, NULL, NULL, 0)
                                   : PQexecParams(connection, sql, 2, NULL, values, NULL, NULL, 0);
    int events = touch(checked(connection, result)) > 0 ? PQntuples(result) : 0;
    PQclear(result);
    return events;
}

static void select_streams(PGconn *connection, const char *table, int count, int is_prepared) {
    char sql[1024];
    snprintf(sql, sizeof sql, "SELECT DISTINCT stream FROM %s WHERE stream IS NOT NULL ORDER BY 1 LIMIT %d", table, count);
    PGresult *streams = checked(connection, PQexec(connection, sql));
    snprintf(sql, sizeof sql, "SELECT log_id::text FROM %s LIMIT 1", table);
    PGresult *log = checked(connection, PQexec(connection, sql));
    snprintf(
        sql, sizeof sql, "SELECT %s FROM %s WHERE log_id = $1::uuid AND stream = $2::text ORDER BY revision", names,
        table);
    if (is_prepared) PQclear(checked(connection, PQprepare(connection, "select", sql, 0, NULL)));
    int events = 0;
    double start = now();
    for (int row = 0; row < PQntuples(streams); row++) {
        const char *values[] = {PQgetvalue(log, 0, 0), PQgetvalue(streams, row, 0)};
        events += select_with(connection, sql, values, is_prepared);
    }
    printf("%.6f %d\n", now() - start, events);
    PQclear(streams);
    PQclear(log);
}

static void select_by(
    PGconn *connection, const char *table, const char *what, const char *path, int is_prepared) {
    const char *where = strncmp(what, "type", 4) == 0     ? "type = $2::text"
                        : strncmp(what, "prefix", 6) == 0 ? "stream >= $2::text AND starts_with(stream, $2::text)"
                                                          : "correlation_id = $2::text";
    char sql[1024], value[512];
    snprintf(sql, sizeof sql, "SELECT log_id::text FROM %s LIMIT 1", table);
    PGresult *log = checked(connection, PQexec(connection, sql));
    snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE log_id = $1::uuid AND %s ORDER BY position", names, table, where);
    if (is_prepared) PQclear(checked(connection, PQprepare(connection, "select", sql, 0, NULL)));
    FILE *file = fopen(path, "r");
    if (!file) fail(path, "cannot be opened");
    int events = 0;
    double start = now();
    while (fgets(value, sizeof value, file)) {
        value[strcspn(value, "\n")] = 0;
        const char *values[] = {PQgetvalue(log, 0, 0), value};
        events += select_with(connection, sql, values, is_prepared);
    }
    printf("%.6f %d\n", now() - start, events);
    fclose(file);
    PQclear(log);
}

int main(int argc, char **argv) {
    PGconn *connection = PQconnectdb("");
    if (PQstatus(connection) != CONNECTION_OK) fail("connecting", PQerrorMessage(connection));
    const int is_prepared = argc > 2 && strstr(argv[2], "-prepared") != NULL;
    if (argc == 6 && strncmp(argv[2], "insert", 6) == 0)
        insert(connection, argv[1], argv[3], atol(argv[4]), atol(argv[5]), is_prepared);
    else if (argc == 3 && strcmp(argv[2], "select") == 0)
        select_all(connection, argv[1]);
    else if (argc == 4 && strncmp(argv[2], "streams", 7) == 0)
        select_streams(connection, argv[1], atoi(argv[3]), is_prepared);
    else if (argc == 4)
        select_by(connection, argv[1], argv[2], argv[3], is_prepared);
    else
        fail(
            "usage",
            "postgres_plain TABLE insert[-prepared] ROWS FROM COUNT | select | streams[-prepared] COUNT |"
            " type|prefix|correlation[-prepared] FILE");
    PQfinish(connection);
    return 0;
}
