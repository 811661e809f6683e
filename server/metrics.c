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
#include <stdlib.h>
#include <string.h>

struct metrics {
    uint64_t start_ms;
    unsigned workers;
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
    return metrics;
}

void metrics_free(struct metrics *metrics) {
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
    }
}

uint64_t metrics_total(const uint64_t *counts, size_t count) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) total += counts[i];
    return total;
}
