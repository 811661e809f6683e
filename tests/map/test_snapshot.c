/* test_snapshot.c - a snapshot shows the map of one instant, each key once, whatever happens to the map meanwhile; and
 * what it cost comes back. One thread; threads are in tests/stress/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/map/map_world.h"

#define IDLE_MS 5000u /* a snapshot that was read within this time is never closed for its memory */

static struct strobe_snapshot *shoot(struct map_world *w) {
    struct strobe_snapshot *snapshot = NULL;

    assert_int_equal(strobe_snapshot_open(w->map, false, &snapshot), STROBE_OK);
    return snapshot;
}

static void assert_no_snapshot_memory(struct map_world *w) {
    struct strobe_stats stats;

    map_world_stats(w, &stats);
    assert_int_equal(stats.copies, 0);
    assert_int_equal(stats.snapshot_bytes, 0);
}

static void flush(struct map_world *w) {
    struct strobe_garbage *garbage;

    assert_int_equal(strobe_flush(w->map, &garbage), STROBE_OK);
    strobe_garbage_free(garbage);
}

/* A snapshot and what it must show. */
struct shot {
    struct strobe_snapshot *snapshot;
    char *text;
};

static struct shot shot_open(struct map_world *w) {
    struct shot shot;

    shot.text = map_world_dump_now(w);
    shot.snapshot = shoot(w);
    return shot;
}

static void shot_check(const struct shot *shot) {
    char *text = map_world_dump(shot->snapshot);

    assert_string_equal(text, shot->text);
    free(text);
}

static void shot_close(struct shot *shot) {
    strobe_snapshot_close(shot->snapshot);
    free(shot->text);
}

/* ---- Exactness ------------------------------------------------------------------------------------ */

static void test_it_shows_what_was_and_not_what_came(void **state) {
    struct map_world w;
    struct shot shot;
    char *now;

    (void)state;
    map_world_open(&w, 4);
    map_world_set(&w, "stays", "1", 0);
    map_world_set(&w, "changes", "old", 0);
    map_world_set(&w, "goes", "x", 0);
    shot = shot_open(&w);
    map_world_set(&w, "changes", "new", 0);
    map_world_set(&w, "comes", "y", 0);
    map_world_del(&w, "goes");
    shot_check(&shot);
    shot_check(&shot); /* as often as one likes */
    now = map_world_dump_now(&w);
    assert_string_not_equal(now, shot.text);
    free(now);
    shot_close(&shot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_an_empty_map_is_an_empty_snapshot(void **state) {
    struct map_world w;
    struct shot shot;

    (void)state;
    map_world_open(&w, 64);
    shot = shot_open(&w);
    assert_string_equal(shot.text, "");
    map_world_fill(&w, "k", 1000);
    shot_check(&shot);
    shot_close(&shot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_snapshots_of_one_millisecond_differ(void **state) {
    struct map_world w;
    struct shot shots[50];
    char text[16];

    (void)state;
    map_world_open(&w, 2);
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        map_world_set(&w, "counter", text, 0);
        shots[i] = shot_open(&w);
        assert_int_equal(strobe_snapshot_time(shots[i].snapshot), w.now);
    }
    for (unsigned i = 0; i < 50; i++) shot_check(&shots[(i * 7) % 50]);
    for (unsigned i = 0; i < 50; i++) shot_close(&shots[(i * 11) % 50]);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_it_is_exact_over_splits(void **state) {
    struct map_world w;
    struct shot shot;
    struct strobe_stats stats;

    (void)state;
    map_world_open(&w, 1);
    map_world_fill(&w, "k", 400);
    shot = shot_open(&w);
    map_world_fill(&w, "n", 20000);
    map_world_stats(&w, &stats);
    assert_true(stats.splits > 20);
    shot_check(&shot);
    shot_close(&shot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_it_is_exact_over_merges(void **state) {
    struct map_world w;
    struct shot shot;
    struct strobe_stats stats;

    (void)state;
    map_world_open(&w, 1);
    map_world_fill(&w, "k", 20000);
    shot = shot_open(&w);
    map_world_drain(&w, "k", 20000);
    map_world_stats(&w, &stats);
    assert_true(stats.merges > 20);
    assert_int_equal(stats.segments, 1);
    shot_check(&shot);
    shot_close(&shot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

/* Pages of a scan between the waves of a map that grows and shrinks: each key once, with the value of the instant. */
static enum strobe_visit count_mine(void *context, const struct strobe_entry *entry) {
    unsigned char *seen = context;
    size_t len, value_len;
    const char *key = strobe_entry_key(entry, &len), *value = strobe_entry_value(entry, &value_len);
    char text[16] = {0};

    assert_int_equal(key[0], 'k');
    assert_int_equal(len, value_len);
    assert_memory_equal(key, value, len);
    assert_true(len < sizeof text);
    memcpy(text, key, len);
    seen[strtoul(text + 1, NULL, 10)]++;
    return STROBE_VISIT_NEXT;
}

static void test_pages_between_growth_and_shrinkage_show_each_key_once(void **state) {
    enum { MINE = 3000 };
    struct map_world w;
    struct strobe_snapshot *snapshot;
    struct strobe_position position = {0};
    unsigned char seen[MINE] = {0};
    unsigned waves = 0;

    (void)state;
    map_world_open(&w, 1);
    map_world_fill(&w, "k", MINE);
    snapshot = shoot(&w);
    while (!position.end) {
        if (++waves % 2)
            map_world_fill(&w, "other", 12000);
        else
            map_world_drain(&w, "other", 12000);
        assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 300, count_mine, seen), STROBE_OK);
        strobe_snapshot_forget(snapshot, &position);
        if (waves == 2) map_world_drain(&w, "k", MINE); /* from now on only the snapshot has them */
    }
    assert_true(waves > 4);
    for (unsigned i = 0; i < MINE; i++) assert_int_equal(seen[i], 1);
    strobe_snapshot_close(snapshot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_several_snapshots_are_exact_over_several_flushes(void **state) {
    enum { ROUNDS = 8 };
    struct map_world w;
    struct shot shots[2 * ROUNDS];
    char prefix[8];

    (void)state;
    map_world_open(&w, 4);
    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)snprintf(prefix, sizeof prefix, "r%u-", i);
        map_world_fill(&w, prefix, 500 + 700 * i);
        shots[2 * i] = shot_open(&w);
        map_world_set(&w, "last", prefix, 0);
        map_world_drain(&w, prefix, 300);
        shots[2 * i + 1] = shot_open(&w);
        map_world_set(&w, "unseen", prefix, 0);
        flush(&w);
        if (i % 2) flush(&w); /* and once more, of nothing */
        assert_int_equal(strobe_count(w.map), 0);
    }
    for (unsigned i = 0; i < 2 * ROUNDS; i++) shot_check(&shots[i]);
    for (unsigned i = 0; i < 2 * ROUNDS; i++) {
        shot_close(&shots[(i * 5) % (2 * ROUNDS)]);
        for (unsigned j = i + 1; j < 2 * ROUNDS; j++) shot_check(&shots[(j * 5) % (2 * ROUNDS)]);
    }
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_a_flush_in_the_middle_of_a_scan_is_not_seen(void **state) {
    enum { MINE = 5000 };
    struct map_world w;
    struct strobe_snapshot *snapshot;
    struct strobe_position position = {0};
    unsigned char seen[MINE] = {0};

    (void)state;
    map_world_open(&w, 2);
    map_world_fill(&w, "k", MINE);
    snapshot = shoot(&w);
    for (unsigned page = 0; !position.end; page++) {
        assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 700, count_mine, seen), STROBE_OK);
        strobe_snapshot_forget(snapshot, &position);
        if (page % 3 == 1) {
            flush(&w);
            map_world_fill(&w, "k", 1500);
            map_world_set(&w, "k1", "wrong", 0);
        }
    }
    for (unsigned i = 0; i < MINE; i++) assert_int_equal(seen[i], 1);
    strobe_snapshot_close(snapshot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_what_expires_later_stays_and_what_had_expired_is_not_shown(void **state) {
    struct map_world w;
    struct shot shot;
    uint64_t place = 0;

    (void)state;
    map_world_open(&w, 1);
    map_world_set(&w, "dead before", "x", w.now + 10);
    map_world_set(&w, "dead at", "x", w.now + 20);
    map_world_set(&w, "dead after", "x", w.now + 21);
    map_world_set(&w, "dead much later", "x", w.now + 5000);
    w.now += 20;
    shot = shot_open(&w);
    assert_null(strstr(shot.text, "dead before"));
    assert_null(strstr(shot.text, "dead at"));
    assert_non_null(strstr(shot.text, "dead after"));
    assert_non_null(strstr(shot.text, "dead much later"));
    w.now += 10000;
    strobe_map_tick(w.map);
    map_world_assert(&w, "dead after", NULL);
    shot_check(&shot);
    while (strobe_sweep(w.map, &place, 10) > 0)
        ;
    assert_int_equal(strobe_count(w.map), 0);
    shot_check(&shot);
    shot_close(&shot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_a_large_value_lives_as_long_as_its_snapshot(void **state) {
    struct map_world w;
    struct shot shot;
    char *value = malloc(100000);

    (void)state;
    assert_non_null(value);
    memset(value, 'v', 100000);
    map_world_open(&w, 1);
    assert_int_equal(strobe_set(w.map, "big", 3, value, 100000, 0), STROBE_OK);
    shot = shot_open(&w);
    memset(value, 'w', 100000);
    assert_int_equal(strobe_set(w.map, "big", 3, value, 100000, 0), STROBE_OK);
    shot_check(&shot);
    map_world_del(&w, "big");
    shot_check(&shot);
    shot_close(&shot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
    free(value);
}

/* ---- Reading in pieces ---------------------------------------------------------------------------- */

struct reader {
    char *text;
    size_t len, room;
    unsigned taken, stop_at, refuse_at;
};

static enum strobe_visit note_key(void *context, const struct strobe_entry *entry) {
    struct reader *r = context;
    size_t len;
    const char *key = strobe_entry_key(entry, &len);

    if (r->refuse_at && r->taken == r->refuse_at) return STROBE_VISIT_REFUSE;
    if (r->len + len + 2 > r->room) {
        r->room = 2 * (r->room + len + 2);
        r->text = realloc(r->text, r->room);
        assert_non_null(r->text);
    }
    memcpy(r->text + r->len, key, len);
    r->len += len;
    memcpy(r->text + r->len, "\n", 2);
    r->len++;
    r->taken++;
    return r->stop_at && r->taken == r->stop_at ? STROBE_VISIT_STOP : STROBE_VISIT_NEXT;
}

static char *whole(struct strobe_snapshot *snapshot) {
    struct strobe_position position = {0};
    struct reader r = {0};

    assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 0, note_key, &r), STROBE_OK);
    assert_int_equal(position.end, 1);
    return r.text;
}

static void test_any_budget_gives_the_same_entries_in_the_same_order(void **state) {
    static const size_t budgets[] = {1, 2, 63, 64, 500, 567, 568, 999, 10000};
    struct map_world w;
    struct strobe_snapshot *snapshot;
    char *expected;

    (void)state;
    map_world_open(&w, 4);
    map_world_fill(&w, "k", 3000);
    snapshot = shoot(&w);
    expected = whole(snapshot);
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        struct strobe_position position = {0};
        struct reader r = {0};
        unsigned calls = 0;

        for (; !position.end; calls++) {
            unsigned before = r.taken;

            assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, budgets[i], note_key, &r), STROBE_OK);
            assert_true(r.taken - before <= budgets[i]);
        }
        assert_string_equal(r.text, expected);
        free(r.text);
    }
    free(expected);
    strobe_snapshot_close(snapshot);
    map_world_close(&w);
}

static void test_stop_is_behind_and_refuse_before_the_entry(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshot;
    char *expected;

    (void)state;
    map_world_open(&w, 2);
    map_world_fill(&w, "k", 1500);
    snapshot = shoot(&w);
    expected = whole(snapshot);
    for (unsigned step = 1; step < 700; step = step * 3 + 1) {
        for (unsigned refuse = 0; refuse < 2; refuse++) {
            struct strobe_position position = {0};
            struct reader r = {0};

            while (!position.end) {
                r.stop_at = refuse ? 0 : r.taken + step;
                r.refuse_at = refuse ? r.taken + step : 0;
                assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 0, note_key, &r), STROBE_OK);
            }
            assert_string_equal(r.text, expected);
            free(r.text);
        }
    }
    free(expected);
    strobe_snapshot_close(snapshot);
    map_world_close(&w);
}

static void test_a_page_can_be_read_again_up_to_where_it_ended(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshot;
    struct strobe_position begin = {0}, end = {0};
    unsigned pages = 0;

    (void)state;
    map_world_open(&w, 2);
    map_world_fill(&w, "k", 4000);
    snapshot = shoot(&w);
    for (; !end.end; pages++) {
        struct reader first = {0}, again = {0};
        struct strobe_position position;

        begin = end;
        first.stop_at = 37;
        assert_int_equal(strobe_snapshot_read(snapshot, &end, NULL, 333, note_key, &first), STROBE_OK);
        strobe_snapshot_forget(snapshot, &begin);
        map_world_fill(&w, pages % 2 ? "k" : "n", 2000);
        if (pages % 5 == 4) map_world_drain(&w, "n", 2000);
        if (pages == 20) flush(&w);
        position = begin;
        assert_int_equal(strobe_snapshot_read(snapshot, &position, &end, 0, note_key, &again), STROBE_OK);
        assert_memory_equal(&position, &end, sizeof end);
        assert_int_equal(again.len, first.len);
        if (first.len) assert_string_equal(again.text, first.text);
        free(first.text);
        free(again.text);
        if (pages % 10 > 4) map_world_fill(&w, "n", 2000);
    }
    assert_true(pages > 40);
    strobe_snapshot_close(snapshot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_reading_up_to_the_start_reads_nothing(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshot;
    struct strobe_position position = {0}, start = {0};
    struct reader r = {0};

    (void)state;
    map_world_open(&w, 2);
    map_world_fill(&w, "k", 100);
    snapshot = shoot(&w);
    assert_int_equal(strobe_snapshot_read(snapshot, &position, &start, 0, note_key, &r), STROBE_OK);
    assert_int_equal(r.taken, 0);
    assert_memory_equal(&position, &start, sizeof start);
    strobe_snapshot_close(snapshot);
    map_world_close(&w);
}

struct eraser {
    struct map_world *w;
    unsigned erased;
};

static enum strobe_visit erase_it(void *context, const struct strobe_entry *entry) {
    struct eraser *eraser = context;
    size_t len, value_len;
    const char *key = strobe_entry_key(entry, &len);

    assert_int_equal(strobe_del(eraser->w->map, key, len), STROBE_OK);
    key = strobe_entry_key(entry, &len); /* still there for us */
    assert_memory_equal(key, strobe_entry_value(entry, &value_len), len);
    eraser->erased++;
    return STROBE_VISIT_NEXT;
}

static void test_erasing_while_iterating_meets_each_key_once_and_empties_the_map(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshot;
    struct strobe_position position = {0};
    struct eraser eraser = {.w = &w};

    (void)state;
    map_world_open(&w, 2);
    map_world_fill(&w, "k", 20000);
    snapshot = shoot(&w);
    assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 0, erase_it, &eraser), STROBE_OK);
    assert_int_equal(eraser.erased, 20000);
    assert_int_equal(strobe_count(w.map), 0);
    strobe_snapshot_close(snapshot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

/* ---- What it costs -------------------------------------------------------------------------------- */

static void test_opening_is_one_allocation_at_any_size(void **state) {
    struct map_world w;

    (void)state;
    map_world_open(&w, 64);
    for (unsigned i = 0; i < 3; i++) {
        struct strobe_snapshot *snapshot;
        size_t calls = w.memory.calls, live = w.memory.live;

        snapshot = shoot(&w);
        assert_int_equal(w.memory.calls, calls + 1);
        strobe_snapshot_close(snapshot);
        assert_int_equal(w.memory.live, live);
        map_world_fill(&w, "k", 30000);
    }
    map_world_close(&w);
}

static void test_memory_is_at_most_a_copy_per_segment_and_what_was_replaced(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshot;
    struct strobe_stats before, once, thrice;
    uint64_t replaced;

    (void)state;
    map_world_open(&w, 4);
    map_world_fill(&w, "k", 20000);
    map_world_stats(&w, &before);
    /* Entries lie at multiples of 16 bytes, in chunks of a KiB of which 16 bytes are theirs. */
    replaced = (before.entry_bytes + before.entries * 15) * 1024 / 1008;
    snapshot = shoot(&w);
    map_world_fill(&w, "k", 20000);
    map_world_stats(&w, &once);
    assert_int_equal(once.copies, before.segments);
    assert_true(once.snapshot_bytes >= before.entry_bytes + before.segments * 4096);
    assert_true(once.snapshot_bytes <= replaced + before.segments * (6144 + 256 + 1024));
    map_world_fill(&w, "k", 20000);
    map_world_fill(&w, "n", 20000); /* and splits */
    map_world_fill(&w, "k", 20000);
    map_world_stats(&w, &thrice);
    assert_int_equal(thrice.copies, once.copies);
    assert_int_equal(thrice.snapshot_bytes, once.snapshot_bytes);
    strobe_snapshot_close(snapshot);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_many_snapshots_without_writes_between_share_one_copy(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshots[100];
    struct strobe_stats before, after;

    (void)state;
    map_world_open(&w, 1);
    map_world_fill(&w, "k", 10000);
    map_world_stats(&w, &before);
    for (unsigned i = 0; i < 100; i++) snapshots[i] = shoot(&w);
    map_world_fill(&w, "k", 10000);
    map_world_stats(&w, &after);
    assert_int_equal(after.copies, before.segments);
    for (unsigned i = 0; i < 100; i++) strobe_snapshot_close(snapshots[(i * 37) % 100]);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_forgetting_gives_memory_back_on_the_way(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshot;
    struct strobe_position position = {0};
    struct strobe_stats stats;
    uint64_t last = UINT64_MAX;

    (void)state;
    map_world_open(&w, 4);
    map_world_fill(&w, "k", 20000);
    snapshot = shoot(&w);
    map_world_fill(&w, "k", 20000);
    while (!position.end) {
        struct reader r = {0};

        assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 5000, note_key, &r), STROBE_OK);
        free(r.text);
        strobe_snapshot_forget(snapshot, &position);
        map_world_stats(&w, &stats);
        assert_true(stats.copies < last);
        last = stats.copies;
    }
    assert_no_snapshot_memory(&w); /* before it is closed */
    map_world_fill(&w, "k", 20000);
    assert_no_snapshot_memory(&w); /* nothing is kept for it any more */
    strobe_snapshot_close(snapshot);
    map_world_close(&w);
}

/* Copies that own more than one hold of the lock may hand on (REAP_BUDGET), some of it to an older copy. */
static void test_forgetting_large_copies_leaves_none_of_them_behind(void **state) {
    struct map_world w;
    struct strobe_snapshot *older, *newer;
    struct strobe_position end = {.end = true};
    struct strobe_stats one, both, after;

    (void)state;
    map_world_open(&w, 2);
    map_world_fill(&w, "k", 20000);
    older = shoot(&w);
    map_world_fill(&w, "k", 10000);
    map_world_stats(&w, &one);
    newer = shoot(&w);
    map_world_fill(&w, "k", 20000);
    map_world_stats(&w, &both);
    assert_int_equal(both.copies, 2 * one.copies);
    assert_true(one.copies < 20000 / 128); /* so each has more */
    strobe_snapshot_forget(newer, &end);
    map_world_stats(&w, &after);
    assert_int_equal(after.copies, one.copies);
    assert_true(after.snapshot_bytes > one.snapshot_bytes); /* the older got what it names */
    strobe_snapshot_close(older);
    assert_no_snapshot_memory(&w);
    strobe_snapshot_close(newer);
    map_world_close(&w);
}

static void test_a_forgotten_flushed_table_is_given_back_shard_by_shard(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshot;
    struct strobe_position position = {0};
    struct strobe_stats stats, last;

    (void)state;
    map_world_open(&w, 8);
    map_world_fill(&w, "k", 20000);
    snapshot = shoot(&w);
    map_world_fill(&w, "k", 5000);
    flush(&w);
    map_world_stats(&w, &last);
    assert_true(last.snapshot_bytes > 0);
    while (!position.end) {
        struct reader r = {0};

        assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 6000, note_key, &r), STROBE_OK);
        free(r.text);
        strobe_snapshot_forget(snapshot, &position);
        map_world_stats(&w, &stats);
        assert_true(stats.snapshot_bytes < last.snapshot_bytes);
        last = stats;
    }
    assert_no_snapshot_memory(&w);
    strobe_snapshot_close(snapshot);
    map_world_close(&w);
}

/* All orders of closing four snapshots between which everything was written. */
static void close_in_order(unsigned order) {
    struct map_world w;
    struct shot shots[4];
    bool open[4] = {true, true, true, true};

    map_world_open(&w, 1);
    map_world_fill(&w, "k", 700);
    for (unsigned i = 0; i < 4; i++) {
        shots[i] = shot_open(&w);
        map_world_fill(&w, "k", i == 2 ? 100 : 700);
        if (i == 1) map_world_drain(&w, "k", 650);
    }
    for (unsigned left = 4; left > 0; left--) {
        unsigned which = order % left;

        order /= left;
        for (unsigned i = 0; i < 4; i++) {
            if (open[i] && which-- == 0) {
                shot_close(&shots[i]);
                open[i] = false;
            }
        }
        for (unsigned i = 0; i < 4; i++) {
            if (open[i]) shot_check(&shots[i]);
        }
    }
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_any_order_of_closing_frees_everything_and_harms_nobody(void **state) {
    (void)state;
    for (unsigned order = 0; order < 24; order++) close_in_order(order);
}

/* ---- Limits --------------------------------------------------------------------------------------- */

static void map_with_limits(struct map_world *w, unsigned max_snapshots, uint64_t memory) {
    map_world_open_with(
        w, (struct strobe_map_options){.shards = 1, .max_snapshots = max_snapshots, .snapshot_memory = memory});
    map_world_fill(w, "k", 10000);
}

static enum strobe_status read_one(struct strobe_snapshot *snapshot) {
    struct strobe_position position = {0};
    struct reader r = {.stop_at = 1};
    enum strobe_status status = strobe_snapshot_read(snapshot, &position, NULL, 0, note_key, &r);

    free(r.text);
    return status;
}

static uint64_t revoked(struct map_world *w) {
    struct strobe_stats stats;

    map_world_stats(w, &stats);
    return stats.revoked;
}

static void test_too_many_are_refused_while_all_are_in_use(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshots[4], *kept, *refused = NULL;

    (void)state;
    map_with_limits(&w, 4, 0);
    for (unsigned i = 0; i < 4; i++) snapshots[i] = shoot(&w);
    assert_int_equal(strobe_snapshot_open(w.map, false, &refused), STROBE_TOO_MANY);
    assert_null(refused);
    w.now += IDLE_MS - 1;
    assert_int_equal(strobe_snapshot_open(w.map, false, &refused), STROBE_TOO_MANY);
    assert_int_equal(strobe_snapshot_open(w.map, true, &kept), STROBE_OK); /* one that must be had is */
    for (unsigned i = 0; i < 4; i++) assert_int_equal(read_one(snapshots[i]), STROBE_OK);
    assert_int_equal(revoked(&w), 0);
    strobe_snapshot_close(kept);
    for (unsigned i = 0; i < 4; i++) strobe_snapshot_close(snapshots[i]);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_one_too_many_closes_the_one_that_is_idle_longest(void **state) {
    struct map_world w;
    struct strobe_snapshot *a, *b, *c, *d;

    (void)state;
    map_with_limits(&w, 3, 0);
    a = shoot(&w);
    w.now += 10;
    b = shoot(&w);
    w.now += 10;
    c = shoot(&w);
    w.now += 10;
    strobe_map_tick(w.map);
    assert_int_equal(read_one(a), STROBE_OK); /* now b is the one */
    w.now += IDLE_MS;
    strobe_map_tick(w.map);
    d = shoot(&w);
    assert_int_equal(revoked(&w), 1);
    assert_int_equal(read_one(b), STROBE_CLOSED);
    assert_int_equal(read_one(a), STROBE_OK);
    assert_int_equal(read_one(c), STROBE_OK);
    strobe_snapshot_close(a);
    strobe_snapshot_close(b);
    strobe_snapshot_close(c);
    strobe_snapshot_close(d);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_a_finished_one_is_closed_before_one_that_is_idle(void **state) {
    struct map_world w;
    struct strobe_snapshot *idle, *finished, *third;

    (void)state;
    map_with_limits(&w, 2, 0);
    idle = shoot(&w);
    w.now += 2 * IDLE_MS;
    strobe_map_tick(w.map);
    finished = shoot(&w);
    free(whole(finished));
    third = shoot(&w);
    assert_int_equal(read_one(finished), STROBE_CLOSED);
    assert_int_equal(read_one(idle), STROBE_OK);
    strobe_snapshot_close(idle);
    strobe_snapshot_close(finished);
    strobe_snapshot_close(third);
    map_world_close(&w);
}

static void test_over_the_memory_limit_an_idle_one_is_closed_and_its_memory_comes_back(void **state) {
    struct map_world w;
    struct strobe_snapshot *idle, *kept;
    struct strobe_stats stats;

    (void)state;
    map_with_limits(&w, 0, 100000);
    idle = shoot(&w);
    w.now += IDLE_MS;
    assert_false(strobe_map_owes(w.map));
    map_world_fill(&w, "k", 10000);
    map_world_stats(&w, &stats);
    assert_int_equal(stats.revoked, 1);
    assert_int_equal(stats.snapshots, 0);
    assert_true(stats.copies > 0 && stats.copies <= 100000 / 4096 + 1); /* and then no more were made */
    assert_true(strobe_map_owes(w.map));
    strobe_map_maintain(w.map);
    assert_false(strobe_map_owes(w.map));
    assert_no_snapshot_memory(&w);
    assert_int_equal(read_one(idle), STROBE_CLOSED);
    assert_int_equal(strobe_snapshot_open(w.map, true, &kept), STROBE_OK);
    w.now += 10 * IDLE_MS;
    map_world_fill(&w, "k", 10000);
    map_world_stats(&w, &stats);
    assert_int_equal(stats.revoked, 1); /* one to be kept is kept, whatever it takes */
    assert_true(stats.snapshot_bytes > 100000);
    assert_int_equal(read_one(kept), STROBE_OK);
    strobe_snapshot_close(idle);
    strobe_snapshot_close(kept);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_over_the_memory_limit_one_in_use_stays_and_no_more_are_opened(void **state) {
    struct map_world w;
    struct strobe_snapshot *active, *refused = NULL;

    (void)state;
    map_with_limits(&w, 0, 100000);
    active = shoot(&w);
    map_world_fill(&w, "k", 10000);
    w.now += IDLE_MS - 1;
    strobe_map_tick(w.map);
    assert_int_equal(revoked(&w), 0);
    assert_int_equal(strobe_snapshot_open(w.map, false, &refused), STROBE_TOO_MANY);
    assert_int_equal(read_one(active), STROBE_OK);
    w.now += IDLE_MS - 1;
    strobe_map_tick(w.map);
    map_world_fill(&w, "k", 10000);
    assert_int_equal(revoked(&w), 0);
    strobe_snapshot_close(active);
    assert_no_snapshot_memory(&w);
    active = shoot(&w);
    strobe_snapshot_close(active);
    map_world_close(&w);
}

static void test_without_memory_for_a_copy_idle_ones_that_need_it_are_closed(void **state) {
    struct map_world w;
    struct strobe_snapshot *has, *idle, *busy;

    (void)state;
    map_world_open(&w, 1);
    map_world_fill(&w, "k", 100);
    idle = shoot(&w);
    w.memory.fail_at = w.memory.calls + 1;
    assert_int_equal(map_world_del(&w, "k1"), STROBE_NO_MEMORY);
    w.now += IDLE_MS - 1;
    w.memory.fail_at = w.memory.calls + 1;
    assert_int_equal(map_world_del(&w, "k1"), STROBE_NO_MEMORY);
    assert_int_equal(w.memory.calls, w.memory.fail_at);
    map_world_assert(&w, "k1", "k1");

    w.now += 1;
    w.memory.fail_at = w.memory.calls + 1;
    assert_int_equal(map_world_del(&w, "k1"), STROBE_OK);
    assert_int_equal(w.memory.calls, w.memory.fail_at);
    map_world_assert(&w, "k1", NULL);
    assert_int_equal(read_one(idle), STROBE_CLOSED);
    strobe_snapshot_close(idle);

    /* Not one that has its copy, nor any where another that needs the new copy is in use. */
    has = shoot(&w);
    assert_int_equal(map_world_del(&w, "k2"), STROBE_OK);
    idle = shoot(&w);
    w.now += IDLE_MS;
    strobe_map_tick(w.map);
    busy = shoot(&w);
    w.memory.fail_at = w.memory.calls + 1;
    assert_int_equal(map_world_del(&w, "k3"), STROBE_NO_MEMORY);
    assert_int_equal(w.memory.calls, w.memory.fail_at);
    strobe_snapshot_close(busy);
    w.memory.fail_at = w.memory.calls + 1;
    assert_int_equal(map_world_del(&w, "k3"), STROBE_OK);
    assert_int_equal(w.memory.calls, w.memory.fail_at);
    w.memory.fail_at = 0;
    assert_int_equal(read_one(idle), STROBE_CLOSED);
    assert_int_equal(read_one(has), STROBE_OK);
    strobe_snapshot_close(idle);
    strobe_snapshot_close(has);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_a_flush_over_the_memory_limit_closes_an_idle_snapshot(void **state) {
    struct map_world w;
    struct strobe_snapshot *idle;

    (void)state;
    map_with_limits(&w, 0, 100000);
    idle = shoot(&w);
    w.now += IDLE_MS;
    strobe_map_tick(w.map);
    flush(&w);
    assert_int_equal(revoked(&w), 1);
    strobe_map_maintain(w.map);
    assert_no_snapshot_memory(&w);
    assert_int_equal(read_one(idle), STROBE_CLOSED);
    strobe_snapshot_close(idle);
    map_world_close(&w);
}

static void test_no_second_one_is_closed_while_the_memory_of_the_first_waits(void **state) {
    enum { LIMIT = 400000 };
    struct map_world w;
    struct strobe_snapshot *all[3];
    struct strobe_stats stats;
    char key[16];

    (void)state;
    map_with_limits(&w, 0, LIMIT);
    map_world_fill(&w, "l", 100000);
    all[0] = shoot(&w);
    stats.snapshot_bytes = 0;
    for (unsigned i = 0; stats.snapshot_bytes < LIMIT - LIMIT / 10; i++) {
        (void)snprintf(key, sizeof key, "l%u", i);
        assert_int_equal(map_world_set(&w, key, "new", 0), STROBE_OK);
        map_world_stats(&w, &stats);
    }
    w.now++;
    strobe_map_tick(w.map);
    all[1] = shoot(&w);
    w.now += IDLE_MS;
    strobe_map_tick(w.map);
    for (unsigned i = 0; revoked(&w) == 0; i++) {
        (void)snprintf(key, sizeof key, "l%u", i);
        assert_int_equal(map_world_set(&w, key, "newer", 0), STROBE_OK);
    }
    map_world_fill(&w, "new", 10); /* over the limit, too */
    strobe_map_enforce(w.map);
    all[2] = shoot(&w);
    strobe_map_maintain(w.map);
    map_world_stats(&w, &stats);
    assert_int_equal(stats.revoked, 1);
    assert_true(stats.snapshot_bytes > 0 && stats.snapshot_bytes < LIMIT / 2);
    assert_int_equal(read_one(all[0]), STROBE_CLOSED);
    assert_int_equal(read_one(all[1]), STROBE_OK);
    assert_int_equal(read_one(all[2]), STROBE_OK);
    strobe_snapshot_close_many(all, 3);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_idle_ones_that_need_the_same_copies_are_all_closed_until_the_limit_is_kept(void **state) {
    struct map_world w;
    struct strobe_snapshot *idle[3], *active;

    (void)state;
    map_with_limits(&w, 0, 100000);
    for (unsigned i = 0; i < 3; i++) idle[i] = shoot(&w);
    w.now += IDLE_MS;
    strobe_map_tick(w.map);
    active = shoot(&w);
    map_world_fill(&w, "k", 10000);
    assert_int_equal(revoked(&w), 1); /* nothing came back of it, as the others have the same copies */
    strobe_map_maintain(w.map);
    assert_int_equal(revoked(&w), 3);
    assert_false(strobe_map_owes(w.map));
    assert_int_equal(read_one(active), STROBE_OK);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(read_one(idle[i]), STROBE_CLOSED);
    strobe_snapshot_close_many(idle, 3);
    strobe_snapshot_close(active);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_a_flush_over_the_memory_limit_closes_those_in_use_too_but_not_one_to_be_kept(void **state) {
    struct map_world w;
    struct strobe_snapshot *active[3], *kept;

    (void)state;
    map_with_limits(&w, 0, 100000);
    for (unsigned i = 0; i < 3; i++) active[i] = shoot(&w);
    flush(&w);
    assert_int_equal(revoked(&w), 3);
    strobe_map_maintain(w.map);
    assert_no_snapshot_memory(&w);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(read_one(active[i]), STROBE_CLOSED);
    strobe_snapshot_close_many(active, 3);
    map_world_fill(&w, "k", 10000);
    assert_int_equal(strobe_snapshot_open(w.map, true, &kept), STROBE_OK);
    flush(&w);
    assert_int_equal(read_one(kept), STROBE_OK);
    strobe_snapshot_close(kept);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_one_that_was_in_use_when_the_limit_was_passed_is_closed_when_it_is_idle(void **state) {
    struct map_world w;
    struct strobe_snapshot *active;

    (void)state;
    map_with_limits(&w, 0, 100000);
    active = shoot(&w);
    map_world_fill(&w, "k", 10000);
    w.now += IDLE_MS - 1;
    strobe_map_maintain(w.map);
    assert_int_equal(revoked(&w), 0);
    w.now++; /* and nobody writes */
    strobe_map_enforce(w.map);
    assert_int_equal(revoked(&w), 1);
    assert_true(strobe_map_owes(w.map));
    strobe_map_maintain(w.map);
    assert_no_snapshot_memory(&w);
    strobe_snapshot_close(active);
    map_world_close(&w);
}

/* Of five, with writes in between, the second and fourth are closed together, then the others. */
static void test_those_closed_together_give_back_what_no_other_needs(void **state) {
    struct map_world w;
    struct strobe_snapshot *all[5], *two[2], *three[3];

    (void)state;
    map_world_open(&w, 1);
    map_world_fill(&w, "k", 3000);
    for (unsigned i = 0; i < 5; i++) {
        all[i] = shoot(&w);
        map_world_fill(&w, "k", 3000);
        map_world_fill(&w, i % 2 ? "odd" : "even", 3000);
    }
    two[0] = all[3];
    two[1] = all[1];
    three[0] = all[0];
    three[1] = all[2];
    three[2] = all[4];
    strobe_snapshot_close_many(two, 2);
    for (unsigned i = 0; i < 3; i++) {
        char *text = whole(three[i]);
        assert_int_equal(strstr(text, "even") != NULL, i > 0);
        assert_int_equal(strstr(text, "odd") != NULL, i > 0);
        free(text);
    }
    strobe_snapshot_close_many(NULL, 0);
    strobe_snapshot_close_many(three, 3);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

/* Its visitor takes ten seconds, in which the map is written and flushed over the limit. */
struct slow_reader {
    struct map_world *w;
    unsigned met;
    bool flush_first;
};

static enum strobe_visit be_slow(void *context, const struct strobe_entry *entry) {
    struct slow_reader *slow = context;
    size_t len, value_len;
    const char *key = strobe_entry_key(entry, &len);

    if (slow->met++ == 0) {
        slow->w->now += 2 * IDLE_MS;
        strobe_map_tick(slow->w->map);
        if (slow->flush_first) flush(slow->w);
        map_world_fill(slow->w, "k", 10000);
        map_world_fill(slow->w, "k", 10000);
        strobe_map_maintain(slow->w->map);
        flush(slow->w);
        map_world_fill(slow->w, "other", 100);
    }
    assert_memory_equal(key, strobe_entry_value(entry, &value_len), len); /* what is being read stays */
    return STROBE_VISIT_NEXT;
}

static void revoke_while_reading(bool flush_first, unsigned others) {
    struct map_world w;
    struct strobe_snapshot *snapshot, *other[2];
    struct strobe_position position = {0};
    struct slow_reader slow = {.w = &w, .flush_first = flush_first};

    map_with_limits(&w, 0, 200000);
    for (unsigned i = 0; i < others; i++) assert_int_equal(strobe_snapshot_open(w.map, true, &other[i]), STROBE_OK);
    snapshot = shoot(&w);
    assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 0, be_slow, &slow), STROBE_CLOSED);
    assert_true(slow.met > 0 && slow.met < 10000);
    assert_int_equal(revoked(&w), 1);
    strobe_map_maintain(w.map);
    if (others == 0) assert_no_snapshot_memory(&w);
    flush(&w);
    strobe_snapshot_close(snapshot);
    for (unsigned i = 0; i < others; i++) strobe_snapshot_close(other[i]);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_one_closed_while_it_is_read_and_the_map_is_flushed_gives_everything_back(void **state) {
    (void)state;
    revoke_while_reading(false, 0);
    revoke_while_reading(true, 0);
    revoke_while_reading(false, 2);
    revoke_while_reading(true, 2);
}

static void test_a_closed_one_may_forget_and_close(void **state) {
    struct map_world w;
    struct strobe_snapshot *idle;
    struct strobe_position position = {0};
    struct reader r = {.stop_at = 3000};

    (void)state;
    map_with_limits(&w, 0, 100000);
    idle = shoot(&w);
    assert_int_equal(strobe_snapshot_read(idle, &position, NULL, 0, note_key, &r), STROBE_OK);
    free(r.text);
    w.now += IDLE_MS;
    map_world_fill(&w, "k", 10000);
    map_world_drain(&w, "k", 10000);
    assert_int_equal(revoked(&w), 1);
    strobe_snapshot_forget(idle, &position);
    assert_int_equal(strobe_snapshot_read(idle, &position, NULL, 0, note_key, &r), STROBE_CLOSED);
    strobe_snapshot_close(idle);
    assert_no_snapshot_memory(&w); /* also without strobe_map_maintain */
    map_world_close(&w);
}

/* ---- Inside of an access ------------------------------------------------------------------------ */

static void put_inside(struct map_world *w, struct strobe_access *access, const struct strobe_key *key,
                       const char *value, struct strobe_entry **old) STROBE_INSIDE;

static void put_inside(struct map_world *w, struct strobe_access *access, const struct strobe_key *key,
                       const char *value, struct strobe_entry **old) {
    *old = map_world_entry(w, key, value, 0);
    assert_int_equal(strobe_put(access, key, old), STROBE_OK);
}

static void test_one_opened_inside_shows_what_was_before_the_first_change(void **state) {
    enum { MINE = 3000 };
    struct map_world w;
    struct strobe_access access;
    struct strobe_key keys[2];
    struct strobe_entry *old[3] = {NULL, NULL, NULL};
    struct shot before = {0}, after;

    (void)state;
    map_world_open(&w, 4);
    map_world_fill(&w, "k", MINE);
    keys[0] = map_world_key(&w, "k7");
    keys[1] = map_world_key(&w, "new");
    before.text = map_world_dump_now(&w);
    strobe_enter_many(w.map, keys, 2, &access);
    assert_int_equal(strobe_snapshot_open_inside(&access, false, &before.snapshot), STROBE_OK);
    put_inside(&w, &access, &keys[0], "changed", &old[0]);
    put_inside(&w, &access, &keys[1], "there", &old[1]);
    assert_int_equal(strobe_erase(&access, &keys[0], &old[2]), STROBE_OK);
    strobe_leave(&access);
    for (unsigned i = 0; i < 3; i++) strobe_entry_free(w.map, old[i]);
    after = shot_open(&w);
    map_world_set(&w, "k7", "again", 0);
    map_world_drain(&w, "k", MINE);
    shot_check(&before);
    shot_check(&after);
    shot_close(&before);
    shot_check(&after);
    shot_close(&after);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_the_access_moves_to_the_instant_of_what_it_opens(void **state) {
    struct map_world w;
    struct strobe_access access;
    struct strobe_key key;
    struct strobe_snapshot *snapshot, *twin;
    char *text;

    (void)state;
    map_world_open(&w, 1);
    map_world_set(&w, "dies", "x", w.now + 5);
    (void)strobe_map_tick(w.map);
    key = map_world_key(&w, "dies");
    strobe_enter(w.map, &key, &access);
    assert_non_null(strobe_find(&access, &key));
    w.now += 5;
    assert_int_equal(strobe_snapshot_open_inside(&access, false, &snapshot), STROBE_OK);
    assert_int_equal(strobe_access_now(&access), w.now);
    assert_null(strobe_find(&access, &key));
    w.now += 5;
    assert_int_equal(strobe_snapshot_twin(snapshot, &twin), STROBE_OK);
    strobe_leave(&access);
    assert_int_equal(strobe_snapshot_time(snapshot), strobe_access_now(&access));
    assert_int_equal(strobe_snapshot_time(twin), strobe_snapshot_time(snapshot));
    text = map_world_dump(twin);
    assert_string_equal(text, "");
    free(text);
    strobe_snapshot_close(snapshot);
    strobe_snapshot_close(twin);
    map_world_close(&w);
}

static void test_twins_are_read_forgotten_and_closed_each_by_itself(void **state) {
    enum { MINE = 3000 };
    struct map_world w;
    struct shot shot, younger;
    struct strobe_snapshot *twin;
    char *text;

    (void)state;
    map_world_open(&w, 2);
    map_world_fill(&w, "k", MINE);
    shot = shot_open(&w);
    younger = shot_open(&w);
    assert_int_equal(strobe_snapshot_twin(shot.snapshot, &twin), STROBE_OK);
    map_world_drain(&w, "k", MINE);
    flush(&w);
    shot_check(&shot);
    strobe_snapshot_close(shot.snapshot);
    map_world_fill(&w, "n", MINE);
    text = map_world_dump(twin);
    assert_string_equal(text, shot.text);
    free(text);
    strobe_snapshot_close(twin);
    free(shot.text);
    shot_check(&younger);
    shot_close(&younger);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

static void test_one_that_was_closed_for_room_has_no_twin(void **state) {
    struct map_world w;
    struct strobe_snapshot *old, *others[2], *twin;

    (void)state;
    map_with_limits(&w, 2, 0);
    old = shoot(&w);
    others[0] = shoot(&w);
    assert_int_equal(strobe_snapshot_twin(old, &twin), STROBE_TOO_MANY);
    w.now += IDLE_MS;
    (void)strobe_map_tick(w.map);
    others[1] = shoot(&w);
    assert_int_equal(strobe_snapshot_twin(old, &twin), STROBE_CLOSED);
    strobe_snapshot_close(old);
    strobe_snapshot_close(others[0]);
    strobe_snapshot_close(others[1]);
    map_world_close(&w);
}

static void test_a_flush_inside_is_between_what_was_done_before_and_after_it(void **state) {
    enum { MINE = 3000 };
    struct map_world w;
    struct strobe_access access;
    struct strobe_key key;
    struct strobe_garbage *garbage[2];
    struct strobe_entry *old[2];
    struct shot outside, inside = {0};

    (void)state;
    map_world_open(&w, 4);
    map_world_fill(&w, "k", MINE);
    outside = shot_open(&w);
    inside.text = map_world_dump_now(&w);
    key = map_world_key(&w, "k7");
    for (unsigned i = 0; i < 2; i++) assert_int_equal(strobe_flush_prepare(w.map, &garbage[i]), STROBE_OK);
    strobe_enter_all(w.map, &access);
    assert_int_equal(strobe_snapshot_open_inside(&access, false, &inside.snapshot), STROBE_OK);
    put_inside(&w, &access, &key, "gone again", &old[0]);
    assert_int_equal(strobe_count_inside(&access), MINE);
    strobe_flush_inside(&access, garbage[0]);
    assert_int_equal(strobe_count_inside(&access), 0);
    assert_null(strobe_find(&access, &key));
    put_inside(&w, &access, &key, "stays", &old[1]);
    assert_int_equal(strobe_count_inside(&access), 1);
    strobe_leave(&access);
    strobe_entry_free(w.map, old[0]);
    strobe_entry_free(w.map, old[1]);
    strobe_garbage_free(garbage[0]);
    strobe_garbage_free(garbage[1]); /* never used */
    map_world_assert(&w, "k7", "stays");
    assert_int_equal(strobe_count(w.map), 1);
    shot_check(&outside);
    shot_check(&inside);
    shot_close(&outside);
    shot_check(&inside);
    shot_close(&inside);
    assert_no_snapshot_memory(&w);
    map_world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_shows_what_was_and_not_what_came),
        cmocka_unit_test(test_an_empty_map_is_an_empty_snapshot),
        cmocka_unit_test(test_snapshots_of_one_millisecond_differ),
        cmocka_unit_test(test_it_is_exact_over_splits),
        cmocka_unit_test(test_it_is_exact_over_merges),
        cmocka_unit_test(test_pages_between_growth_and_shrinkage_show_each_key_once),
        cmocka_unit_test(test_several_snapshots_are_exact_over_several_flushes),
        cmocka_unit_test(test_a_flush_in_the_middle_of_a_scan_is_not_seen),
        cmocka_unit_test(test_what_expires_later_stays_and_what_had_expired_is_not_shown),
        cmocka_unit_test(test_a_large_value_lives_as_long_as_its_snapshot),
        cmocka_unit_test(test_any_budget_gives_the_same_entries_in_the_same_order),
        cmocka_unit_test(test_stop_is_behind_and_refuse_before_the_entry),
        cmocka_unit_test(test_a_page_can_be_read_again_up_to_where_it_ended),
        cmocka_unit_test(test_reading_up_to_the_start_reads_nothing),
        cmocka_unit_test(test_erasing_while_iterating_meets_each_key_once_and_empties_the_map),
        cmocka_unit_test(test_opening_is_one_allocation_at_any_size),
        cmocka_unit_test(test_memory_is_at_most_a_copy_per_segment_and_what_was_replaced),
        cmocka_unit_test(test_many_snapshots_without_writes_between_share_one_copy),
        cmocka_unit_test(test_forgetting_gives_memory_back_on_the_way),
        cmocka_unit_test(test_forgetting_large_copies_leaves_none_of_them_behind),
        cmocka_unit_test(test_a_forgotten_flushed_table_is_given_back_shard_by_shard),
        cmocka_unit_test(test_any_order_of_closing_frees_everything_and_harms_nobody),
        cmocka_unit_test(test_too_many_are_refused_while_all_are_in_use),
        cmocka_unit_test(test_one_too_many_closes_the_one_that_is_idle_longest),
        cmocka_unit_test(test_a_finished_one_is_closed_before_one_that_is_idle),
        cmocka_unit_test(test_over_the_memory_limit_an_idle_one_is_closed_and_its_memory_comes_back),
        cmocka_unit_test(test_over_the_memory_limit_one_in_use_stays_and_no_more_are_opened),
        cmocka_unit_test(test_without_memory_for_a_copy_idle_ones_that_need_it_are_closed),
        cmocka_unit_test(test_a_flush_over_the_memory_limit_closes_an_idle_snapshot),
        cmocka_unit_test(test_no_second_one_is_closed_while_the_memory_of_the_first_waits),
        cmocka_unit_test(test_idle_ones_that_need_the_same_copies_are_all_closed_until_the_limit_is_kept),
        cmocka_unit_test(test_a_flush_over_the_memory_limit_closes_those_in_use_too_but_not_one_to_be_kept),
        cmocka_unit_test(test_one_that_was_in_use_when_the_limit_was_passed_is_closed_when_it_is_idle),
        cmocka_unit_test(test_those_closed_together_give_back_what_no_other_needs),
        cmocka_unit_test(test_one_closed_while_it_is_read_and_the_map_is_flushed_gives_everything_back),
        cmocka_unit_test(test_a_closed_one_may_forget_and_close),
        cmocka_unit_test(test_one_opened_inside_shows_what_was_before_the_first_change),
        cmocka_unit_test(test_the_access_moves_to_the_instant_of_what_it_opens),
        cmocka_unit_test(test_twins_are_read_forgotten_and_closed_each_by_itself),
        cmocka_unit_test(test_one_that_was_closed_for_room_has_no_twin),
        cmocka_unit_test(test_a_flush_inside_is_between_what_was_done_before_and_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
