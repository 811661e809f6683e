/* latency.c - counts by duration, a slot of them for each worker, and short histories of what was slow.
 *
 *      duration -> bucket      1.02 us | 2.06 | 4.13 | 8.26 | ... each twice the one before
 *
 * The limits are those of the histogram that Redis keeps (two digits, cut at powers of two from 1,024 ns on), so that
 * what reads its figures reads ours.
 * Always: a slot is written by its worker alone; a reset changes no slot, it remembers what was there and takes that
 * away from later sums. Not here: what is timed, and when (timing.c). */
#include "server/latency.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "server/clock.h"

enum { FIRST_LIMIT = 1024, EQUIVALENT = 128 /* of the limit's 128th part still belongs to it */ };

struct latency {
    uv_mutex_t lock; /* of the three below */
    struct latency_history events[LATENCY_EVENTS];
    uint64_t before[METRICS_COMMANDS_MAX][LATENCY_BUCKETS]; /* counted before the last reset */
    uint64_t before_ns[METRICS_COMMANDS_MAX];
    unsigned workers;
    struct latency_slot slots[];
};

struct latency *latency_new(unsigned workers) {
    size_t size = sizeof(struct latency) + workers * sizeof(struct latency_slot);
    struct latency *latency = aligned_alloc(_Alignof(struct latency), size);
    if (latency == NULL) return NULL;
    memset(latency, 0, size);
    latency->workers = workers;
    if (uv_mutex_init(&latency->lock) == 0) return latency;
    free(latency);
    return NULL;
}

void latency_free(struct latency *latency) {
    if (latency == NULL) return;
    uv_mutex_destroy(&latency->lock);
    free(latency);
}

struct latency_slot *latency_slot(struct latency *latency, unsigned index) {
    assert(index < latency->workers);
    return &latency->slots[index];
}

/* ---- histograms ----------------------------------------------------------------------------------------- */

/* The longest duration of BUCKET in nanoseconds. */
static uint64_t limit_of(unsigned bucket) {
    uint64_t limit = (uint64_t)FIRST_LIMIT << bucket;
    return limit + limit / EQUIVALENT - 1;
}

unsigned latency_bucket(uint64_t ns) {
    if (ns <= limit_of(0)) return 0;
    if (ns > limit_of(LATENCY_BUCKETS - 1)) return LATENCY_BUCKETS - 1;
    unsigned bucket = 63u - (unsigned)__builtin_clzll(ns / FIRST_LIMIT); /* FIRST_LIMIT << BUCKET <= NS */
    return ns > limit_of(bucket) ? bucket + 1 : bucket;
}

uint64_t latency_bucket_us(unsigned bucket) {
    return limit_of(bucket) / 1000;
}

static uint64_t sum_of(const struct latency *latency, unsigned row, unsigned bucket) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < latency->workers; i++) {
        sum += atomic_load_explicit(&latency->slots[i].rows[row].counts[bucket], memory_order_relaxed);
    }
    return sum;
}

static uint64_t time_of(const struct latency *latency, unsigned row) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < latency->workers; i++) {
        sum += atomic_load_explicit(&latency->slots[i].rows[row].ns, memory_order_relaxed);
    }
    return sum;
}

uint64_t latency_histogram(struct latency *latency, unsigned row, uint64_t counts[LATENCY_BUCKETS]) {
    uint64_t calls = 0;
    uv_mutex_lock(&latency->lock);
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        counts[i] = sum_of(latency, row, i) - latency->before[row][i];
        calls += counts[i];
    }
    uv_mutex_unlock(&latency->lock);
    return calls;
}

uint64_t latency_time(struct latency *latency, unsigned row) {
    uv_mutex_lock(&latency->lock);
    uint64_t ns = time_of(latency, row) - latency->before_ns[row];
    uv_mutex_unlock(&latency->lock);
    return ns;
}

void latency_reset_histograms(struct latency *latency) {
    uv_mutex_lock(&latency->lock);
    for (unsigned row = 0; row < METRICS_COMMANDS_MAX; row++) {
        for (unsigned i = 0; i < LATENCY_BUCKETS; i++) latency->before[row][i] = sum_of(latency, row, i);
        latency->before_ns[row] = time_of(latency, row);
    }
    uv_mutex_unlock(&latency->lock);
}

/* ---- events --------------------------------------------------------------------------------------------- */

const char *latency_event_name(enum latency_event event) {
    static const char *const names[] = {
#define LATENCY_EVENT_NAME(name, text) text,
        LATENCY_EVENT_LIST(LATENCY_EVENT_NAME)
#undef LATENCY_EVENT_NAME
    };
    return names[event];
}

void latency_event_add(struct latency *latency, enum latency_event event, uint64_t ms) {
    struct latency_history *history = &latency->events[event];
    uint64_t now = clock_wall_ms() / 1000;
    if (ms == 0) return;
    uv_mutex_lock(&latency->lock);
    struct latency_sample *last = history->count > 0 ? &history->samples[history->count - 1] : NULL;
    if (last != NULL && last->time_s == now) {
        if (ms > last->ms) last->ms = ms;
    } else {
        if (history->count == LATENCY_SAMPLES_MAX) {
            memmove(history->samples, history->samples + 1, sizeof history->samples - sizeof history->samples[0]);
            history->count--;
        }
        history->samples[history->count++] = (struct latency_sample){now, ms};
    }
    if (ms > history->max_ms) history->max_ms = ms;
    uv_mutex_unlock(&latency->lock);
}

void latency_history(struct latency *latency, enum latency_event event, struct latency_history *history) {
    uv_mutex_lock(&latency->lock);
    *history = latency->events[event];
    uv_mutex_unlock(&latency->lock);
}

bool latency_event_reset(struct latency *latency, enum latency_event event) {
    uv_mutex_lock(&latency->lock);
    bool had = latency->events[event].count > 0;
    latency->events[event].count = 0;
    latency->events[event].max_ms = 0;
    uv_mutex_unlock(&latency->lock);
    return had;
}
