// Redis Streams over a Unix socket: `XADD log ID e BYTES`, to a server that syncs its append-only file before
// it answers. A batch is one pipelined transaction (MULTI … EXEC). One connection a caller.
//
// The server is the one that `with-redis` started; its socket is in TIDELOG_REDIS_SOCKET.
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "events.h"

static struct {
    redisContext **connections;
    unsigned callers;
} db;

static redisReply *checked(redisContext *connection, redisReply *reply) {
    if (!reply) fail("redis: %s", connection->errstr);
    if (reply->type == REDIS_REPLY_ERROR) fail("redis: %s", reply->str);
    return reply;
}

static redisReply *next_reply(redisContext *connection) {
    void *reply = NULL;
    if (redisGetReply(connection, &reply) != REDIS_OK) fail("redis: %s", connection->errstr);
    return checked(connection, reply);
}

static void open_connections(const char *directory, unsigned callers) {
    (void)directory;
    const char *path = getenv("TIDELOG_REDIS_SOCKET");
    if (!path) fail("TIDELOG_REDIS_SOCKET is not set: run this under with-redis");
    db.callers = callers;
    db.connections = calloc(callers, sizeof *db.connections);
    for (unsigned i = 0; i < callers; i++) {
        redisContext *connection = redisConnectUnix(path);
        if (!connection || connection->err) fail("cannot connect to %s", path);
        connection->reader->maxbuf = 1 << 20;
        db.connections[i] = connection;
    }
    freeReplyObject(checked(db.connections[0], redisCommand(db.connections[0], "FLUSHALL")));
}

/// With one caller the id is the position plus 1 (0-0 is not allowed), else the server's choice.
static void send_event(redisContext *connection, uint64_t position, const struct event *event) {
    char id[32] = "*";
    if (db.callers == 1) snprintf(id, sizeof id, "%llu-0", (unsigned long long)position + 1);
    const char *arguments[] = {"XADD", "log", id, "e", (const char *)event->bytes};
    size_t lengths[] = {4, 3, strlen(id), 1, event->length};
    redisAppendCommandArgv(connection, 5, arguments, lengths);
}

static void append(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    redisContext *connection = db.connections[caller];
    if (count > 1) redisAppendCommand(connection, "MULTI");
    for (size_t i = 0; i < count; i++) send_event(connection, index + i, &events[i]);
    if (count > 1) redisAppendCommand(connection, "EXEC");
    size_t replies = count > 1 ? count + 2 : 1;
    for (size_t i = 0; i < replies; i++) freeReplyObject(next_reply(connection));
}

/// The bytes of an entry: [id, [field, value]].
static const redisReply *value_of(const redisReply *entry) { return entry->element[1]->element[1]; }

static void replay(struct tally *tally) {
    redisContext *connection = db.connections[0];
    unsigned long long from = 0;
    for (;;) {
        redisReply *page = checked(connection, redisCommand(connection, "XRANGE log %llu + COUNT 1000", from));
        size_t count = page->elements;
        for (size_t i = 0; i < count; i++) consume(tally, value_of(page->element[i])->str, value_of(page->element[i])->len);
        if (count) from = strtoull(page->element[count - 1]->element[0]->str, NULL, 10) + 1;
        freeReplyObject(page);
        if (!count) return;
    }
}

static size_t point(uint64_t position, uint8_t *out) {
    redisContext *connection = db.connections[0];
    unsigned long long id = position + 1;
    redisReply *page = checked(connection, redisCommand(connection, "XRANGE log %llu %llu", id, id));
    if (page->elements != 1) fail("position %llu is not there", (unsigned long long)position);
    const redisReply *value = value_of(page->element[0]);
    memcpy(out, value->str, value->len);
    size_t length = value->len;
    freeReplyObject(page);
    return length;
}

/// The append-only file, rewritten to its smallest form as the server does from time to time.
static uint64_t stored_bytes(void) {
    redisContext *connection = db.connections[0];
    redisReply *reply = checked(connection, redisCommand(connection, "INFO persistence"));
    const char *size = strstr(reply->str, "aof_current_size:");
    if (!size) fail("no size of the append-only file");
    uint64_t bytes = strtoull(size + strlen("aof_current_size:"), NULL, 10);
    freeReplyObject(reply);
    return bytes;
}

static void settle(void) {
    redisContext *connection = db.connections[0];
    freeReplyObject(checked(connection, redisCommand(connection, "BGREWRITEAOF")));
    for (bool busy = true; busy;) {
        redisReply *reply = checked(connection, redisCommand(connection, "INFO persistence"));
        busy = !strstr(reply->str, "aof_rewrite_in_progress:0") || !strstr(reply->str, "aof_rewrite_scheduled:0");
        freeReplyObject(reply);
    }
}

// MARK: Consuming

/// Acknowledges the entries of one answer; answers how many replies will come.
typedef size_t (*acknowledging)(redisContext *connection, redisReply **entries, size_t count);

static size_t acknowledge_each(redisContext *connection, redisReply **entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const redisReply *id = entries[i]->element[0];
        const char *arguments[] = {"XACK", "log", "bench", id->str};
        size_t lengths[] = {4, 3, 5, id->len};
        redisAppendCommandArgv(connection, 4, arguments, lengths);
    }
    return count;
}

enum { fetched = 1000 };

static size_t acknowledge_jointly(redisContext *connection, redisReply **entries, size_t count) {
    const char *arguments[fetched + 3] = {"XACK", "log", "bench"};
    size_t lengths[fetched + 3] = {4, 3, 5};
    for (size_t i = 0; i < count; i++) {
        arguments[i + 3] = entries[i]->element[0]->str;
        lengths[i + 3] = entries[i]->element[0]->len;
    }
    redisAppendCommandArgv(connection, (int)count + 3, arguments, lengths);
    return 1;
}

/// The next events are asked for together with the acknowledgements of the last ones, in one write.
static void consume_with(const struct input *input, acknowledging acknowledge) {
    redisContext *connection = db.connections[0];
    freeReplyObject(checked(connection, redisCommand(connection, "XGROUP CREATE log bench 0")));
    char fetch[80];
    snprintf(fetch, sizeof fetch, "XREADGROUP GROUP bench one COUNT %d STREAMS log >", fetched);
    redisAppendCommand(connection, fetch);
    uint64_t seen = 0, acknowledged = 0;
    while (seen < input->count) {
        redisReply *reply = next_reply(connection);
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1) fail("redis: events are missing");
        redisReply *entries = reply->element[0]->element[1];
        for (size_t i = 0; i < entries->elements; i++) {
            const redisReply *value = value_of(entries->element[i]);
            expect_event(input, seen++, value->str, value->len);
        }
        size_t answers = acknowledge(connection, entries->element, entries->elements);
        freeReplyObject(reply);
        if (seen < input->count) redisAppendCommand(connection, fetch);
        for (size_t i = 0; i < answers; i++) {
            redisReply *answer = next_reply(connection);
            acknowledged += (uint64_t)answer->integer;
            freeReplyObject(answer);
        }
    }
    if (acknowledged != input->count) fail("redis: %llu were acknowledged", (unsigned long long)acknowledged);
    redisReply *pending = checked(connection, redisCommand(connection, "XPENDING log bench"));
    if (pending->element[0]->integer != 0) fail("redis: some are pending");
    freeReplyObject(pending);
}

static void consume_each(const struct input *input) { consume_with(input, acknowledge_each); }
static void consume_jointly(const struct input *input) { consume_with(input, acknowledge_jointly); }

static void close_connections(void) {
    for (unsigned i = 0; i < db.callers; i++) redisFree(db.connections[i]);
    free(db.connections);
}

int main(int argc, char **argv) {
    const struct peer peers[] = {
        {.name = "redis", .most_callers = 1024, .open = open_connections, .append = append, .settle = settle,
         .replay = replay, .point = point, .consume = consume_each, .stored_bytes = stored_bytes,
         .close = close_connections},
        {.name = "redis-joint", .most_callers = 1, .open = open_connections, .append = append,
         .consume = consume_jointly, .close = close_connections},
    };
    return peer_main(argc, argv, peers, sizeof peers / sizeof *peers);
}
