// Finds the events of the input file, and in each the two names that an index needs.
//
// Only the top level of each JSON object is looked at, for "type" and for "stream" (or "subject", as
// CloudEvents calls it). The names are taken as they stand in the file, escapes and all: they are keys here.
#include "events.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/// The byte after the string whose opening quote is at `p`.
static const uint8_t *after_string(const uint8_t *p, const uint8_t *end) {
    for (p++; p < end; p++) {
        if (*p == '\\') p++;
        else if (*p == '"') return p + 1;
    }
    fail("a string of the input does not end");
}

static bool key_is(const uint8_t *key, size_t length, const char *name) {
    return length == strlen(name) && !memcmp(key, name, length);
}

static void find_names(struct event *event) {
    const uint8_t *p = event->bytes, *end = p + event->length;
    event->stream = event->type = "";
    int depth = 0;
    while (p < end) {
        if (*p == '{' || *p == '[') depth++;
        else if (*p == '}' || *p == ']') depth--;
        if (*p != '"') {
            p++;
            continue;
        }
        const uint8_t *key = p + 1;
        p = after_string(p, end);
        size_t length = (size_t)(p - 1 - key);
        while (p < end && (*p == ' ' || *p == '\n')) p++;
        if (depth != 1 || p >= end || *p != ':') continue;
        for (p++; p < end && (*p == ' ' || *p == '\n'); p++) {}
        if (p >= end || *p != '"') continue;
        const char *value = (const char *)p + 1;
        p = after_string(p, end);
        size_t value_length = (size_t)((const char *)p - 1 - value);
        if (value_length > UINT16_MAX) continue;
        if (key_is(key, length, "type")) {
            event->type = value;
            event->type_length = (uint16_t)value_length;
        } else if (key_is(key, length, "stream") || key_is(key, length, "subject")) {
            event->stream = value;
            event->stream_length = (uint16_t)value_length;
        }
    }
}

/// Distinct names, numbered in the order in which they are first seen.
struct names {
    struct name {
        const char *text;
        uint16_t length;
        uint32_t count;
        size_t first;   // The event that it was first seen in.
    } *list;
    uint32_t *slots;    // Number + 1 of the name in the list, 0 when free.
    size_t count, capacity;  // `capacity` is a power of two, at least twice the count.
};

static uint64_t hash(const char *text, size_t length) {
    uint64_t h = 0xcbf29ce484222325 ^ length;
    for (; length >= 8; text += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, text, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15;
        h ^= h >> 29;
    }
    while (length--) h = (h ^ (uint8_t)*text++) * 0x100000001b3;
    return h ^ (h >> 32);
}

static size_t slot_of(const struct names *names, const char *text, uint16_t length) {
    size_t slot = hash(text, length) & (names->capacity - 1);
    while (names->slots[slot]) {
        const struct name *name = &names->list[names->slots[slot] - 1];
        if (name->length == length && !memcmp(name->text, text, length)) break;
        slot = (slot + 1) & (names->capacity - 1);
    }
    return slot;
}

static void grow(struct names *names) {
    names->capacity = names->capacity ? names->capacity * 2 : 1024;
    names->list = realloc(names->list, names->capacity / 2 * sizeof *names->list);
    free(names->slots);
    names->slots = calloc(names->capacity, sizeof *names->slots);
    if (!names->list || !names->slots) fail("out of memory");
    for (size_t i = 0; i < names->count; i++)
        names->slots[slot_of(names, names->list[i].text, names->list[i].length)] = (uint32_t)i + 1;
}

/// The number of a name.
static uint32_t intern(struct names *names, const char *text, uint16_t length, size_t event) {
    if (names->count * 2 >= names->capacity) grow(names);
    size_t slot = slot_of(names, text, length);
    if (!names->slots[slot]) {
        names->list[names->count] = (struct name){.text = text, .length = length, .first = event};
        names->slots[slot] = (uint32_t)++names->count;
    }
    return names->slots[slot] - 1;
}

/// An event of the first name whose count is nearest to `wanted`.
static size_t nearest(const struct names *names, double wanted) {
    size_t best = 0;
    double distance = 1e300;
    for (size_t i = 0; i < names->count; i++) {
        double d = (double)names->list[i].count - wanted;
        if (d < 0) d = -d;
        if (names->list[i].length && d < distance) distance = d, best = i;
    }
    return names->list[best].first;
}

static void find_columns(struct input *input) {
    struct names streams = {0}, types = {0};
    for (size_t i = 0; i < input->count; i++) {
        struct event *event = &input->events[i];
        find_names(event);
        event->stream_number = intern(&streams, event->stream, event->stream_length, i);
        event->revision = streams.list[event->stream_number].count++;
        uint32_t type = intern(&types, event->type, event->type_length, i);
        types.list[type].count++;
    }
    input->has_columns = true;
    input->hundred = nearest(&streams, 100);
    input->percent = nearest(&types, (double)input->count / 100);
    free(streams.list), free(streams.slots), free(types.list), free(types.slots);
}

struct input input_load(const char *path, uint64_t limit, bool columns) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info)) fail("cannot open %s", path);
    size_t size = (size_t)info.st_size;
    uint8_t *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) fail("cannot map %s", path);
    close(fd);

    struct input input = {0};
    size_t capacity = 0, offset = 0;
    while (input.count < limit && offset + 4 <= size) {
        uint32_t length;
        memcpy(&length, bytes + offset, 4);
        if (length > size - offset - 4) fail("%s ends within an event", path);
        if (input.count == capacity) {
            capacity = capacity ? capacity * 2 : 1 << 20;
            input.events = realloc(input.events, capacity * sizeof *input.events);
            if (!input.events) fail("out of memory");
        }
        input.events[input.count++] = (struct event){.bytes = bytes + offset + 4, .length = length};
        offset += 4 + length;
    }
    if (!input.count) fail("%s holds no events", path);
    // The pages are touched now, so that no scenario pays for it.
    volatile uint8_t touched = 0;
    for (size_t i = 0; i < offset; i += 4096) touched += bytes[i];
    if (columns) find_columns(&input);
    return input;
}
