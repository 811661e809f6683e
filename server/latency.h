/* latency.h - how long commands took: a histogram for each command, and the moments at which something was slow.
 *
 * A histogram's bucket is a power of two of about a microsecond, at the places at which Redis cuts (LATENCY HISTOGRAM).
 * Each worker has a slot of its own, as in metrics.h. Events are few, and behind a lock. */
#ifndef STROBE_SERVER_LATENCY_H
#define STROBE_SERVER_LATENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "server/metrics.h"

enum {
    LATENCY_BUCKETS = 21,     /* up to 1 us, 2 us, 4 us ... 1.08 s; what is longer counts in the last */
    LATENCY_SAMPLES_MAX = 160 /* moments kept of an event, as Redis keeps them */
};

/* What can be slow: its name in LATENCY LATEST. */
#define LATENCY_EVENT_LIST(X)                                      \
    X(COMMAND, "command")           /* a command */                \
    X(FAST_COMMAND, "fast-command") /* one that should be short */ \
    X(EXPIRE_CYCLE, "expire-cycle") /* a slice of upkeep's sweep */

enum latency_event {
#define LATENCY_EVENT_ENUM(name, text) LATENCY_EVENT_##name,
    LATENCY_EVENT_LIST(LATENCY_EVENT_ENUM)
#undef LATENCY_EVENT_ENUM
        LATENCY_EVENTS
};

struct latency;

/* The histograms of one worker, by row of the command table. The time stands beside the buckets of short calls. */
struct latency_slot {
    struct latency_row {
        _Atomic uint64_t ns; /* of all calls together */
        _Atomic uint64_t counts[LATENCY_BUCKETS];
    } rows[METRICS_COMMANDS_MAX];
} __attribute__((aligned(64)));

/* Makes histograms for WORKERS, all empty. Owned by the caller; NULL without memory. */
struct latency *latency_new(unsigned workers);
void latency_free(struct latency *latency);

/* The slot of worker number INDEX, for that worker's thread to write. Lives as long as LATENCY. */
struct latency_slot *latency_slot(struct latency *latency, unsigned index);

/* Nanoseconds of a clock that never runs backwards, the one that libuv's loops read. */
static inline uint64_t latency_now(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The bucket of a duration, and the longest duration of a bucket in microseconds. */
unsigned latency_bucket(uint64_t ns);
uint64_t latency_bucket_us(unsigned bucket);

/* Counts COUNT calls of the command in ROW that took NS nanoseconds each, whose bucket is BUCKET, in the calling
 * worker's own slot. */
static inline void latency_add(struct latency_slot *slot, unsigned row, unsigned bucket, uint64_t count, uint64_t ns) {
    metrics_add(&slot->rows[row].ns, count * ns);
    metrics_add(&slot->rows[row].counts[bucket], count);
}

/* Adds up the histogram of ROW over all workers, since the last reset; returns the number of calls. Any thread. */
uint64_t latency_histogram(struct latency *latency, unsigned row, uint64_t counts[LATENCY_BUCKETS]);

/* The same for the time of those calls, in nanoseconds. */
uint64_t latency_time(struct latency *latency, unsigned row);

/* All histograms begin anew (CONFIG RESETSTAT). Any thread. */
void latency_reset_histograms(struct latency *latency);

/* ---- events: any thread -------------------------------------------------------------------------------- */

const char *latency_event_name(enum latency_event event);

/* EVENT took MS milliseconds (at least 1, else it is not kept). Of one second the longest is kept. */
void latency_event_add(struct latency *latency, enum latency_event event, uint64_t ms);

struct latency_sample {
    uint64_t time_s; /* since 1970 */
    uint64_t ms;
};

/* What is known of an event: its samples, the oldest first, and the longest since the last reset. */
struct latency_history {
    struct latency_sample samples[LATENCY_SAMPLES_MAX];
    size_t count; /* 0: nothing was slow */
    uint64_t max_ms;
};
void latency_history(struct latency *latency, enum latency_event event, struct latency_history *history);

/* Forgets EVENT's samples. Had it any? */
bool latency_event_reset(struct latency *latency, enum latency_event event);

#endif
