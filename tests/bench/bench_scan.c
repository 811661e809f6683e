/* bench_scan.c - a scan alone and beside a writer, what opening a snapshot costs, and what the hash costs. */
#include "tests/bench/bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A scan ---- */

struct tally {
    uint64_t keys;
    char key[BENCH_KEY_LEN]; /* copied out, as a page must */
};

static enum strobe_visit take(void *context, const struct strobe_entry *entry) {
    struct tally *tally = context;
    size_t len;
    const char *key = strobe_entry_key(entry, &len);

    memcpy(tally->key, key, len < sizeof tally->key ? len : sizeof tally->key);
    tally->keys++;
    return STROBE_VISIT_NEXT;
}

#define SLICE 4096u /* places a strobe_snapshot_read looks at */

/* Reads a snapshot to its end and forgets behind it. Gives the number of keys. */
static uint64_t scan_once(struct strobe_map *map) {
    struct strobe_position position = {0};
    struct strobe_snapshot *snapshot;
    struct tally tally = {0};

    if (strobe_snapshot_open(map, false, &snapshot) != STROBE_OK) bench_die("cannot open a snapshot");
    while (!position.end) {
        if (strobe_snapshot_read(snapshot, &position, NULL, SLICE, take, &tally) != STROBE_OK)
            bench_die("a scan has failed");
        strobe_snapshot_forget(snapshot, &position);
    }
    strobe_snapshot_close(snapshot);
    return tally.keys;
}

struct writer {
    struct strobe_map *map;
    const struct bench_text *keys;
    uint64_t key_count;
    atomic_bool stop;
    struct bench_laps laps;
};

static void *write_on(void *context) {
    struct writer *writer = context;
    char value[BENCH_VALUE_LEN];
    uint64_t x = 88172645463325252u;

    memset(value, 'w', sizeof value);
    bench_laps_start(&writer->laps);
    while (!atomic_load_explicit(&writer->stop, memory_order_relaxed)) {
        (void)strobe_map_tick(writer->map);
        for (unsigned i = 0; i < BENCH_BURST; i++) {
            bench_set(writer->map, &writer->keys[bench_random(&x) % writer->key_count], value, sizeof value);
            bench_lap(&writer->laps);
        }
    }
    return NULL;
}

static double scan_for(struct strobe_map *map, double seconds) {
    uint64_t keys = 0, start = bench_now(), took;

    do {
        keys += scan_once(map);
        took = bench_now() - start;
    } while ((double)took < seconds * 1e9);
    return (double)keys * 1e3 / (double)took;
}

/* WRITER NULL: there was none, and no times of its own. */
static void print_scan(struct bench *bench, uint64_t key_count, const char *work, double rate,
                       const struct writer *writer, double seconds) {
    static const struct bench_laps none = {.last = 0};
    const struct bench_laps *laps = writer ? &writer->laps : &none;
    const struct bench_histogram *h = &laps->laps, *own = &laps->own;

    BENCH_ROW(bench, "scan", BENCH_NUMBER("keys", key_count, 0), BENCH_TEXT("work", work),
              BENCH_NUMBER("scan_Mkeys/s", rate, 2), BENCH_NUMBER("writes/s", (double)h->total / seconds, 0),
              BENCH_NUMBER("p50_us", bench_quantile(h, 0.5) / 1e3, 2),
              BENCH_NUMBER("p99_us", bench_quantile(h, 0.99) / 1e3, 2),
              BENCH_NUMBER("p99.9_us", bench_quantile(h, 0.999) / 1e3, 2),
              BENCH_NUMBER("max_us", (double)h->max / 1e3, 1),
              BENCH_NUMBER("own_p99.9_us", bench_quantile(own, 0.999) / 1e3, 2),
              BENCH_NUMBER("alloc_p99.9_us", bench_quantile(&laps->allocator, 0.999) / 1e3, 2),
              BENCH_NUMBER("set_aside", laps->aside, 0));
}

/* SCAN: beside a scan; else the writer by itself. */
static void write_beside(struct bench *bench, struct writer *writer, bool scan) {
    uint64_t start = bench_now();
    double rate = 0;
    pthread_t thread;

    atomic_store(&writer->stop, false);
    if (pthread_create(&thread, NULL, write_on, writer) != 0) bench_die("cannot start a thread");
    if (scan)
        rate = scan_for(writer->map, bench->seconds);
    else
        bench_sleep(bench->seconds);
    atomic_store(&writer->stop, true);
    (void)pthread_join(thread, NULL);
    print_scan(bench, writer->key_count, scan ? "both" : "writer", rate, writer, (double)(bench_now() - start) / 1e9);
}

static void scan_of(struct bench *bench, uint64_t key_count) {
    struct bench_text *keys = bench_keys_new(key_count);
    struct strobe_map *map = bench_map_new_timed();
    struct writer *writer = calloc(1, sizeof *writer);

    if (!writer) bench_die("no memory for a writer");
    writer->map = map;
    writer->keys = keys;
    writer->key_count = key_count;
    bench_fill(map, keys, key_count);
    for (uint64_t round = 0; round < bench->rounds; round++) {
        print_scan(bench, key_count, "scan", scan_for(map, bench->seconds), NULL, 1);
        write_beside(bench, writer, false);
        write_beside(bench, writer, true);
    }
    strobe_map_free(map);
    bench_keys_free(keys);
    free(writer);
}

void bench_scan(struct bench *bench) {
    for (size_t i = 0; i < bench->keys.count; i++) scan_of(bench, bench->keys.at[i]);
}

/* ---- Opening ---- */

#define OPENINGS 20000u

static void snapshot_of(struct bench *bench, uint64_t key_count) {
    struct bench_text *keys = bench_keys_new(key_count);
    struct strobe_map *map = bench_map_new();
    struct bench_histogram *opens = calloc(2, sizeof *opens), *closes = opens + 1;

    if (!opens) bench_die("no memory for histograms");
    bench_fill(map, keys, key_count);
    for (unsigned i = 0; i < OPENINGS; i++) {
        struct strobe_snapshot *snapshot;
        uint64_t before = bench_now(), between, after;

        if (strobe_snapshot_open(map, false, &snapshot) != STROBE_OK) bench_die("cannot open a snapshot");
        between = bench_now();
        strobe_snapshot_close(snapshot);
        after = bench_now();
        bench_record(opens, between - before);
        bench_record(closes, after - between);
    }
    BENCH_ROW(bench, "snapshot, never read", BENCH_NUMBER("keys", key_count, 0),
              BENCH_NUMBER("open_p50_us", bench_quantile(opens, 0.5) / 1e3, 2),
              BENCH_NUMBER("open_p99_us", bench_quantile(opens, 0.99) / 1e3, 2),
              BENCH_NUMBER("close_p50_us", bench_quantile(closes, 0.5) / 1e3, 2),
              BENCH_NUMBER("close_p99_us", bench_quantile(closes, 0.99) / 1e3, 2));
    strobe_map_free(map);
    bench_keys_free(keys);
    free(opens);
}

#define MANY_KEYS 20000u
#define MANY_SETS 300u /* after each opening, so that each snapshot has copies of its own */

/* What a set and a close take while OPEN snapshots are open: neither should grow with that number. */
static void many_of(struct bench *bench, unsigned open) {
    struct bench_text *keys = bench_keys_new(MANY_KEYS);
    struct strobe_map *map = bench_map_new();
    struct strobe_snapshot **snapshots = calloc(open, sizeof(struct strobe_snapshot *));
    char value[BENCH_VALUE_LEN];
    uint64_t x = 88172645463325252u, start, sets, closes;
    struct strobe_stats stats;

    if (!snapshots) bench_die("no memory for snapshots");
    memset(value, 'm', sizeof value);
    bench_fill(map, keys, MANY_KEYS);
    for (unsigned i = 0; i < open; i++) {
        if (strobe_snapshot_open(map, true, &snapshots[i]) != STROBE_OK) bench_die("cannot open a snapshot");
        for (unsigned n = 0; n < MANY_SETS; n++)
            bench_set(map, &keys[bench_random(&x) % MANY_KEYS], value, sizeof value);
    }
    strobe_map_stats(map, &stats);
    start = bench_now();
    for (unsigned i = 0; i < MANY_KEYS; i++) bench_set(map, &keys[i], value, sizeof value);
    sets = bench_now() - start;
    start = bench_now();
    for (unsigned i = open; i-- > 0;) strobe_snapshot_close(snapshots[i]); /* the worse order: what one kept, goes on */
    closes = bench_now() - start;
    BENCH_ROW(bench, "snapshot, many open", BENCH_NUMBER("open", open, 0), BENCH_NUMBER("copies", stats.copies, 0),
              BENCH_NUMBER("set_us", (double)sets / 1e3 / MANY_KEYS, 2),
              BENCH_NUMBER("close_us", (double)closes / 1e3 / open, 0),
              BENCH_NUMBER("close_us_a_copy", (double)closes / 1e3 / (double)stats.copies, 2));
    strobe_map_free(map);
    bench_keys_free(keys);
    free(snapshots);
}

void bench_snapshot(struct bench *bench) {
    static const unsigned open[] = {1, 10, 100, 1000};

    for (size_t i = 0; i < bench->keys.count; i++) snapshot_of(bench, bench->keys.at[i]);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) many_of(bench, open[i]);
}

/* ---- The hash ---- */

#define HASHES      400000u
#define HASH_ROUNDS 7u

static double hash_ns(const struct strobe_map *map, size_t len) {
    char key[2048] = {0};
    double rounds[HASH_ROUNDS];
    uint64_t seen = 0;

    for (unsigned round = 0; round < HASH_ROUNDS; round++) {
        uint64_t start = bench_now();

        for (uint32_t i = 0; i < HASHES; i++) {
            memcpy(key, &i, len < sizeof i ? len : sizeof i);
            seen ^= strobe_key(map, key, len).hash;
        }
        rounds[round] = (double)(bench_now() - start) / HASHES;
    }
    if (seen == 42) (void)printf("\n"); /* the hashes are needed: they cannot be left out */
    return bench_median(rounds, HASH_ROUNDS);
}

void bench_hash(struct bench *bench) {
    static const size_t lengths[] = {1, 4, 8, 14, 16, 20, 32, 64, 128, 256, 1024};
    struct strobe_map *map = bench_map_new();

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        BENCH_ROW(bench, "hash", BENCH_NUMBER("key_bytes", lengths[i], 0),
                  BENCH_NUMBER("ns", hash_ns(map, lengths[i]), 2));
    strobe_map_free(map);
}
