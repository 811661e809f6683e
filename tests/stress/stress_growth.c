/* stress_growth.c - a table that grows many times over and shrinks back while it is scanned.
 *
 * Ten thousand keys stay; the others (as many as the argument says: 2000000 is the long run) come and go again, in
 * two threads. A long scan that was opened at the start is read a page at a time over all of it, and others are
 * opened on the way. Each shows every constant key once, with the value of its instant, though they are written all
 * the time. Whoever gets one of them meanwhile gets a value of that moment.
 * Afterwards the memory is back to where it was.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map/map.h"
#include "tests/map/checked_alloc.h"
#include "tests/stress/must.h"

#define CONSTANT 10000u
#define GROWERS  2u
#define SCANS    2u

struct world {
    struct checked_alloc memory;
    struct strobe_map *map;
    uint64_t others; /* keys that come and go */
    atomic_bool stop;
    _Atomic uint32_t answered[CONSTANT]; /* the value that was last set, as a number */
    _Atomic uint64_t done;               /* of the others, sets and dels */
    _Atomic uint64_t scans;
    _Atomic uint64_t gets;
};

static size_t key_text(char text[32], char kind, uint64_t number) {
    return (size_t)snprintf(text, 32, "%c%llu", kind, (unsigned long long)number);
}

struct grower {
    struct world *w;
    uint64_t id;
};

static void *grow_and_shrink(void *context) {
    const struct grower *grower = context;
    struct world *w = grower->w;
    char text[32];

    for (unsigned shrinking = 0; shrinking < 2; shrinking++) {
        for (uint64_t i = grower->id; i < w->others; i += GROWERS) {
            size_t len = key_text(text, 'o', i);

            if (shrinking)
                MUST(strobe_del(w->map, text, len) == STROBE_OK);
            else
                MUST(strobe_set(w->map, text, len, text, len, 0) == STROBE_OK);
            atomic_fetch_add(&w->done, 1);
        }
    }
    return NULL;
}

/* Writes the constant keys, round after round, each time one higher. */
static void *rewrite(void *context) {
    struct world *w = context;
    char text[32];

    for (uint32_t value = 1; !atomic_load(&w->stop); value++) {
        for (uint32_t i = 0; i < CONSTANT && !atomic_load(&w->stop); i++) {
            size_t len = key_text(text, 'c', i);

            MUST(strobe_set(w->map, text, len, &value, sizeof value, 0) == STROBE_OK);
            atomic_store(&w->answered[i], value);
        }
    }
    return NULL;
}

/* Gets the constant keys, round after round: each is there, however its segment splits and merges. */
static void *reread(void *context) {
    struct world *w = context;
    uint64_t gets = 0;
    char text[32];

    while (!atomic_load(&w->stop)) {
        uint32_t i = (uint32_t)(gets++ * 7919 % CONSTANT), before = atomic_load(&w->answered[i]), value;
        size_t len = sizeof value;

        MUST(strobe_get(w->map, text, key_text(text, 'c', i), &value, &len) == STROBE_OK && len == sizeof value);
        MUST(value >= before && value <= atomic_load(&w->answered[i]) + 1);
    }
    atomic_store(&w->gets, gets);
    return NULL;
}

struct scan {
    struct world *w;
    struct strobe_snapshot *snapshot;
    struct strobe_position position;
    uint64_t others;
    uint32_t before[CONSTANT], after[CONSTANT], seen[CONSTANT];
    unsigned char count[CONSTANT];
};

static void scan_open(struct world *w, struct scan *scan) {
    memset(scan, 0, sizeof *scan);
    scan->w = w;
    for (uint32_t i = 0; i < CONSTANT; i++) scan->before[i] = atomic_load(&w->answered[i]);
    MUST(strobe_snapshot_open(w->map, false, &scan->snapshot) == STROBE_OK);
    for (uint32_t i = 0; i < CONSTANT; i++) scan->after[i] = atomic_load(&w->answered[i]);
}

static enum strobe_visit see(void *context, const struct strobe_entry *entry) {
    struct scan *scan = context;
    size_t len, value_len;
    const char *key = strobe_entry_key(entry, &len), *value = strobe_entry_value(entry, &value_len);
    char text[32] = {0};
    uint32_t number;

    MUST(len > 1 && len < sizeof text);
    if (key[0] == 'o') {
        MUST(value_len == len && memcmp(key, value, len) == 0);
        scan->others++;
        return STROBE_VISIT_NEXT;
    }
    memcpy(text, key, len);
    number = (uint32_t)strtoul(text + 1, NULL, 10);
    MUST(text[0] == 'c' && number < CONSTANT && value_len == sizeof(uint32_t));
    MUST(scan->count[number]++ == 0);
    memcpy(&scan->seen[number], value, sizeof scan->seen[number]);
    return STROBE_VISIT_NEXT;
}

/* All are there, with a value of the instant; and since one thread writes them in order, there is one
 * place before which all have one value, and behind which they have the one before. */
static void scan_check(const struct scan *scan) {
    unsigned steps = 0;

    for (uint32_t i = 0; i < CONSTANT; i++) {
        MUST(scan->count[i] == 1);
        MUST(scan->seen[i] >= scan->before[i] && scan->seen[i] <= scan->after[i] + 1);
        if (i && scan->seen[i] != scan->seen[i - 1]) {
            MUST(scan->seen[i] + 1 == scan->seen[i - 1]);
            steps++;
        }
    }
    MUST(steps <= 1);
}

static void scan_page(struct scan *scan, size_t budget) {
    MUST(strobe_snapshot_read(scan->snapshot, &scan->position, NULL, budget, see, scan) == STROBE_OK);
    strobe_snapshot_forget(scan->snapshot, &scan->position);
}

static void scan_close(struct scan *scan) {
    scan_check(scan);
    strobe_snapshot_close(scan->snapshot);
    atomic_fetch_add(&scan->w->scans, 1);
}

/* One scan after the other, each over a part of the growth: page by page, as the others progress. */
static void *scan_often(void *context) {
    struct scan *scan = context;
    struct world *w = scan->w;

    while (!atomic_load(&w->stop)) {
        scan_open(w, scan);
        while (!scan->position.end) scan_page(scan, 3000);
        scan_close(scan);
    }
    return NULL;
}

static void set_constants(struct world *w) {
    uint32_t value = 0;
    char text[32];

    for (uint32_t i = 0; i < CONSTANT; i++)
        MUST(strobe_set(w->map, text, key_text(text, 'c', i), &value, sizeof value, 0) == STROBE_OK);
}

static void drop_constants(struct world *w) {
    char text[32];

    for (uint32_t i = 0; i < CONSTANT; i++) MUST(strobe_del(w->map, text, key_text(text, 'c', i)) == STROBE_OK);
}

struct crew {
    pthread_t growing[GROWERS], scanning[SCANS], writing, reading;
    struct grower growers[GROWERS];
    struct scan *scans; /* the last is the long one */
};

static void crew_start(struct crew *crew, struct world *w) {
    crew->scans = calloc(SCANS + 1, sizeof *crew->scans);
    MUST(crew->scans);
    scan_open(w, &crew->scans[SCANS]);
    MUST(pthread_create(&crew->writing, NULL, rewrite, w) == 0);
    MUST(pthread_create(&crew->reading, NULL, reread, w) == 0);
    for (uint32_t i = 0; i < SCANS; i++) {
        crew->scans[i].w = w;
        MUST(pthread_create(&crew->scanning[i], NULL, scan_often, &crew->scans[i]) == 0);
    }
    for (uint32_t i = 0; i < GROWERS; i++) {
        crew->growers[i] = (struct grower){w, i};
        MUST(pthread_create(&crew->growing[i], NULL, grow_and_shrink, &crew->growers[i]) == 0);
    }
}

static void crew_finish(struct crew *crew, struct world *w) {
    for (uint32_t i = 0; i < GROWERS; i++) MUST(pthread_join(crew->growing[i], NULL) == 0);
    atomic_store(&w->stop, true);
    MUST(pthread_join(crew->writing, NULL) == 0);
    MUST(pthread_join(crew->reading, NULL) == 0);
    for (uint32_t i = 0; i < SCANS; i++) MUST(pthread_join(crew->scanning[i], NULL) == 0);
    free(crew->scans);
}

/* One page for each sixty-fourth of the way up and down; what is left at the end. */
static void scan_all_the_way(struct world *w, struct scan *scan) {
    for (uint64_t part = 1; part <= 64; part++) {
        while (atomic_load(&w->done) < w->others / 32 * part) (void)sched_yield();
        scan_page(scan, 250);
    }
    while (!scan->position.end) scan_page(scan, 0);
    MUST(scan->others == 0);
    scan_close(scan);
}

static void test_a_scan_over_growth_and_shrinkage_shows_the_constant_keys_once(void **state) {
    struct world *w = calloc(1, sizeof *w);
    struct strobe_map_options options = {.shards = 4};
    struct strobe_stats start, end;
    struct crew crew;
    size_t empty, bytes;

    assert_non_null(w);
    w->others = *(const uint64_t *)*state;
    checked_alloc_init(&w->memory);
    options.allocator = &w->memory.allocator;
    assert_int_equal(strobe_map_new(&options, &w->map), STROBE_OK);
    empty = w->memory.bytes;
    set_constants(w);
    bytes = w->memory.bytes;
    strobe_map_stats(w->map, &start);
    crew_start(&crew, w);
    scan_all_the_way(w, &crew.scans[SCANS]);
    crew_finish(&crew, w);
    strobe_map_stats(w->map, &end);
    print_message("%llu scans, %llu gets, %llu splits, %llu merges, %llu copies; %zu bytes before, %zu after\n",
                  (unsigned long long)w->scans, (unsigned long long)w->gets, (unsigned long long)end.splits,
                  (unsigned long long)end.merges, (unsigned long long)end.copies_made, bytes, (size_t)w->memory.bytes);
    assert_true(w->scans > SCANS);
    assert_true(w->gets > 0);
    assert_int_equal(strobe_count(w->map), CONSTANT);
    assert_int_equal(end.copies, 0);
    assert_int_equal(end.snapshot_bytes, 0);
    assert_int_equal(end.entry_bytes, start.entry_bytes);
    assert_true(w->memory.bytes < bytes + bytes / 2); /* a pair of segments may be thin for as long as nobody writes */
    drop_constants(w);
    /* Spare directories and chains of copies are kept: 32 bytes a segment of the largest time. */
    assert_true(w->memory.bytes < empty + empty / 10 + end.splits * 32);
    strobe_map_free(w->map);
    assert_int_equal(w->memory.live, 0);
    free(w);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define OTHERS_DEFAULT 40000u
#else
#define OTHERS_DEFAULT 200000u
#endif

int main(int argc, char **argv) {
    uint64_t others = argc > 1 ? strtoull(argv[1], NULL, 10) : OTHERS_DEFAULT;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_a_scan_over_growth_and_shrinkage_shows_the_constant_keys_once, &others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
