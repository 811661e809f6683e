/* window_model.c - how much of one look-up's wait for memory is covered by the next one's, by the work between them.
 *
 * A look-up in a large map is three loads that miss, each from an address that the one before gave: the key, its
 * bucket, its entry. A processor goes on behind a load that misses until its window is full, so look-ups that are short
 * overlap and long ones do not. This does nothing else than three such loads, some arithmetic for the hash's place,
 * and, if wanted, the two locked instructions of a lock: the figures that single.c's strobe_get was written by.
 *
 *     tests/bench/window_model
 */
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/bench/bench.h"

#define KEYS       ((size_t)1 << 20)
#define BUCKETS    ((size_t)160 << 10) /* lines: as many as a million keys need */
#define LOOKS      1000000u
#define BEST_OF    5
#define HUGE_PAGE  ((size_t)2 << 20)
#define WORDS_LINE 8 /* of 8 bytes in a cache line */

struct world {
    uint64_t *keys, *buckets, *entries;
    _Atomic uint32_t lock;
};

static uint64_t *area(size_t bytes, bool huge, uint64_t *random) {
    char *at = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t *words;

    if (at == MAP_FAILED) bench_die("no memory");
    words = (uint64_t *)(void *)(at + (HUGE_PAGE - (uintptr_t)at % HUGE_PAGE));
    (void)madvise(words, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    for (size_t i = 0; i < bytes / sizeof *words; i++) words[i] = bench_random(random);
    return words;
}

static double look_ns(struct world *world, unsigned steps, bool locked, uint64_t *random) {
    double best = 0;

    for (unsigned turn = 0; turn < BEST_OF; turn++) {
        uint64_t sum = 0, start = bench_cpu();
        double ns;

        for (unsigned i = 0; i < LOOKS; i++) {
            uint64_t hash = world->keys[bench_random(random) % KEYS * 2], bucket;

            for (unsigned step = 0; step < steps; step++) {
                hash = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u;
                hash = hash << 13 | hash >> 51;
            }
            if (locked) {
                uint32_t free_value = 0;

                __builtin_prefetch(&world->buckets[hash % BUCKETS * WORDS_LINE]);
                (void)atomic_compare_exchange_strong_explicit(&world->lock, &free_value, 1, memory_order_acquire,
                                                              memory_order_relaxed);
            }
            bucket = world->buckets[hash % BUCKETS * WORDS_LINE];
            sum += world->entries[bucket % KEYS * WORDS_LINE];
            if (locked) (void)atomic_exchange_explicit(&world->lock, 0, memory_order_release);
        }
        ns = (double)(bench_cpu() - start) / LOOKS;
        if (turn == 0 || ns < best) best = ns;
        *random ^= sum & 1; /* the loads are needed */
    }
    return best;
}

int main(void) {
    static const unsigned steps[] = {1, 4, 13, 40};
    struct bench bench = {.rounds = 1};
    uint64_t random = 88172645463325252u;

    for (int huge = 0; huge < 2; huge++) {
        struct world world = {area(KEYS * 16, huge, &random), area(BUCKETS * 64, huge, &random),
                              area(KEYS * 64, huge, &random), 0};

        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            BENCH_ROW(&bench, "ns of a look-up among a million", BENCH_TEXT("pages", huge ? "2 MiB" : "4 KiB"),
                      BENCH_NUMBER("instructions", steps[i] * 6 + 20, 0),
                      BENCH_NUMBER("no_lock", look_ns(&world, steps[i], false, &random), 0),
                      BENCH_NUMBER("locked", look_ns(&world, steps[i], true, &random), 0));
    }
    return 0;
}
