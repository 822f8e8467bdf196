// zstd alone in blocks of 128 KiB, in memory: the size that compression by itself gives, and the speed of
// decompression by itself. `zstd-3` uses level 3, `zstd-1` level 1; no dictionary, no columns.
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "peer.h"

enum { block_bytes = 128 << 10 };

struct block {
    uint8_t *bytes;
    size_t length;
};

static struct {
    int level;
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    uint8_t *plain;
    size_t used;
    struct block *blocks;
    size_t count, capacity;
    uint64_t stored;
} state;

static size_t checked(size_t result) {
    if (ZSTD_isError(result)) fail("zstd: %s", ZSTD_getErrorName(result));
    return result;
}

static void finish_block(void) {
    if (!state.used) return;
    if (state.count == state.capacity) {
        state.capacity = state.capacity ? state.capacity * 2 : 1024;
        state.blocks = realloc(state.blocks, state.capacity * sizeof *state.blocks);
    }
    size_t bound = ZSTD_compressBound(state.used);
    uint8_t *bytes = malloc(bound);
    size_t length = checked(
        ZSTD_compressCCtx(state.compressor, bytes, bound, state.plain, state.used, state.level));
    state.blocks[state.count++] = (struct block){realloc(bytes, length), length};
    state.stored += length;
    state.used = 0;
}

static void open_level(int level) {
    state.level = level;
    state.compressor = ZSTD_createCCtx();
    state.decompressor = ZSTD_createDCtx();
    state.plain = malloc(block_bytes);
}

static void open_1(const char *directory, unsigned callers) { (void)directory, (void)callers, open_level(1); }
static void open_3(const char *directory, unsigned callers) { (void)directory, (void)callers, open_level(3); }

static void append(unsigned caller, uint64_t index, const struct event *events, size_t count) {
    (void)caller, (void)index;
    for (size_t i = 0; i < count; i++) {
        if (events[i].length + 4 > block_bytes) fail("an event is larger than a block");
        if (state.used + 4 + events[i].length > block_bytes) finish_block();
        memcpy(state.plain + state.used, &events[i].length, 4);
        memcpy(state.plain + state.used + 4, events[i].bytes, events[i].length);
        state.used += 4 + events[i].length;
    }
}

static void replay(struct tally *tally) {
    for (size_t i = 0; i < state.count; i++) {
        size_t size = checked(ZSTD_decompressDCtx(
            state.decompressor, state.plain, block_bytes, state.blocks[i].bytes, state.blocks[i].length));
        for (size_t at = 0; at < size;) {
            uint32_t length;
            memcpy(&length, state.plain + at, 4);
            consume(tally, state.plain + at + 4, length);
            at += 4 + length;
        }
    }
}

static uint64_t stored_bytes(void) { return state.stored; }
static void close_all(void) {}

int main(int argc, char **argv) {
    // Nothing is durable here, so there is nothing to compare in the append scenarios.
    const struct peer peers[] = {
        {.name = "zstd-3", .most_callers = 0, .open = open_3, .append = append, .settle = finish_block,
         .replay = replay, .stored_bytes = stored_bytes, .close = close_all},
        {.name = "zstd-1", .most_callers = 0, .open = open_1, .append = append, .settle = finish_block,
         .replay = replay, .stored_bytes = stored_bytes, .close = close_all},
    };
    return peer_main(argc, argv, peers, sizeof peers / sizeof *peers);
}
