/* histogram.h - how often each latency occurred, in fixed memory, to within one part in 256.
 *
 * Values are nanoseconds, or any numbers. One thread at a time. */
#ifndef STROBE_CLIENTS_BENCH_HISTOGRAM_H
#define STROBE_CLIENTS_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 8,  /* steps of a power of two: 2^8 */
    HISTOGRAM_TOP_BITS = 42, /* larger values count as the largest: 2^42 ns are 73 minutes */
    HISTOGRAM_BUCKETS = (HISTOGRAM_TOP_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS
};

struct histogram {
    uint64_t total; /* values recorded */
    uint64_t sum;
    uint64_t least, most; /* exact; of no values: UINT64_MAX and 0 */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Empties HISTOGRAM. */
void histogram_init(struct histogram *histogram);

/* The bucket of VALUE: below 2^9 a bucket each, above it 2^8 of equal width for each power of two. */
static inline uint32_t histogram_bucket(uint64_t value) {
    if (value >= (UINT64_C(1) << HISTOGRAM_TOP_BITS)) return HISTOGRAM_BUCKETS - 1;
    if (value < (UINT64_C(2) << HISTOGRAM_SUB_BITS)) return (uint32_t)value;
    uint32_t shift = 63 - HISTOGRAM_SUB_BITS - (uint32_t)__builtin_clzll(value);
    return (shift << HISTOGRAM_SUB_BITS) + (uint32_t)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value) {
    histogram->buckets[histogram_bucket(value)]++;
    histogram->total++;
    histogram->sum += value;
    if (value < histogram->least) histogram->least = value;
    if (value > histogram->most) histogram->most = value;
}

/* Adds all that FROM holds. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* The value that PERCENT (0 to 100) per cent of the values do not pass, at most one part in 256 too large; 0 when
 * there are none. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* The mean, exact but for the rounding; 0 when there are no values. */
uint64_t histogram_mean(const struct histogram *histogram);

#endif
