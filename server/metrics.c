/* metrics.c - counters that cost an add each, and a sum that costs whoever asks.
 *
 *      worker 0 -> slot 0 | own cache lines |
 *      worker 1 -> slot 1 | own cache lines |   metrics_add_up -> struct metrics_sum
 *      ...
 *
 * Always: a slot is written by one thread only, so an add is a load and a store, never a locked instruction, and no
 * two threads write the same cache line. A sum may mix instants; each single counter in it never runs backwards.
 * Not here: names of commands and of close reasons (their own tables), and the text of /metrics (http_pages.c).
 */
#include "server/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct metrics {
    uint64_t start_ms;
    unsigned workers;
    pthread_mutex_t lock;      /* of the two below */
    struct metrics_sum before; /* the last reset */
    uint64_t expired_before;
    struct metrics_slot slots[];
};

static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "a slot and a sum have the same members");
static_assert(sizeof(struct metrics_slot) % 64 == 0, "slots share no cache line");

struct metrics *metrics_new(unsigned workers, uint64_t start_ms) {
    size_t size = sizeof(struct metrics) + workers * sizeof(struct metrics_slot);
    struct metrics *metrics = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (metrics == NULL) return NULL;
    memset(metrics, 0, size);
    metrics->start_ms = start_ms;
    metrics->workers = workers;
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void metrics_free(struct metrics *metrics) {
    if (metrics != NULL) pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

struct metrics_slot *metrics_slot(struct metrics *metrics, unsigned index) {
    assert(index < metrics->workers);
    return &metrics->slots[index];
}

uint64_t metrics_start_ms(const struct metrics *metrics) {
    return metrics->start_ms;
}

static void add_array(uint64_t *sum, const _Atomic uint64_t *counts, size_t count) {
    for (size_t i = 0; i < count; i++) sum[i] += atomic_load_explicit(&counts[i], memory_order_relaxed);
}

void metrics_add_up(const struct metrics *metrics, struct metrics_sum *sum) {
    memset(sum, 0, sizeof *sum);
    for (unsigned i = 0; i < metrics->workers; i++) {
        const struct metrics_slot *slot = &metrics->slots[i];
        add_array(sum->counters, slot->counters, METRICS_COUNTERS);
        add_array(sum->accepted, slot->accepted, METRICS_DOORS);
        add_array(sum->closed, slot->closed, METRICS_DOORS);
        add_array(sum->http_requests, slot->http_requests, METRICS_METHODS);
        add_array(sum->http_replies, slot->http_replies, 6);
        add_array(sum->closes, slot->closes, METRICS_REASONS_MAX);
        add_array(sum->commands, slot->commands, METRICS_COMMANDS_MAX);
        add_array(sum->commands_failed, slot->commands_failed, METRICS_COMMANDS_MAX);
        add_array(sum->commands_rejected, slot->commands_rejected, METRICS_COMMANDS_MAX);
    }
}

void metrics_reset(struct metrics *metrics, uint64_t expired) {
    struct metrics_sum now;
    metrics_add_up(metrics, &now);
    pthread_mutex_lock(&metrics->lock);
    metrics->before = now;
    metrics->expired_before = expired;
    pthread_mutex_unlock(&metrics->lock);
}

/* All members are counters, one behind the other. A reset beside us may be newer than what was added up. */
static void subtract(struct metrics_sum *sum, const struct metrics_sum *before) {
    uint64_t *count = (uint64_t *)(void *)sum;
    const uint64_t *less = (const uint64_t *)(const void *)before;
    for (size_t i = 0; i < sizeof *sum / sizeof *count; i++) count[i] -= less[i] < count[i] ? less[i] : count[i];
}

void metrics_since_reset(struct metrics *metrics, struct metrics_sum *sum, uint64_t *expired) {
    metrics_add_up(metrics, sum);
    pthread_mutex_lock(&metrics->lock);
    subtract(sum, &metrics->before);
    *expired -= metrics->expired_before < *expired ? metrics->expired_before : *expired;
    pthread_mutex_unlock(&metrics->lock);
}

uint64_t metrics_total(const uint64_t *counts, size_t count) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) total += counts[i];
    return total;
}
