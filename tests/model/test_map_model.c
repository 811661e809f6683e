/* test_map_model.c - random operations on the map, each compared with a model that is obviously right.
 *
 * The model is an array indexed by key number; a snapshot of the model is a copy of the array. Writes, deletes, MSETs
 * and transactions (with snapshots and flushes inside), expiries under an injected clock, sweeps, flushes, growth and
 * shrinkage, and up to sixteen snapshots that are opened, read page by page, asked again for their last page, and
 * abandoned, follow each other at random. A second run makes one allocation in fifty fail: then nothing may have
 * changed.
 * The number of steps is the argument (default 1,000,000); the seed is printed, and is the second one.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map/map.h"
#include "tests/map/checked_alloc.h"

#define KEYS      8000u
#define SNAPSHOTS 16u
#define PAGE_MAX  700u
#define BATCH     24u

struct cell {
    uint64_t stamp; /* 0: absent; else what the value is made from */
    uint64_t expiry;
    uint64_t version;
    uint32_t len;
};

struct shot {
    struct strobe_snapshot *snapshot;
    struct cell *cells; /* the model at its instant */
    unsigned char *seen;
    uint64_t time;
    struct strobe_position last, next; /* where the last page began and ended */
    uint32_t last_page[PAGE_MAX];
    uint32_t last_count;
};

struct world {
    struct checked_alloc memory;
    struct strobe_map *map;
    uint64_t now, random, stamp, sweep_place, steps;
    struct cell cells[KEYS];
    uint64_t highest_version[KEYS]; /* also of earlier lives of the key */
    struct shot shots[SNAPSHOTS];
    uint32_t window; /* keys below it are written more often; it moves, so that the map grows and shrinks */
    bool may_fail;
};

static uint64_t rnd(struct world *w) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

static uint32_t below(struct world *w, uint32_t n) {
    return (uint32_t)((rnd(w) >> 20) % n);
}

static uint64_t world_now(void *context) {
    return ((struct world *)context)->now;
}

static struct strobe_key key_of(struct world *w, uint32_t number, char text[32]) {
    int len = snprintf(text, 32, "key-%" PRIu32, number);

    return strobe_key(w->map, text, (size_t)len);
}

static uint32_t number_of(const struct strobe_entry *entry) {
    char text[32] = {0};
    size_t len;
    const char *key = strobe_entry_key(entry, &len);

    assert_true(len > 4 && len < sizeof text);
    memcpy(text, key, len);
    return (uint32_t)strtoul(text + 4, NULL, 10);
}

static bool cell_alive(const struct cell *cell, uint64_t now) {
    return cell->stamp && (cell->expiry == 0 || cell->expiry > now);
}

static void fill(char *value, uint32_t len, uint64_t stamp) {
    for (uint32_t i = 0; i < len; i++) value[i] = (char)(stamp * 31 + i * 7);
}

static void assert_entry(const struct strobe_entry *entry, const struct cell *cell) {
    size_t len;
    const char *value = strobe_entry_value(entry, &len);

    assert_int_equal(len, cell->len);
    assert_int_equal(strobe_entry_version(entry), cell->version);
    assert_int_equal(strobe_entry_expiry(entry), cell->expiry);
    for (uint32_t i = 0; i<len; i += len> 64 ? 997 : 1)
        assert_int_equal((unsigned char)value[i], (unsigned char)(cell->stamp * 31 + i * 7));
}

/* What the next entry shall be. */
static void choose(struct world *w, struct cell *cell) {
    cell->stamp = ++w->stamp;
    cell->len = below(w, 200) == 0 ? STROBE_BLOB_MIN + below(w, 5000) : below(w, below(w, 20) == 0 ? 300 : 60);
    cell->expiry = below(w, 4) == 0 ? w->now + 1 + below(w, 400) : 0;
}

/* A new entry for KEY and what the model shall know of it. NULL: no memory. */
static struct strobe_entry *make(struct world *w, const struct strobe_key *key, struct cell *cell) {
    struct strobe_entry *entry = NULL;
    enum strobe_status status;

    choose(w, cell);
    status = strobe_entry_new(w->map, &(struct strobe_entry_spec){.key = key, .len = cell->len, .expiry = cell->expiry},
                              &entry);
    if (status == STROBE_NO_MEMORY && w->may_fail) return NULL;
    assert_int_equal(status, STROBE_OK);
    fill(strobe_entry_fill(entry), cell->len, cell->stamp);
    return entry;
}

static uint32_t some_key(struct world *w) {
    return below(w, 10) == 0 ? below(w, KEYS) : below(w, w->window);
}

/* What was just put under NUMBER is what CELL says, with a version that key never had. */
STROBE_INSIDE static void wrote(struct world *w, struct strobe_access *access, uint32_t number,
                                const struct strobe_key *key, struct cell *cell) {
    const struct strobe_entry *entry = strobe_find(access, key);

    assert_non_null(entry);
    cell->version = strobe_entry_version(entry);
    assert_true(cell->version > w->highest_version[number]);
    w->highest_version[number] = cell->version;
    w->cells[number] = *cell;
}

static void step_set(struct world *w) {
    char text[32];
    uint32_t number = some_key(w);
    struct strobe_key key = key_of(w, number, text);
    struct strobe_access access;
    struct cell cell;
    struct strobe_entry *entry = make(w, &key, &cell);
    enum strobe_status status;

    if (!entry) return;
    strobe_map_tick(w->map);
    strobe_enter(w->map, &key, &access);
    status = strobe_put(&access, &key, &entry);
    if (status == STROBE_OK) wrote(w, &access, number, &key, &cell);
    strobe_leave(&access);
    strobe_entry_free(w->map, entry);
    assert_true(status == STROBE_OK || (w->may_fail && status == STROBE_NO_MEMORY));
}

/* The same by strobe_set, which copies, and has a way of its own for most entries. */
static void step_set_copied(struct world *w) {
    char value[STROBE_BLOB_MIN + 5000];
    char text[32];
    uint32_t number = some_key(w);
    struct strobe_key key = key_of(w, number, text);
    struct strobe_access access;
    struct cell cell;
    enum strobe_status status;

    choose(w, &cell);
    fill(value, cell.len, cell.stamp);
    status = strobe_set(w->map, key.data, key.len, value, cell.len, cell.expiry);
    if (status != STROBE_OK) {
        assert_true(w->may_fail && status == STROBE_NO_MEMORY);
        return;
    }
    strobe_map_tick(w->map);
    strobe_enter(w->map, &key, &access);
    wrote(w, &access, number, &key, &cell);
    strobe_leave(&access);
}

static void step_del(struct world *w) {
    char text[32];
    uint32_t number = below(w, KEYS);
    struct strobe_key key = key_of(w, number, text);
    enum strobe_status status = strobe_del(w->map, key.data, key.len);

    if (status == STROBE_NO_MEMORY && w->may_fail) return;
    assert_int_equal(status, cell_alive(&w->cells[number], w->now) ? STROBE_OK : STROBE_MISSING);
    w->cells[number].stamp = 0;
}

STROBE_INSIDE static void assert_is_as_model(struct world *w, struct strobe_access *access,
                                             const struct strobe_key *key, uint32_t number) {
    const struct strobe_entry *entry = strobe_find(access, key);

    assert_int_equal(entry != NULL, cell_alive(&w->cells[number], w->now));
    if (entry) assert_entry(entry, &w->cells[number]);
}

static void step_get(struct world *w) {
    char text[32];
    uint32_t number = some_key(w);
    struct strobe_key key = key_of(w, number, text);
    struct strobe_access access;

    strobe_map_tick(w->map);
    strobe_enter(w->map, &key, &access);
    assert_is_as_model(w, &access, &key, number);
    strobe_leave(&access);
}

static void step_get_copied(struct world *w) {
    char text[32], value[400];
    uint32_t number = some_key(w);
    struct strobe_key key = key_of(w, number, text);
    const struct cell *cell = &w->cells[number];
    size_t room = below(w, sizeof value), len = room;
    enum strobe_status status = strobe_get(w->map, key.data, key.len, value, &len);

    assert_int_equal(status, cell_alive(cell, w->now) ? STROBE_OK : STROBE_MISSING);
    if (status != STROBE_OK) return;
    assert_int_equal(len, cell->len);
    for (size_t i = 0; i < len && i < room; i++)
        assert_int_equal((unsigned char)value[i], (unsigned char)(cell->stamp * 31 + i * 7));
}

struct batch {
    char text[BATCH][32];
    uint32_t number[BATCH];
    struct strobe_key key[BATCH];
    struct strobe_entry *entry[BATCH];
    struct cell cell[BATCH];
    uint32_t count;
};

static void batch_make(struct world *w, struct batch *batch) {
    batch->count = 0;
    for (uint32_t want = 1 + below(w, BATCH); batch->count < want; batch->count++) {
        uint32_t i = batch->count;

        batch->number[i] = some_key(w);
        batch->key[i] = key_of(w, batch->number[i], batch->text[i]);
        batch->entry[i] = make(w, &batch->key[i], &batch->cell[i]);
        if (!batch->entry[i]) return;
    }
}

static void batch_free(struct world *w, struct batch *batch) {
    for (uint32_t i = 0; i < batch->count; i++) strobe_entry_free(w->map, batch->entry[i]);
}

/* All keys at once, the same key twice included; or none. */
static void step_mset(struct world *w) {
    struct strobe_access access;
    struct batch batch;
    enum strobe_status status;

    batch_make(w, &batch);
    strobe_map_tick(w->map);
    strobe_enter_many(w->map, batch.key, batch.count, &access);
    status = strobe_put_many(&access, batch.key, batch.entry, batch.count);
    if (status == STROBE_OK) {
        for (uint32_t i = 0; i < batch.count; i++) {
            bool again = false;

            for (uint32_t j = i + 1; j < batch.count; j++) again = again || batch.number[j] == batch.number[i];
            if (!again) wrote(w, &access, batch.number[i], &batch.key[i], &batch.cell[i]);
        }
    } else {
        assert_true(w->may_fail && status == STROBE_NO_MEMORY);
        for (uint32_t i = 0; i < batch.count; i++) assert_is_as_model(w, &access, &batch.key[i], batch.number[i]);
    }
    strobe_leave(&access);
    batch_free(w, &batch);
}

/* SNAPSHOT, just opened, is to show what the model is now. */
static void shot_begin(struct world *w, struct shot *shot, struct strobe_snapshot *snapshot) {
    shot->snapshot = snapshot;
    shot->cells = malloc(sizeof w->cells);
    shot->seen = calloc(KEYS, 1);
    assert_non_null(shot->cells);
    assert_non_null(shot->seen);
    memcpy(shot->cells, w->cells, sizeof w->cells);
    shot->time = strobe_snapshot_time(shot->snapshot);
    assert_int_equal(shot->time, w->now);
    memset(&shot->last, 0, sizeof shot->last);
    memset(&shot->next, 0, sizeof shot->next);
    shot->last_count = 0;
}

static struct shot *free_shot(struct world *w) {
    for (uint32_t i = 0; i < SNAPSHOTS; i++) {
        if (!w->shots[i].snapshot) return &w->shots[i];
    }
    return NULL;
}

/* A snapshot, or two of the same instant, before the access has done anything. */
STROBE_INSIDE static void shoot_inside(struct world *w, struct strobe_access *access) {
    struct strobe_snapshot *snapshot = NULL, *twin = NULL;
    struct shot *shot = free_shot(w);
    enum strobe_status status;

    if (!shot) return;
    status = strobe_snapshot_open_inside(access, false, &snapshot);
    assert_true(status == STROBE_OK || (w->may_fail && status == STROBE_NO_MEMORY));
    if (status != STROBE_OK) return;
    assert_int_equal(strobe_access_now(access), w->now);
    shot_begin(w, shot, snapshot);
    shot = free_shot(w);
    if (!shot || below(w, 2)) return;
    status = strobe_snapshot_twin(snapshot, &twin);
    assert_true(status == STROBE_OK || (w->may_fail && status == STROBE_NO_MEMORY));
    if (status == STROBE_OK) shot_begin(w, shot, twin);
}

/* Looks, puts and erases under all locks, as EXEC does; with GARBAGE it holds the whole map, and a flush is in its
 * middle. */
STROBE_INSIDE static void work_inside(struct world *w, struct strobe_access *access, struct batch *batch,
                                      struct strobe_garbage *garbage) {
    for (uint32_t i = 0; i < batch->count; i++) {
        struct strobe_entry *old = NULL;
        enum strobe_status status;

        if (garbage && i == batch->count / 2) {
            strobe_flush_inside(access, garbage);
            memset(w->cells, 0, sizeof w->cells);
            assert_int_equal(strobe_count_inside(access), 0);
        }
        assert_is_as_model(w, access, &batch->key[i], batch->number[i]);
        if (below(w, 2)) {
            status = strobe_put(access, &batch->key[i], &batch->entry[i]);
            if (status == STROBE_OK) wrote(w, access, batch->number[i], &batch->key[i], &batch->cell[i]);
        } else {
            status = strobe_erase(access, &batch->key[i], &old);
            if (status != STROBE_NO_MEMORY) {
                assert_int_equal(status, cell_alive(&w->cells[batch->number[i]], w->now) ? STROBE_OK : STROBE_MISSING);
                w->cells[batch->number[i]].stamp = 0;
            }
            if (old) {
                strobe_entry_free(w->map, batch->entry[i]);
                batch->entry[i] = old;
            }
        }
        assert_true(status != STROBE_NO_MEMORY || w->may_fail);
    }
}

static void is_alive_in_model(void *context, const struct strobe_entry *entry) {
    struct world *w = context;
    uint32_t number = number_of(entry);

    assert_true(cell_alive(&w->cells[number], w->now));
    assert_entry(entry, &w->cells[number]);
}

static void step_transaction(struct world *w) {
    struct strobe_garbage *garbage = NULL;
    struct strobe_access access;
    struct batch batch;

    batch_make(w, &batch);
    if (below(w, 2000) == 0) {
        enum strobe_status status = strobe_flush_prepare(w->map, &garbage);

        assert_true(status == STROBE_OK || (w->may_fail && status == STROBE_NO_MEMORY));
    }
    strobe_map_tick(w->map);
    if (garbage)
        strobe_enter_all(w->map, &access);
    else
        strobe_enter_many(w->map, batch.key, batch.count, &access);
    if (below(w, 3) == 0) shoot_inside(w, &access);
    work_inside(w, &access, &batch, garbage);
    if (garbage) (void)strobe_random_inside(&access, rnd(w), is_alive_in_model, w);
    strobe_leave(&access);
    batch_free(w, &batch);
    strobe_garbage_free(garbage);
}

static void step_flush(struct world *w) {
    struct strobe_garbage *garbage;
    enum strobe_status status = strobe_flush(w->map, &garbage);

    if (status == STROBE_NO_MEMORY && w->may_fail) return;
    assert_int_equal(status, STROBE_OK);
    strobe_garbage_free(garbage);
    memset(w->cells, 0, sizeof w->cells);
}

/* ---- Snapshots --------------------------------------------------------------------------------- */

static void shot_open(struct world *w, struct shot *shot) {
    struct strobe_snapshot *snapshot = NULL;
    enum strobe_status status = strobe_snapshot_open(w->map, false, &snapshot);

    assert_true(status == STROBE_OK || (w->may_fail && status == STROBE_NO_MEMORY));
    if (status == STROBE_OK) shot_begin(w, shot, snapshot);
}

static void shot_close(struct shot *shot) {
    strobe_snapshot_close(shot->snapshot);
    free(shot->cells);
    free(shot->seen);
    memset(shot, 0, sizeof *shot);
}

/* One page: at most WANT entries. */
struct page {
    const struct shot *shot;
    uint32_t want, count;
    uint32_t number[PAGE_MAX];
};

static enum strobe_visit page_visit(void *context, const struct strobe_entry *entry) {
    struct page *page = context;
    uint32_t number = number_of(entry);

    if (page->count == page->want) return STROBE_VISIT_REFUSE;
    assert_true(number < KEYS);
    assert_true(cell_alive(&page->shot->cells[number], page->shot->time));
    assert_entry(entry, &page->shot->cells[number]);
    page->number[page->count++] = number;
    return page->count % 3 == 0 && page->count == page->want ? STROBE_VISIT_STOP : STROBE_VISIT_NEXT;
}

/* Reads on; may stop early for lack of memory, and says so. */
static bool shot_read(struct world *w, const struct shot *shot, struct strobe_position *position,
                      const struct strobe_position *until, struct page *page) {
    enum strobe_status status =
        strobe_snapshot_read(shot->snapshot, position, until, until ? 0 : 1 + below(w, 2000), page_visit, page);

    assert_true(status == STROBE_OK || (w->may_fail && status == STROBE_NO_MEMORY));
    return status == STROBE_OK;
}

static void shot_finish(struct shot *shot) {
    for (uint32_t i = 0; i < KEYS; i++) assert_int_equal(shot->seen[i], cell_alive(&shot->cells[i], shot->time));
    shot_close(shot);
}

static void shot_again(struct world *w, struct shot *shot) {
    struct strobe_position position = shot->last;
    struct page page = {.shot = shot, .want = PAGE_MAX};

    if (!shot_read(w, shot, &position, &shot->next, &page)) return;
    assert_int_equal(page.count, shot->last_count);
    assert_memory_equal(page.number, shot->last_page, page.count * sizeof page.number[0]);
    assert_memory_equal(&position, &shot->next, sizeof position);
}

static void shot_page(struct world *w, struct shot *shot) {
    struct strobe_position position = shot->next;
    struct page page = {.shot = shot, .want = below(w, 3) ? 10 : PAGE_MAX};

    (void)shot_read(w, shot, &position, NULL, &page);
    shot->last = shot->next;
    shot->next = position;
    shot->last_count = page.count;
    memcpy(shot->last_page, page.number, sizeof page.number);
    for (uint32_t i = 0; i < page.count; i++) {
        assert_int_equal(shot->seen[page.number[i]], 0);
        shot->seen[page.number[i]] = 1;
    }
    strobe_snapshot_forget(shot->snapshot, &shot->last);
    if (position.end && below(w, 2)) shot_again(w, shot);
    if (position.end) shot_finish(shot);
}

static void step_snapshot(struct world *w) {
    struct shot *shot = &w->shots[below(w, SNAPSHOTS)];
    uint32_t what = below(w, 100);

    if (!shot->snapshot) {
        if (what < 10) shot_open(w, shot);
        return;
    }
    if (what < 1)
        shot_close(shot); /* abandoned, anywhere */
    else if (what < 30)
        shot_again(w, shot);
    else
        shot_page(w, shot);
}

/* ---- The run ------------------------------------------------------------------------------------- */

/* Of a thousand steps, those below each bound do what it is named after; the map grows and shrinks in turn. */
struct shares {
    uint32_t set, del, get, mset, transaction, time, sweep, snapshot;
};

#define PHASE 25000u /* steps of growing or shrinking */

static void step(struct world *w) {
    static const struct shares growing = {420, 550, 650, 665, 685, 750, 800, 999};
    static const struct shares shrinking = {40, 640, 650, 653, 657, 720, 800, 999};
    const struct shares *shares = w->steps++ / PHASE % 2 ? &shrinking : &growing;
    uint32_t what = below(w, 1000);

    if (what < shares->set)
        (below(w, 2) ? step_set : step_set_copied)(w);
    else if (what < shares->del)
        step_del(w);
    else if (what < shares->get)
        (below(w, 2) ? step_get : step_get_copied)(w);
    else if (what < shares->mset)
        step_mset(w);
    else if (what < shares->transaction)
        step_transaction(w);
    else if (what < shares->time)
        w->now += below(w, 4);
    else if (what < shares->sweep)
        (void)strobe_sweep(w->map, &w->sweep_place, 1 + below(w, 4));
    else if (what < shares->snapshot || below(w, 60) != 0)
        step_snapshot(w);
    else
        step_flush(w);
    if (below(w, PHASE) == 0) w->window = 50 + below(w, KEYS - 50);
}

static void assert_all_as_model(struct world *w) {
    uint64_t alive = 0;
    char text[32];

    strobe_map_tick(w->map);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct strobe_key key = key_of(w, i, text);
        struct strobe_access access;

        strobe_enter(w->map, &key, &access);
        assert_is_as_model(w, &access, &key, i);
        strobe_leave(&access);
        alive += cell_alive(&w->cells[i], w->now);
    }
    for (unsigned i = 0; i < 4000; i++) (void)strobe_sweep(w->map, &w->sweep_place, 1);
    if (!w->may_fail) assert_int_equal(strobe_count(w->map), alive);
}

static void run(uint64_t steps, uint64_t seed, unsigned shards, unsigned fail_one_in) {
    struct world *w = calloc(1, sizeof *w);
    const uint64_t hash_seed[2] = {seed, shards}; /* so that a run can be had again */
    struct strobe_map_options options = {
        .shards = shards, .now_ms = world_now, .now_context = w, .seed = (const uint8_t *)hash_seed};
    struct strobe_stats stats;

    assert_non_null(w);
    print_message("seed %" PRIu64 ", %u shards, one allocation in %u fails\n", seed, shards, fail_one_in);
    checked_alloc_init(&w->memory);
    options.allocator = &w->memory.allocator;
    w->random = seed * 2 + 1;
    w->now = 1000;
    w->window = KEYS;
    assert_int_equal(strobe_map_new(&options, &w->map), STROBE_OK);
    w->memory.fail_one_in = fail_one_in;
    w->may_fail = fail_one_in != 0;
    for (uint64_t i = 0; i < steps; i++) {
        step(w);
        if (i % 100000 == 0) assert_all_as_model(w);
    }
    w->memory.fail_one_in = 0;
    for (uint32_t i = 0; i < SNAPSHOTS; i++) {
        if (w->shots[i].snapshot) shot_close(&w->shots[i]);
    }
    assert_all_as_model(w);
    strobe_map_stats(w->map, &stats);
    print_message("%" PRIu64 " splits, %" PRIu64 " merges, %" PRIu64 " resizes, %" PRIu64 " copies\n", stats.splits,
                  stats.merges, stats.resizes, stats.copies_made);
    assert_true(stats.splits > 0 && stats.merges > 0 && stats.resizes > 0 && stats.copies_made > 0);
    assert_int_equal(stats.copies, 0);
    assert_int_equal(stats.snapshots, 0);
    assert_int_equal(stats.snapshot_bytes, 0);
    strobe_map_free(w->map);
    assert_int_equal(w->memory.live, 0);
    assert_int_equal(w->memory.bytes, 0);
    free(w);
}

struct plan {
    uint64_t steps, seed;
};

static void test_map_is_as_the_model_says(void **state) {
    const struct plan *plan = *state;

    run(plan->steps / 2, plan->seed, 1, 0);
    run(plan->steps / 2, plan->seed + 1, 4, 0);
}

static void test_map_is_as_the_model_says_when_memory_fails(void **state) {
    const struct plan *plan = *state;

    run(plan->steps / 4, plan->seed + 2, 2, 50);
}

int main(int argc, char **argv) {
    struct plan plan = {argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000,
                        argc > 2 ? strtoull(argv[2], NULL, 10) : 20261122};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_map_is_as_the_model_says, &plan),
        cmocka_unit_test_prestate(test_map_is_as_the_model_says_when_memory_fails, &plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
