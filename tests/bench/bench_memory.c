/* bench_memory.c - bytes per entry, and what growing and shrinking costs the slowest operation.
 *
 * Sizes are resident sizes of a process of its own for each row, less that of the same process with an empty map.
 * Keys are made on the fly, so nothing but the map grows.
 */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Size ---- */

#define SIZE_STEPS 8u
#define SIZE_FIRST 500000u
#define SIZE_LAST  1000000u
#define SIZE_ROOM  4096u

struct payload {
    size_t key_len, value_len;
};

/* Key NUMBER of LEN bytes, 8 at least: digits with zeros before them, that begin as the benchmark's keys do if
 * there is room. */
static void make_key(char *at, size_t len, uint64_t number) {
    for (size_t i = len; i-- > 0; number /= 10) at[i] = (char)('0' + number % 10);
    if (len >= BENCH_KEY_LEN) memcpy(at, "key:", 4);
}

static void put(struct strobe_map *map, const char *key, struct payload payload, const char *value) {
    if (strobe_set(map, key, payload.key_len, value, payload.value_len, 0) != STROBE_OK)
        bench_die("no memory for a set");
}

static void put_range(struct strobe_map *map, struct payload payload, uint64_t from, uint64_t to) {
    char key[SIZE_ROOM], value[SIZE_ROOM];

    memset(value, 'x', payload.value_len);
    for (uint64_t i = from; i < to; i++) {
        make_key(key, payload.key_len, i);
        put(map, key, payload, value);
    }
}

/* Replaces as many entries as there are, chosen at random: what a cache's memory looks like after a while. */
static void rewrite(struct strobe_map *map, struct payload payload, uint64_t count) {
    char key[SIZE_ROOM], value[SIZE_ROOM];
    uint64_t x = 88172645463325252u;

    memset(value, 'y', payload.value_len);
    for (uint64_t i = 0; i < count; i++) {
        make_key(key, payload.key_len, bench_random(&x) % count);
        put(map, key, payload, value);
    }
}

static double beyond(uint64_t empty, uint64_t count, struct payload payload) {
    return ((double)bench_resident() - (double)empty) / (double)count - (double)(payload.key_len + payload.value_len);
}

static void print_size(struct bench *bench, struct payload payload, uint64_t count, uint64_t empty,
                       const struct strobe_stats *stats) {
    char text[32];

    (void)snprintf(text, sizeof text, "%zu+%zu", payload.key_len, payload.value_len);
    BENCH_ROW(bench, "size", BENCH_TEXT("malloc", bench_memory_name()), BENCH_TEXT("payload", text),
              BENCH_NUMBER("entries", count, 0), BENCH_NUMBER("beyond_bytes", beyond(empty, count, payload), 2),
              BENCH_NUMBER("segment_bytes", (double)stats->segment_bytes / (double)count, 2),
              BENCH_NUMBER("load", (double)stats->entries / (double)stats->slots, 3));
}

static void size_of(struct bench *bench, struct payload payload, uint64_t first, uint64_t last, unsigned steps) {
    struct strobe_map *map;
    struct strobe_stats stats;
    double sum = 0;
    uint64_t empty, have = 0;

    bench_memory_setup();
    map = bench_map_new();
    put_range(map, payload, 0, 1);
    (void)bench_resident(); /* so that stdio's memory is there */
    bench_memory_purge();
    empty = bench_resident();
    for (unsigned i = 0; i < steps; i++) {
        uint64_t count = steps > 1 ? first + (last - first) * i / (steps - 1) : last;

        put_range(map, payload, have, count);
        have = count;
        strobe_map_stats(map, &stats);
        if (bench->purge_each) bench_memory_purge();
        sum += beyond(empty, count, payload);
        print_size(bench, payload, count, empty, &stats);
    }
    rewrite(map, payload, have);
    BENCH_ROW(bench, "size over all steps", BENCH_NUMBER("key", payload.key_len, 0),
              BENCH_NUMBER("value", payload.value_len, 0), BENCH_NUMBER("mean_beyond", sum / steps, 2),
              BENCH_NUMBER("after_rewrite", beyond(empty, have, payload), 2));
    strobe_map_free(map);
}

/* In a process of its own: nothing that others left behind is counted. */
static void in_child(struct bench *bench, struct payload payload, uint64_t first, uint64_t last, unsigned steps) {
    int status;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child < 0) bench_die("cannot fork");
    if (child == 0) {
        size_of(bench, payload, first, last, steps);
        exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0) bench_die("the child that measures a size has failed");
    bench->table = NULL;
}

void bench_size(struct bench *bench) {
    in_child(bench, (struct payload){BENCH_KEY_LEN, BENCH_VALUE_LEN}, SIZE_FIRST, SIZE_LAST, SIZE_STEPS);
    in_child(bench, (struct payload){8, 8}, SIZE_FIRST, SIZE_LAST, SIZE_STEPS);
    in_child(bench, (struct payload){20, 100}, SIZE_FIRST, SIZE_LAST, SIZE_STEPS);
    in_child(bench, (struct payload){40, 1000}, SIZE_FIRST, SIZE_LAST, SIZE_STEPS);
    if (bench->large) in_child(bench, (struct payload){BENCH_KEY_LEN, BENCH_VALUE_LEN}, 10000000, 10000000, 1);
}

/* ---- Growth ---- */

static void print_laps(struct bench *bench, const char *what, const struct bench_laps *laps) {
    const struct bench_histogram *h = &laps->laps, *own = &laps->own;

    BENCH_ROW(bench, "growth: time of an operation, us", BENCH_TEXT("phase", what), BENCH_NUMBER("ops", h->total, 0),
              BENCH_NUMBER("p50", bench_quantile(h, 0.5) / 1e3, 2),
              BENCH_NUMBER("p99", bench_quantile(h, 0.99) / 1e3, 2),
              BENCH_NUMBER("p99.9", bench_quantile(h, 0.999) / 1e3, 2),
              BENCH_NUMBER("p99.99", bench_quantile(h, 0.9999) / 1e3, 2), BENCH_NUMBER("max", (double)h->max / 1e3, 1),
              BENCH_NUMBER("own_p99.9", bench_quantile(own, 0.999) / 1e3, 2),
              BENCH_NUMBER("own_max", (double)own->max / 1e3, 1), BENCH_NUMBER("set_aside", laps->aside, 0),
              BENCH_NUMBER("aside_max", (double)laps->aside_max / 1e3, 1));
}

static void print_memory(struct bench *bench, struct strobe_map *map, const char *when, uint64_t empty) {
    struct strobe_stats stats;

    strobe_map_stats(map, &stats);
    BENCH_ROW(bench, "growth: memory, MiB over the start", BENCH_TEXT("when", when),
              BENCH_NUMBER("entries", stats.entries, 0),
              BENCH_NUMBER("resident", ((double)bench_resident() - (double)empty) / 1048576, 2),
              BENCH_NUMBER("segments", (double)stats.segment_bytes / 1048576, 2),
              BENCH_NUMBER("snapshots", (double)stats.snapshot_bytes / 1048576, 2),
              BENCH_NUMBER("splits", stats.splits, 0), BENCH_NUMBER("merges", stats.merges, 0),
              BENCH_NUMBER("resizes", stats.resizes, 0));
}

/* Every key once, in an order that looks random: i * PRIME mod COUNT, COUNT no multiple of PRIME. */
#define PRIME 2654435761u

struct phase {
    struct strobe_map *map;
    struct strobe_snapshot **scans;
    uint64_t scan_count, count;
    bool erase;
};

/* A snapshot is opened at the start and after each further part of the phase, and none is read or closed. */
static void run_phase(struct bench *bench, const char *name, const struct phase *phase) {
    char value[BENCH_VALUE_LEN];
    struct bench_text key;
    struct bench_laps *laps = malloc(sizeof *laps);
    uint64_t opened = 0;

    if (!laps) bench_die("no memory for the laps");
    memset(value, 'x', sizeof value);
    bench_laps_start(laps);
    for (uint64_t i = 0; i < phase->count; i++) {
        if (opened < phase->scan_count && i >= opened * phase->count / phase->scan_count &&
            strobe_snapshot_open(phase->map, true, &phase->scans[opened++]) != STROBE_OK)
            bench_die("cannot open a snapshot");
        bench_key_write(key.data, i * PRIME % phase->count);
        if (i % BENCH_BURST == 0) (void)strobe_map_tick(phase->map);
        if (phase->erase)
            (void)bench_del(phase->map, &key);
        else
            bench_set(phase->map, &key, value, sizeof value);
        bench_lap(laps);
    }
    print_laps(bench, name, laps);
    free(laps);
}

static void close_all(struct strobe_snapshot **scans, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) strobe_snapshot_close(scans[i]);
}

#define SCANS_MAX 64u

static void growth_of(struct bench *bench, uint64_t count) {
    struct strobe_snapshot *scans[SCANS_MAX];
    struct phase phase = {
        .scans = scans, .scan_count = bench->scans < SCANS_MAX ? bench->scans : SCANS_MAX, .count = count};
    uint64_t empty;

    bench_memory_setup();
    phase.map = bench_map_new_timed();
    print_memory(bench, phase.map, "start", bench_resident());
    bench_memory_purge();
    empty = bench_resident();
    run_phase(bench, "grow", &phase);
    print_memory(bench, phase.map, "full", empty);
    close_all(scans, phase.scan_count);
    phase.erase = true;
    run_phase(bench, "shrink", &phase);
    close_all(scans, phase.scan_count);
    print_memory(bench, phase.map, "empty", empty);
    bench_sleep(3); /* the allocator's decay is 1 s */
    print_memory(bench, phase.map, "3 s later", empty);
    bench_memory_purge();
    print_memory(bench, phase.map, "purged", empty);
    strobe_map_free(phase.map);
}

void bench_growth(struct bench *bench) {
    for (size_t i = 0; i < bench->keys.count; i++) growth_of(bench, bench->keys.at[i]);
}
