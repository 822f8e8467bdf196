// NATS JetStream over loopback: a stream in files, and a durable pull consumer with explicit acknowledgements.
//
// The server is the one that `with-nats` started; its address is in TIDELOG_NATS_URL. It answers before its files
// are synced (it does that every two minutes), so what it acknowledges is less safe than with the other peers.
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"

static struct {
    natsConnection *connection;
    jsCtx *stream;
} db;

static void check(natsStatus status, const char *what) {
    if (status != NATS_OK) fail("nats: %s: %s", what, natsStatus_GetText(status));
}

static void open_stream(const char *directory, unsigned callers) {
    (void)directory, (void)callers;
    const char *url = getenv("TIDELOG_NATS_URL");
    if (!url) fail("TIDELOG_NATS_URL is not set: run this under with-nats");
    natsOptions *options;
    check(natsOptions_Create(&options), "options");
    check(natsOptions_SetURL(options, url), "options");
    check(natsOptions_SetIOBufSize(options, 1 << 20), "options");
    check(natsOptions_SetMaxPendingMsgs(options, 1 << 20), "options");
    check(natsConnection_Connect(&db.connection, options), "connecting");
    natsOptions_Destroy(options);
    check(natsConnection_JetStream(&db.stream, db.connection, NULL), "JetStream");
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char *subject = "log";
    config.Name = "LOG";
    config.Subjects = &subject;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    check(js_AddStream(NULL, db.stream, &config, NULL, NULL), "adding the stream");
}

static void append(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    (void)caller, (void)index;
    for (size_t i = 0; i < count; i++)
        check(js_PublishAsync(db.stream, "log", events[i].bytes, (int)events[i].length, NULL), "publishing");
    check(js_PublishAsyncComplete(db.stream, NULL), "publishing");
}

/// Asks for events without waiting for them. What the client's own Fetch does, but so that the next ones can be under
/// way while these are handled.
static void ask(const char *inbox) {
    enum { batch = 2000 };
    char request[64];
    int length = snprintf(request, sizeof request, "{\"batch\":%d}", batch);
    check(
        natsConnection_PublishRequest(
            db.connection, "$JS.API.CONSUMER.MSG.NEXT.LOG.bench", inbox, request, length),
        "asking for events");
}

static void await_acknowledgements(uint64_t count) {
    for (;;) {
        jsConsumerInfo *info;
        check(js_GetConsumerInfo(&info, db.stream, "LOG", "bench", NULL, NULL), "the consumer");
        bool done = info->NumAckPending == 0 && info->AckFloor.Stream == count;
        if (info->NumRedelivered) fail("nats: events were delivered again");
        jsConsumerInfo_Destroy(info);
        if (done) return;
    }
}

static void consume_events(const struct input *input) {
    jsConsumerConfig config;
    jsConsumerConfig_Init(&config);
    config.Durable = "bench";
    config.AckPolicy = js_AckExplicit;
    config.MaxAckPending = 1 << 16;
    check(js_AddConsumer(NULL, db.stream, "LOG", &config, NULL, NULL), "adding the consumer");
    natsInbox *inbox;
    natsSubscription *subscription;
    check(natsInbox_Create(&inbox), "an inbox");
    check(natsConnection_SubscribeSync(&subscription, db.connection, inbox), "subscribing");
    check(natsSubscription_SetPendingLimits(subscription, 1 << 20, 1 << 30), "limits");
    enum { ahead = 1000, batch = 2000 };
    ask(inbox);
    uint64_t asked = batch;
    for (uint64_t seen = 0; seen < input->count; seen++) {
        if (asked < input->count && asked - seen <= ahead) {
            ask(inbox);
            asked += batch;
        }
        natsMsg *message;
        check(natsSubscription_NextMsg(&message, subscription, 10000), "waiting for an event");
        expect_event(input, seen, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
        check(natsConnection_Publish(db.connection, natsMsg_GetReply(message), "+ACK", 4), "acknowledging");
        natsMsg_Destroy(message);
    }
    await_acknowledgements(input->count);
    natsSubscription_Destroy(subscription);
    natsInbox_Destroy(inbox);
}

static void close_stream(void) {
    jsCtx_Destroy(db.stream);
    natsConnection_Destroy(db.connection);
    nats_Close();
}

int main(int argc, char **argv) {
    const struct peer peers[] = {
        {.name = "nats", .most_callers = 1, .open = open_stream, .append = append, .consume = consume_events,
         .close = close_stream},
    };
    return peer_main(argc, argv, peers, sizeof peers / sizeof *peers);
}
