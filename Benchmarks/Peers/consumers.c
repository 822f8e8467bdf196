// Consumes and acknowledges events one by one from Redis Streams or NATS JetStream, beside Tidelog's durable
// consumers: a group with an explicit acknowledgement of each event, durable on the server's side.
//     consumers redis|nats EVENTS [BATCH]
// Redis: XREADGROUP COUNT BATCH, then one XACK an event, pipelined; the server runs with appendfsync always.
// NATS: a pull consumer on a file-backed stream, fetches of BATCH, natsMsg_Ack an event, and one synchronous
// acknowledgement at the end, so that all before it have been taken.
#include <hiredis/hiredis.h>
#include <nats/nats.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

_Noreturn static void fail(const char *what, const char *why) {
    fprintf(stderr, "consumers: %s: %s\n", what, why);
    exit(1);
}

// 250 bytes of JSON, as the other benchmarks store.
static int event(char *out, size_t size, uint64_t number) {
    return snprintf(out, size,
                    "{\"id\":\"0198f5a0-0000-7000-8000-%012llx\",\"type\":\"sensor.read\",\"stream\":\"sensor-%llu\","
                    "\"payload\":{\"celsius\":%.2f,\"humidity\":%.1f,\"battery\":%llu,\"firmware\":\"2.7.1\","
                    "\"site\":\"north barn\"},\"metadata\":{\"tenant\":\"farm-7\"},\"timestamp\":\"2026-01-01T00:00:00Z\"}",
                    (unsigned long long)number, (unsigned long long)(number % 1000), 15.0 + (double)(number % 97) / 10,
                    40.0 + (double)(number % 31), (unsigned long long)(number % 100));
}

static void print(const char *peer, uint64_t events, double seconds) {
    printf("{\"peer\":\"%s\",\"scenario\":\"consume\",\"events\":%llu,\"seconds\":%.6f,\"events_per_second\":%.0f}\n", peer,
           (unsigned long long)events, seconds, (double)events / seconds);
}

// MARK: Redis

static redisReply *take(redisContext *redis) {
    redisReply *reply;
    if (redisGetReply(redis, (void **)&reply) != REDIS_OK) fail("redis", redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR) fail("redis", reply->str);
    return reply;
}

static void redis(uint64_t events, unsigned batch) {
    const char *socket = getenv("TIDELOG_REDIS_SOCKET");
    if (!socket) fail("redis", "TIDELOG_REDIS_SOCKET is not set; run it under with-redis");
    redisContext *redis = redisConnectUnix(socket);
    if (!redis || redis->err) fail("redis", redis ? redis->errstr : "no memory");
    char text[512];
    for (uint64_t done = 0; done < events;) {
        unsigned count = 0;
        for (; count < 1000 && done < events; count++, done++) {
            int length = event(text, sizeof text, done);
            redisAppendCommand(redis, "XADD log * e %b", text, (size_t)length);
        }
        while (count-- > 0) freeReplyObject(take(redis));
    }
    redisAppendCommand(redis, "XGROUP CREATE log bench 0");
    freeReplyObject(take(redis));
    double start = now();
    uint64_t seen = 0;
    while (seen < events) {
        redisAppendCommand(redis, "XREADGROUP GROUP bench one COUNT %u STREAMS log >", batch);
        redisReply *reply = take(redis);
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1) fail("redis", "events are missing");
        redisReply *entries = reply->element[0]->element[1];
        for (size_t i = 0; i < entries->elements; i++) {
            redisReply *id = entries->element[i]->element[0];
            redisAppendCommand(redis, "XACK log bench %b", id->str, id->len);
        }
        for (size_t i = 0; i < entries->elements; i++) {
            redisReply *answer = take(redis);
            if (answer->integer != 1) fail("redis", "an acknowledgement was not taken");
            freeReplyObject(answer);
        }
        seen += entries->elements;
        freeReplyObject(reply);
    }
    print("redis-streams", events, now() - start);
    redisFree(redis);
}

// MARK: NATS

static void check(natsStatus status, const char *what) {
    if (status != NATS_OK) fail(what, natsStatus_GetText(status));
}

static void nats(uint64_t events, unsigned batch) {
    const char *url = getenv("TIDELOG_NATS_URL");
    if (!url) fail("nats", "TIDELOG_NATS_URL is not set; run it under with-nats");
    natsConnection *connection;
    check(natsConnection_ConnectTo(&connection, url), "connecting");
    jsCtx *jets;
    check(natsConnection_JetStream(&jets, connection, NULL), "JetStream");
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char *subject = "log";
    config.Name = "LOG";
    config.Subjects = &subject;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    jsStreamInfo *info = NULL;
    check(js_AddStream(&info, jets, &config, NULL, NULL), "adding the stream");
    jsStreamInfo_Destroy(info);
    char text[512];
    for (uint64_t done = 0; done < events; done++) {
        int length = event(text, sizeof text, done);
        check(js_PublishAsync(jets, subject, text, length, NULL), "publishing");
        if (done % 1000 == 999) check(js_PublishAsyncComplete(jets, NULL), "publishing");
    }
    check(js_PublishAsyncComplete(jets, NULL), "publishing");
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Config.AckPolicy = js_AckExplicit;
    options.Config.MaxAckPending = 65536;
    natsSubscription *subscription;
    check(js_PullSubscribe(&subscription, jets, subject, "bench", NULL, &options, NULL), "subscribing");
    double start = now();
    uint64_t seen = 0;
    while (seen < events) {
        natsMsgList list;
        check(natsSubscription_Fetch(&list, subscription, (int)batch, 5000, NULL), "fetching");
        for (int i = 0; i < list.Count; i++) {
            seen++;
            if (seen == events) check(natsMsg_AckSync(list.Msgs[i], NULL, NULL), "acknowledging");
            else check(natsMsg_Ack(list.Msgs[i], NULL), "acknowledging");
        }
        natsMsgList_Destroy(&list);
    }
    print("nats-jetstream", events, now() - start);
    natsSubscription_Destroy(subscription);
    jsCtx_Destroy(jets);
    natsConnection_Destroy(connection);
    nats_Close();
}

int main(int argc, char **argv) {
    if (argc < 3) fail("usage", "consumers redis|nats EVENTS [BATCH]");
    uint64_t events = strtoull(argv[2], NULL, 10);
    unsigned batch = argc > 3 ? (unsigned)atoi(argv[3]) : 1000;
    if (strcmp(argv[1], "redis") == 0) redis(events, batch);
    else if (strcmp(argv[1], "nats") == 0) nats(events, batch);
    else fail("usage", "consumers redis|nats EVENTS [BATCH]");
    return 0;
}
