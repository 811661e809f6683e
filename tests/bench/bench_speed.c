/* bench_speed.c - nanoseconds per operation of many threads, and of batches against single gets.
 *
 * The workload of tests/bench/gomap: keys of 14 bytes, values of 32 copied in on a write and out on a read, as a
 * server must. One operation is what strobed does for one command: strobe_key, strobe_enter, strobe_find or
 * strobe_put, strobe_leave, and one strobe_map_tick for every BENCH_BURST of them. Wall time is that of all threads
 * together, so with two processors half of what one operation takes.
 */
#include "tests/bench/bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64u
#define ROUNDS_MAX  101u
#define BATCH       32u

enum choice { UNIFORM, ZIPF, ONE };

/* One cell of the table, shared by its threads. */
struct load {
    struct strobe_map *map;
    const struct bench_text *keys;
    uint64_t key_count;
    const uint32_t *zipf;
    enum choice choice;
    unsigned writes; /* per cent */
    bool access;
    bool batch; /* strobe_get_many */
    atomic_bool stop;
};

struct worker {
    _Alignas(64) struct load *load;
    pthread_t thread;
    uint64_t x;   /* random state */
    size_t zipf;  /* place in load->zipf */
    uint64_t ops; /* done */
};

static inline const struct bench_text *choose(struct worker *worker, const struct load *load) {
    uint64_t number = bench_random(&worker->x);

    switch (load->choice) {
    case UNIFORM: return &load->keys[number % load->key_count];
    case ZIPF: return &load->keys[load->zipf[worker->zipf++ % BENCH_ZIPF]];
    case ONE: break;
    }
    return &load->keys[0];
}

static void access_burst(struct worker *worker, struct load *load) {
    char value[BENCH_VALUE_LEN], out[BENCH_VALUE_LEN];

    memset(value, 'x', sizeof value);
    (void)strobe_map_tick(load->map);
    for (unsigned i = 0; i < BENCH_BURST; i++) {
        const struct bench_text *key = choose(worker, load);

        if ((worker->x >> 32) % 100 < load->writes)
            bench_set(load->map, key, value, sizeof value);
        else
            (void)bench_get(load->map, key, out);
    }
}

static void copying_burst(struct worker *worker, struct load *load) {
    char value[BENCH_VALUE_LEN], out[BENCH_VALUE_LEN];

    memset(value, 'x', sizeof value);
    for (unsigned i = 0; i < BENCH_BURST; i++) {
        const struct bench_text *key = choose(worker, load);
        size_t len = sizeof out;

        if ((worker->x >> 32) % 100 >= load->writes)
            (void)strobe_get(load->map, key->data, BENCH_KEY_LEN, out, &len);
        else if (strobe_set(load->map, key->data, BENCH_KEY_LEN, value, sizeof value, 0) != STROBE_OK)
            bench_die("no memory for a set");
    }
}

static void copy_out(void *context, size_t i, const struct strobe_entry *entry) {
    size_t len;
    const char *value;

    (void)i;
    if (!entry) return;
    value = strobe_entry_value(entry, &len);
    memcpy(context, value, len < BENCH_VALUE_LEN ? len : BENCH_VALUE_LEN);
}

static void batch_burst(struct worker *worker, struct load *load) {
    struct strobe_key keys[BATCH];
    char out[BENCH_VALUE_LEN];

    (void)strobe_map_tick(load->map);
    for (unsigned done = 0; done < BENCH_BURST; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            const struct bench_text *key = choose(worker, load);

            keys[i] = strobe_key(load->map, key->data, BENCH_KEY_LEN);
        }
        strobe_get_many(load->map, keys, BATCH, copy_out, out);
    }
}

static void *work(void *context) {
    struct worker *worker = context;
    struct load *load = worker->load;

    while (!atomic_load_explicit(&load->stop, memory_order_relaxed)) {
        if (load->batch)
            batch_burst(worker, load);
        else if (load->access)
            access_burst(worker, load);
        else
            copying_burst(worker, load);
        worker->ops += BENCH_BURST;
    }
    return NULL;
}

struct cost {
    double wall, cpu; /* ns per operation */
};

static struct cost run_round(struct load *load, unsigned threads, double seconds) {
    struct worker *workers = aligned_alloc(64, threads * sizeof *workers);
    uint64_t ops = 0, cpu = bench_cpu(), wall = bench_now();

    if (!workers) bench_die("no memory for the workers");
    atomic_store(&load->stop, false);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.load = load, .x = (i + 1) * 0x9E3779B97F4A7C15u, .zipf = i * 131071u};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) bench_die("cannot start a thread");
    }
    bench_sleep(seconds);
    atomic_store(&load->stop, true);
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        ops += workers[i].ops;
    }
    wall = bench_now() - wall;
    cpu = bench_cpu() - cpu;
    free(workers);
    return (struct cost){(double)wall / (double)ops, (double)cpu / (double)ops};
}

static uint64_t lock_waits(struct strobe_map *map) {
    struct strobe_stats stats;

    strobe_map_stats(map, &stats);
    return stats.lock_waits;
}

static struct cost run_rounds(const struct bench *bench, struct load *load, unsigned threads, double spread[2]) {
    size_t rounds = bench->rounds < ROUNDS_MAX ? bench->rounds : ROUNDS_MAX;
    double wall[ROUNDS_MAX], cpu[ROUNDS_MAX];
    struct cost median;

    /* Not counted: threads that are new to the allocator fill their arenas with fresh pages first. */
    (void)run_round(load, threads, bench->seconds / 4);
    for (size_t i = 0; i < rounds; i++) {
        struct cost cost = run_round(load, threads, bench->seconds);

        wall[i] = cost.wall;
        cpu[i] = cost.cpu;
    }
    median = (struct cost){bench_median(wall, rounds), bench_median(cpu, rounds)};
    spread[0] = wall[0];
    spread[1] = wall[rounds - 1];
    return median;
}

static void print_load(struct bench *bench, struct load *load, unsigned threads) {
    static const char *const names[] = {"uniform", "zipf", "one"};
    uint64_t waits = lock_waits(load->map);
    double spread[2];
    struct cost cost = run_rounds(bench, load, threads, spread);

    waits = lock_waits(load->map) - waits;
    BENCH_ROW(bench, "speed", BENCH_TEXT("map", "strobe"), BENCH_NUMBER("keys", load->key_count, 0),
              BENCH_TEXT("choice", names[load->choice]), BENCH_NUMBER("threads", threads, 0),
              BENCH_NUMBER("writes_pct", load->writes, 0), BENCH_NUMBER("wall_ns", cost.wall, 1),
              BENCH_NUMBER("cpu_ns", cost.cpu, 1), BENCH_NUMBER("wall_min", spread[0], 1),
              BENCH_NUMBER("wall_max", spread[1], 1), BENCH_NUMBER("lock_waits", waits, 0));
}

static void each_mix(struct bench *bench, struct load *load) {
    for (size_t t = 0; t < bench->threads.count; t++) {
        for (size_t w = 0; w < bench->writes.count; w++) {
            load->writes = (unsigned)bench->writes.at[w];
            print_load(bench, load, (unsigned)bench->threads.at[t]);
        }
    }
}

static void speed_of(struct bench *bench, uint64_t key_count) {
    struct bench_text *keys = bench_keys_new(key_count);
    uint32_t *zipf = bench->zipf ? bench_zipf_new(key_count) : NULL;
    struct load load = {
        .map = bench_map_new(), .keys = keys, .key_count = key_count, .zipf = zipf, .access = bench->access};

    bench_fill(load.map, keys, key_count);
    if (bench->uniform) {
        load.choice = UNIFORM;
        each_mix(bench, &load);
    }
    if (bench->zipf) {
        load.choice = ZIPF;
        each_mix(bench, &load);
    }
    if (bench->one) {
        load.choice = ONE;
        each_mix(bench, &load);
    }
    strobe_map_free(load.map);
    bench_keys_free(keys);
    free(zipf);
}

void bench_speed(struct bench *bench) {
    for (size_t i = 0; i < bench->keys.count; i++) speed_of(bench, bench->keys.at[i]);
}

/* Single gets and batches in turn, so that both see the same noise. */
static void batch_of(struct bench *bench, uint64_t key_count, unsigned threads) {
    struct bench_text *keys = bench_keys_new(key_count);
    struct load load = {.map = bench_map_new(), .keys = keys, .key_count = key_count, .choice = UNIFORM};
    size_t rounds = bench->rounds < ROUNDS_MAX ? bench->rounds : ROUNDS_MAX;
    double single[ROUNDS_MAX], batch[ROUNDS_MAX], ratio[ROUNDS_MAX];

    bench_fill(load.map, keys, key_count);
    (void)run_round(&load, threads, bench->seconds / 4);
    for (size_t i = 0; i < rounds; i++) {
        load.batch = false;
        single[i] = run_round(&load, threads, bench->seconds).wall;
        load.batch = true;
        batch[i] = run_round(&load, threads, bench->seconds).wall;
        ratio[i] = single[i] / batch[i];
    }
    BENCH_ROW(bench, "batch", BENCH_NUMBER("keys", key_count, 0), BENCH_NUMBER("threads", threads, 0),
              BENCH_NUMBER("get_ns", bench_median(single, rounds), 1),
              BENCH_NUMBER("get_many_ns", bench_median(batch, rounds), 1),
              BENCH_NUMBER("times", bench_median(ratio, rounds), 2), BENCH_NUMBER("min", ratio[0], 2),
              BENCH_NUMBER("max", ratio[rounds - 1], 2));
    strobe_map_free(load.map);
    bench_keys_free(keys);
}

void bench_batch(struct bench *bench) {
    for (size_t i = 0; i < bench->keys.count; i++) {
        for (size_t t = 0; t < bench->threads.count; t++)
            batch_of(bench, bench->keys.at[i], (unsigned)bench->threads.at[t]);
    }
}
