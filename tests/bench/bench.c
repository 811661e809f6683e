/* bench.c - clocks, histograms, keys, memory and tables for the map's benchmarks.
 *
 * It gives the map jemalloc with the settings of strobed, or, built with STROBE_LIBC_MALLOC, the malloc of libc.
 * On failure: it says what and exits; a benchmark has nobody to answer to.
 */
#include "tests/bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifndef STROBE_LIBC_MALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#endif

void bench_die(const char *what) {
    (void)fprintf(stderr, "map_bench: %s\n", what);
    exit(1);
}

/* ---- Time ---- */

uint64_t bench_now(void) {
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_cpu(void) {
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void bench_sleep(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};

    (void)nanosleep(&t, NULL);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static size_t step_of(uint64_t ns) {
    unsigned top;
    size_t step;

    if (ns < BENCH_STEPS) return (size_t)ns;
    top = 63u - (unsigned)__builtin_clzll(ns);
    step = (size_t)(top - 3u) * BENCH_STEPS + (size_t)((ns >> (top - 4u)) & (BENCH_STEPS - 1));
    return step < BENCH_HISTOGRAM ? step : BENCH_HISTOGRAM - 1;
}

/* The largest time that falls into STEP. */
static double step_edge(size_t step) {
    size_t top = step / BENCH_STEPS + 3;

    if (step < BENCH_STEPS) return (double)step;
    return ldexp((double)(BENCH_STEPS + step % BENCH_STEPS + 1), (int)top - 4);
}

void bench_record(struct bench_histogram *histogram, uint64_t ns) {
    histogram->counts[step_of(ns)]++;
    histogram->total++;
    if (ns > histogram->max) histogram->max = ns;
}

double bench_quantile(const struct bench_histogram *histogram, double q) {
    uint64_t below = 0, wanted = (uint64_t)ceil(q * (double)histogram->total);

    for (size_t step = 0; step < BENCH_HISTOGRAM; step++) {
        below += histogram->counts[step];
        if (below >= wanted && below) return step_edge(step);
    }
    return 0;
}

#define LAP_SLOW 4000u /* ns from which a lap is worth a system call to find out why: that call takes a tenth of it */

static long involuntary_switches(void) {
    struct rusage usage;

    (void)getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static _Thread_local uint64_t in_allocator; /* ns of the lap */

void bench_laps_start(struct bench_laps *laps) {
    memset(laps, 0, sizeof *laps);
    in_allocator = 0;
    laps->switches = involuntary_switches();
    laps->last = bench_now();
}

void bench_lap(struct bench_laps *laps) {
    uint64_t now = bench_now(), took = now - laps->last, elsewhere = in_allocator;

    laps->last = now;
    in_allocator = 0;
    if (took >= LAP_SLOW) {
        long switches = involuntary_switches();

        laps->last = bench_now();
        if (switches != laps->switches) {
            laps->switches = switches;
            laps->aside++;
            if (took > laps->aside_max) laps->aside_max = took;
            return;
        }
    }
    bench_record(&laps->laps, took);
    bench_record(&laps->own, took - elsewhere);
    bench_record(&laps->allocator, elsewhere);
}

/* ---- Keys ---- */

void bench_key_write(char at[BENCH_KEY_LEN], uint64_t number) {
    memcpy(at, "key:", 4);
    for (size_t i = BENCH_KEY_LEN; i-- > 4; number /= 10) at[i] = (char)('0' + number % 10);
}

#define HUGE_PAGE ((size_t)2 << 20)

struct bench_text *bench_keys_new(uint64_t count) {
    size_t size = (count * sizeof(struct bench_text) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    struct bench_text *keys = aligned_alloc(HUGE_PAGE, size);

    if (!keys) bench_die("no memory for the keys");
    (void)madvise(keys, size, MADV_HUGEPAGE); /* as Go's runtime asks for its heap; only a hint */
    for (uint64_t i = 0; i < count; i++) bench_key_write(keys[i].data, i);
    return keys;
}

void bench_keys_free(struct bench_text *keys) {
    free(keys);
}

/* Source: Gray et al., "Quickly generating billion-record synthetic databases", SIGMOD 1994. */
uint32_t *bench_zipf_new(uint64_t count) {
    const double theta = 0.99, alpha = 1 / (1 - theta);
    uint32_t *numbers = malloc(BENCH_ZIPF * sizeof *numbers);
    double zeta = 0, two = 1 + pow(0.5, theta), eta;
    uint64_t x = 88172645463325252u;

    if (!numbers) bench_die("no memory for Zipf's numbers");
    for (uint64_t i = 1; i <= count; i++) zeta += pow((double)i, -theta);
    eta = (1 - pow(2 / (double)count, 1 - theta)) / (1 - two / zeta);
    for (size_t i = 0; i < BENCH_ZIPF; i++) {
        double u = (double)(bench_random(&x) >> 11) * 0x1p-53, uz = u * zeta;
        uint64_t rank = uz < 1 ? 0 : uz < two ? 1 : (uint64_t)((double)count * pow(eta * u - eta + 1, alpha));

        numbers[i] = (uint32_t)((rank < count ? rank : count - 1) * 2654435761u % count);
    }
    return numbers;
}

/* ---- Memory ---- */

#ifndef STROBE_LIBC_MALLOC

static void *bench_alloc(void *context, size_t size, size_t align) {
    (void)context;
    return align <= 16 ? malloc(size) : mallocx(size, MALLOCX_ALIGN(align));
}

static void bench_release(void *context, void *memory, size_t size, size_t align) {
    (void)context;
    sdallocx(memory, size, align <= 16 ? 0 : MALLOCX_ALIGN(align));
}

const char *bench_memory_name(void) {
    return "jemalloc";
}

void bench_memory_setup(void) {
    bool on = true;
    ssize_t dirty = 1000, muzzy = 0; /* ms; the same as server/memory.c */

    (void)mallctl("background_thread", NULL, NULL, &on, sizeof on);
    (void)mallctl("arenas.dirty_decay_ms", NULL, NULL, &dirty, sizeof dirty);
    (void)mallctl("arenas.muzzy_decay_ms", NULL, NULL, &muzzy, sizeof muzzy);
    (void)mallctl("arena.0.dirty_decay_ms", NULL, NULL, &dirty, sizeof dirty);
    (void)mallctl("arena.0.muzzy_decay_ms", NULL, NULL, &muzzy, sizeof muzzy);
}

#define TEXT_OF(n) #n
#define TEXT(n)    TEXT_OF(n)

void bench_memory_purge(void) {
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    (void)mallctl("arena." TEXT(MALLCTL_ARENAS_ALL) ".purge", NULL, NULL, NULL, 0);
}

#else

static void *bench_alloc(void *context, size_t size, size_t align) {
    (void)context;
    return align <= _Alignof(max_align_t) ? malloc(size) : aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static void bench_release(void *context, void *memory, size_t size, size_t align) {
    (void)context;
    (void)size;
    (void)align;
    free(memory);
}

const char *bench_memory_name(void) {
    return "libc malloc";
}

void bench_memory_setup(void) {}

void bench_memory_purge(void) {
    (void)malloc_trim(0);
}

#endif

static void *timed_alloc(void *context, size_t size, size_t align) {
    uint64_t start = bench_now();
    void *memory = bench_alloc(context, size, align);

    in_allocator += bench_now() - start;
    return memory;
}

static void timed_release(void *context, void *memory, size_t size, size_t align) {
    uint64_t start = bench_now();

    bench_release(context, memory, size, align);
    in_allocator += bench_now() - start;
}

static struct strobe_map *map_with(const struct strobe_allocator *allocator) {
    struct strobe_map *map;

    if (strobe_map_new(&(struct strobe_map_options){.allocator = allocator}, &map) != STROBE_OK)
        bench_die("cannot make a map");
    return map;
}

struct strobe_map *bench_map_new(void) {
    static const struct strobe_allocator allocator = {bench_alloc, bench_release, NULL, NULL};

    return map_with(&allocator);
}

struct strobe_map *bench_map_new_timed(void) {
    static const struct strobe_allocator allocator = {timed_alloc, timed_release, NULL, NULL};

    return map_with(&allocator);
}

uint64_t bench_resident(void) {
    unsigned long size, resident;
    FILE *statm = fopen("/proc/self/statm", "re");

    if (!statm || fscanf(statm, "%lu %lu", &size, &resident) != 2) bench_die("cannot read /proc/self/statm");
    (void)fclose(statm);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- One operation ---- */

bool bench_get(struct strobe_map *map, const struct bench_text *key, char *out) {
    struct strobe_key k = strobe_key(map, key->data, BENCH_KEY_LEN);
    const struct strobe_entry *entry;
    struct strobe_access access;

    strobe_enter(map, &k, &access);
    entry = strobe_find(&access, &k);
    if (entry) {
        size_t len;
        const char *value = strobe_entry_value(entry, &len);

        memcpy(out, value, len < BENCH_VALUE_LEN ? len : BENCH_VALUE_LEN);
    }
    strobe_leave(&access);
    return entry;
}

void bench_set(struct strobe_map *map, const struct bench_text *key, const void *value, size_t len) {
    struct strobe_key k = strobe_key(map, key->data, BENCH_KEY_LEN);
    struct strobe_access access;
    struct strobe_entry *entry;
    enum strobe_status status;

    if (strobe_entry_new(map, &(struct strobe_entry_spec){.key = &k, .value = value, .len = len}, &entry) != STROBE_OK)
        bench_die("no memory for an entry");
    strobe_enter(map, &k, &access);
    status = strobe_put(&access, &k, &entry);
    strobe_leave(&access);
    if (status != STROBE_OK) bench_die("no memory for a put");
    strobe_entry_free(map, entry);
}

bool bench_del(struct strobe_map *map, const struct bench_text *key) {
    struct strobe_key k = strobe_key(map, key->data, BENCH_KEY_LEN);
    struct strobe_access access;
    struct strobe_entry *old;
    enum strobe_status status;

    strobe_enter(map, &k, &access);
    status = strobe_erase(&access, &k, &old);
    strobe_leave(&access);
    strobe_entry_free(map, old);
    return status == STROBE_OK;
}

void bench_fill(struct strobe_map *map, const struct bench_text *keys, uint64_t count) {
    char value[BENCH_VALUE_LEN];

    memset(value, 'x', sizeof value);
    for (uint64_t i = 0; i < count; i++) bench_set(map, &keys[i], value, sizeof value);
}

/* ---- Tables ---- */

static int width_of(const struct bench_cell *cell) {
    int len = (int)strlen(cell->name);

    return len > 9 ? len : 9;
}

static void print_json(const char *table, const struct bench_cell *cells, size_t count) {
    (void)printf("{\"table\":\"%s\"", table);
    for (size_t i = 0; i < count; i++) {
        if (cells[i].text)
            (void)printf(",\"%s\":\"%s\"", cells[i].name, cells[i].text);
        else
            (void)printf(",\"%s\":%.*f", cells[i].name, cells[i].decimals, cells[i].number);
    }
    (void)printf("}\n");
}

void bench_row(struct bench *bench, const char *table, const struct bench_cell *cells, size_t count) {
    if (bench->json) {
        print_json(table, cells, count);
    } else {
        if (!bench->table || strcmp(bench->table, table) != 0) {
            (void)printf("\n%s\n", table);
            for (size_t i = 0; i < count; i++) (void)printf(" %*s", width_of(&cells[i]), cells[i].name);
            (void)printf("\n");
            bench->table = table;
        }
        for (size_t i = 0; i < count; i++) {
            if (cells[i].text)
                (void)printf(" %*s", width_of(&cells[i]), cells[i].text);
            else
                (void)printf(" %*.*f", width_of(&cells[i]), cells[i].decimals, cells[i].number);
        }
        (void)printf("\n");
    }
    (void)fflush(stdout);
}
