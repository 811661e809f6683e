/* histogram.c - a log-linear histogram, as HdrHistogram has it.
 *
 *     value   0 .. 511 | 512 .. 1023 | 1024 .. 2047 | ...
 *     bucket  1 wide   | 2 wide      | 4 wide       | ...     256 buckets to each power of two
 *
 * Always: a percentile is answered by the upper end of its bucket, so it is never too small, and at most one part in
 * 256 too large; the least and the largest value are kept exactly. */
#include "clients/bench/histogram.h"

#include <math.h>
#include <string.h>

void histogram_init(struct histogram *histogram) {
    memset(histogram, 0, sizeof *histogram);
    histogram->least = UINT64_MAX;
}

/* The largest value that falls into BUCKET. */
static uint64_t bucket_end(uint32_t bucket) {
    uint32_t octave = bucket >> HISTOGRAM_SUB_BITS;

    if (octave < 2) return bucket;
    uint32_t shift = octave - 1;
    uint64_t step = bucket - (shift << HISTOGRAM_SUB_BITS);
    return ((step + 1) << shift) - 1;
}

void histogram_merge(struct histogram *histogram, const struct histogram *from) {
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) histogram->buckets[i] += from->buckets[i];
    histogram->total += from->total;
    histogram->sum += from->sum;
    if (from->least < histogram->least) histogram->least = from->least;
    if (from->most > histogram->most) histogram->most = from->most;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent) {
    uint64_t wanted = (uint64_t)ceil((double)histogram->total * percent / 100), seen = 0;

    if (histogram->total == 0) return 0;
    if (wanted == 0) wanted = 1;
    if (wanted >= histogram->total) return histogram->most;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen < wanted) continue;
        uint64_t end = bucket_end(i);
        return end < histogram->most ? end : histogram->most;
    }
    return histogram->most;
}

uint64_t histogram_mean(const struct histogram *histogram) {
    return histogram->total == 0 ? 0 : histogram->sum / histogram->total;
}
