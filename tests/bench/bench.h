/* bench.h - what the map's benchmarks share: options, clocks, histograms, keys, memory, tables. */
#ifndef STROBE_TESTS_BENCH_BENCH_H
#define STROBE_TESTS_BENCH_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"

#define BENCH_KEY_LEN   14u /* key:0000000000 */
#define BENCH_VALUE_LEN 32u
#define BENCH_LIST_MAX  8u   /* numbers of one list option */
#define BENCH_BURST     256u /* operations between two looks at the stop flag, and one strobe_map_tick */

struct bench_list {
    uint64_t at[BENCH_LIST_MAX];
    size_t count;
};

/* What the command line said. */
struct bench {
    double seconds; /* of one round */
    uint64_t rounds;
    struct bench_list keys, threads, writes;
    bool uniform, zipf, one; /* which keys are asked for */
    bool large;              /* 10 million keys too */
    bool access;             /* by strobe_enter ... strobe_leave in place of strobe_get and strobe_set */
    bool json;
    bool purge_each;   /* size: give freed pages back before each look */
    uint64_t scans;    /* growth: snapshots open meanwhile */
    const char *table; /* the one whose rows are being printed */
};

/* ---- Time ---- */

uint64_t bench_now(void); /* monotonic, ns */
uint64_t bench_cpu(void); /* user and system time of the process, ns */
void bench_sleep(double seconds);
double bench_median(double *values, size_t count); /* sorts VALUES */

/* How long each of many operations took. 16 steps to a doubling: exact to 6 %. */
#define BENCH_STEPS     16u
#define BENCH_HISTOGRAM (BENCH_STEPS * 40u)

struct bench_histogram {
    uint64_t counts[BENCH_HISTOGRAM];
    uint64_t total, max;
};

void bench_record(struct bench_histogram *histogram, uint64_t ns);
double bench_quantile(const struct bench_histogram *histogram, double q); /* ns, upper edge of the step */

/* Consecutive operations of one thread: each lap is the time since the last, so that a thread that loses its
 * processor loses it within a lap. Slow laps in which that happened are set aside: they show the scheduler, not
 * us. (What a hypervisor takes cannot be told.) `own` is a lap less the time that the map was in its `allocator`, when
 * it has the timed one, whose two looks at the clock for each call are in the laps. */
struct bench_laps {
    struct bench_histogram laps, own, allocator;
    uint64_t last;
    long switches; /* involuntary, of this thread */
    uint64_t aside, aside_max;
};

void bench_laps_start(struct bench_laps *laps);
void bench_lap(struct bench_laps *laps);

/* ---- Random numbers and keys ---- */

static inline uint64_t bench_random(uint64_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

struct bench_text {
    char data[16]; /* BENCH_KEY_LEN bytes of it */
};

/* COUNT keys `key:%010d`, one after the other. Exits without memory. */
struct bench_text *bench_keys_new(uint64_t count);
void bench_keys_free(struct bench_text *keys);
void bench_key_write(char at[BENCH_KEY_LEN], uint64_t number); /* no terminator */

/* BENCH_ZIPF numbers below COUNT, by Zipf's law with exponent 0.99, the frequent ones scattered. The caller frees
 * it. */
#define BENCH_ZIPF ((size_t)1 << 20)
uint32_t *bench_zipf_new(uint64_t count);

/* ---- Memory ---- */

struct strobe_map *bench_map_new(void);       /* exits when it cannot; with the allocator that strobed uses */
struct strobe_map *bench_map_new_timed(void); /* the same, and each call of the allocator is timed */
void bench_memory_setup(void);                /* as strobed sets its allocator up */
const char *bench_memory_name(void);
void bench_memory_purge(void); /* free pages go back to the system now */
uint64_t bench_resident(void); /* bytes */

/* ---- What a server does for one GET and one SET ---- */

/* Copies KEY's value to OUT (BENCH_VALUE_LEN bytes). */
bool bench_get(struct strobe_map *map, const struct bench_text *key, char *out);
void bench_set(struct strobe_map *map, const struct bench_text *key, const void *value, size_t len);
bool bench_del(struct strobe_map *map, const struct bench_text *key);
void bench_fill(struct strobe_map *map, const struct bench_text *keys, uint64_t count);

/* ---- Tables ---- */

struct bench_cell {
    const char *name, *text; /* TEXT or else NUMBER */
    double number;
    int decimals;
};
#define BENCH_TEXT(name, text) \
    { (name), (text), 0, 0 }
#define BENCH_NUMBER(name, number, decimals) \
    { (name), NULL, (double)(number), (decimals) }
#define BENCH_ROW(bench, table, ...)                                      \
    bench_row((bench), (table), (const struct bench_cell[]){__VA_ARGS__}, \
              sizeof((const struct bench_cell[]){__VA_ARGS__}) / sizeof(struct bench_cell))

/* Prints one row, and the names of the columns when TABLE is another one than before; with --json an object a
 * line. */
void bench_row(struct bench *bench, const char *table, const struct bench_cell *cells, size_t count);

_Noreturn void bench_die(const char *what);

/* ---- The benchmarks, one of each subcommand ---- */

void bench_speed(struct bench *bench);
void bench_batch(struct bench *bench);
void bench_size(struct bench *bench);
void bench_growth(struct bench *bench);
void bench_scan(struct bench *bench);
void bench_snapshot(struct bench *bench);
void bench_hash(struct bench *bench);
void bench_lock(struct bench *bench);

#endif
