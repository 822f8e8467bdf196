// The input file of a benchmark, in memory.
#ifndef TIDELOG_EVENTS_H
#define TIDELOG_EVENTS_H

#include "peer.h"

struct input {
    struct event *events;
    size_t count;
    bool has_columns;   ///< Whether streams, types and revisions were looked for.
    size_t hundred;     ///< An event of the first stream whose number of events is nearest to 100.
    size_t percent;     ///< An event of the first type whose share is nearest to 1 %.
};

/// Maps the file and finds its first `limit` events; with `columns`, also their streams and types.
struct input input_load(const char *path, uint64_t limit, bool columns);

#endif
