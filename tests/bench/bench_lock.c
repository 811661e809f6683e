/* bench_lock.c - `map_bench lock`: how often threads get the lock of one shard that each of them holds for so long, and
 * then leaves alone for no time, or as long.
 *
 * The usual holds are tens of nanoseconds (`map_bench speed --choice one`, lock_bench); these are accesses of somebody
 * who does more inside. `least` is the thread that got it least often, over its share. */
#include <pthread.h>
#include <stdlib.h>

#include "tests/bench/bench.h"

static const unsigned hold_ns[] = {100, 500, 2000, 5000, 20000};
enum { HOLDS = sizeof hold_ns / sizeof hold_ns[0], ROUNDS_MAX = 64 };

struct contest {
    struct strobe_map *map;
    struct strobe_key key;
    uint64_t hold_ns, gap_ns;
    atomic_bool stop;
};

struct contestant {
    _Alignas(64) struct contest *contest;
    pthread_t thread;
    uint64_t taken;
};

static void spend(uint64_t ns) {
    for (uint64_t until = bench_now() + ns; bench_now() < until;) continue;
}

static void *take(void *context) {
    struct contestant *self = context;
    struct contest *contest = self->contest;

    while (!atomic_load_explicit(&contest->stop, memory_order_relaxed)) {
        struct strobe_access access;

        strobe_enter(contest->map, &contest->key, &access);
        spend(contest->hold_ns);
        strobe_leave(&access);
        if (contest->gap_ns) spend(contest->gap_ns);
        self->taken++;
    }
    return NULL;
}

/* Gives how often the lock was taken in a second, and in *LEAST the share of the thread that had least of it. */
static double run_contest(struct contest *contest, unsigned threads, double seconds, double *least) {
    struct contestant *all = aligned_alloc(64, threads * sizeof *all);
    uint64_t sum = 0, fewest = UINT64_MAX, wall = bench_now();

    if (!all) bench_die("no memory for the threads");
    atomic_store(&contest->stop, false);
    for (unsigned i = 0; i < threads; i++) {
        all[i] = (struct contestant){.contest = contest};
        if (pthread_create(&all[i].thread, NULL, take, &all[i]) != 0) bench_die("cannot start a thread");
    }
    bench_sleep(seconds);
    atomic_store(&contest->stop, true);
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(all[i].thread, NULL);
        sum += all[i].taken;
        if (all[i].taken < fewest) fewest = all[i].taken;
    }
    wall = bench_now() - wall;
    free(all);
    *least = sum ? (double)fewest * threads / (double)sum : 0;
    return (double)sum * 1e9 / (double)wall;
}

static void print_contest(struct bench *bench, struct contest *contest, unsigned threads) {
    size_t rounds = bench->rounds < ROUNDS_MAX ? bench->rounds : ROUNDS_MAX;
    double rate[ROUNDS_MAX], least[ROUNDS_MAX], median;

    for (size_t i = 0; i < rounds; i++) rate[i] = run_contest(contest, threads, bench->seconds, &least[i]);
    median = bench_median(rate, rounds);
    BENCH_ROW(bench, "lock of one shard", BENCH_NUMBER("threads", threads, 0),
              BENCH_NUMBER("hold_ns", contest->hold_ns, 0), BENCH_NUMBER("gap_ns", contest->gap_ns, 0),
              BENCH_NUMBER("takes/s", median, 0), BENCH_NUMBER("min", rate[0], 0),
              BENCH_NUMBER("max", rate[rounds - 1], 0), BENCH_NUMBER("least", bench_median(least, rounds), 2));
}

void bench_lock(struct bench *bench) {
    struct contest contest = {.map = bench_map_new()};

    contest.key = strobe_key(contest.map, "k", 1);
    for (size_t t = 0; t < bench->threads.count; t++) {
        for (size_t h = 0; h < HOLDS; h++) {
            contest.hold_ns = hold_ns[h];
            contest.gap_ns = 0;
            print_contest(bench, &contest, (unsigned)bench->threads.at[t]);
            contest.gap_ns = contest.hold_ns;
            print_contest(bench, &contest, (unsigned)bench->threads.at[t]);
        }
    }
    strobe_map_free(contest.map);
}
