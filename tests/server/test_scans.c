/* test_scans.c - the registry of open scans: pages, cursors, and when a scan ends. The map is real, both
 * clocks are told. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "protocol/limits.h"
#include "server/scans.h"
#include "tests/map/map_world.h"

enum { KEYS = 3000 };

struct world {
    struct map_world map;
    struct scans *scans;
    uint64_t now;
    unsigned deferred;
};

static uint64_t told_clock(void *context) {
    return ((struct world *)context)->now;
}

static void count_deferred(void *context, void (*work)(void *argument), void *argument) {
    ((struct world *)context)->deferred++;
    work(argument);
}

static void open_world(struct world *w, unsigned max_scans) {
    struct scans_options options = {.max_scans = max_scans,
                                    .idle_ms = 60000,
                                    .now_ms = told_clock,
                                    .now_context = w,
                                    .defer = count_deferred,
                                    .defer_context = w};
    memset(w, 0, sizeof *w);
    map_world_open(&w->map, 4);
    w->now = 1000;
    w->scans = scans_new(w->map.map, &options);
    assert_non_null(w->scans);
}

static void close_world(struct world *w) {
    scans_free(w->scans);
    map_world_close(&w->map);
}

/* What a page showed: the keys, one a line, in the page's order. */
struct page {
    char text[1 << 17];
    size_t len, keys;
    uint64_t bytes;
    size_t fail_after; /* 0: never */
};

static enum strobe_status take(void *context, const struct strobe_entry *entry) {
    struct page *page = context;
    size_t key_len, value_len;
    const char *key = strobe_entry_key(entry, &key_len);
    (void)strobe_entry_value(entry, &value_len);
    if (page->fail_after != 0 && page->keys == page->fail_after) return STROBE_NO_MEMORY;
    if (page->len + key_len + 2 < sizeof page->text) {
        memcpy(page->text + page->len, key, key_len);
        page->len += key_len;
        page->text[page->len++] = '\n';
        page->text[page->len] = '\0';
    }
    page->keys++;
    page->bytes += key_len + value_len;
    return STROBE_OK;
}

static struct scans_query query_of(struct page *page, uint64_t count) {
    memset(page, 0, sizeof *page);
    return (struct scans_query){.take = take, .context = page, .count = count};
}

static struct page *new_page(void) {
    struct page *page = calloc(1, sizeof *page);
    assert_non_null(page);
    return page;
}

/* A page that must be there; its cursor's successor. */
static uint64_t turn(struct world *w, uint64_t cursor, struct page *page, uint64_t count) {
    struct scans_query query = query_of(page, count);
    uint64_t next = 99;
    assert_int_equal(scans_page(w->scans, cursor, &query, &next), STROBE_OK);
    return next;
}

static void assert_closed(struct world *w, uint64_t cursor) {
    struct page *page = new_page();
    struct scans_query query = query_of(page, 10);
    uint64_t next;
    assert_int_equal(scans_page(w->scans, cursor, &query, &next), STROBE_CLOSED);
    assert_int_equal(page->keys, 0);
    free(page);
}

/* ---- whole scans ---------------------------------------------------------------------------------------- */

static void test_scan_that_fits_in_one_page_is_not_kept(void **state) {
    struct world w;
    struct page *page = new_page();
    (void)state;
    open_world(&w, 4);
    assert_int_equal(turn(&w, 0, page, 10), 0);
    map_world_fill(&w.map, "k", 10);
    assert_int_equal(turn(&w, 0, page, 10), 0);
    assert_int_equal(page->keys, 10);
    assert_int_equal(scans_open(w.scans), 0);
    free(page);
    close_world(&w);
}

/* Adds what PAGE has to SEEN, a flag for each "kN". */
static void mark(const struct page *page, unsigned char *seen) {
    const char *at = page->text;
    unsigned number;
    while (sscanf(at, "k%u\n", &number) == 1) {
        assert_true(number < KEYS);
        assert_int_equal(seen[number], 0);
        seen[number] = 1;
        at = strchr(at, '\n') + 1;
    }
}

static void test_scan_shows_each_key_once_while_all_are_rewritten_and_removed(void **state) {
    struct world w;
    struct page *page = new_page();
    unsigned char *seen = calloc(1, KEYS);
    uint64_t cursor = 0;
    unsigned pages = 0;
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", KEYS);
    do {
        cursor = turn(&w, cursor, page, 100);
        assert_true(page->keys <= 100);
        mark(page, seen);
        if (pages == 0) map_world_fill(&w.map, "new", KEYS);
        if (pages == 1) map_world_drain(&w.map, "k", KEYS);
        if (pages == 2) map_world_drain(&w.map, "new", KEYS);
        pages++;
    } while (cursor != 0);
    for (unsigned i = 0; i < KEYS; i++) assert_int_equal(seen[i], 1);
    assert_true(pages >= KEYS / 100);
    free(seen);
    free(page);
    close_world(&w);
}

static void test_pattern_that_matches_nothing_gives_empty_pages_of_bounded_work(void **state) {
    struct world w;
    struct page *page = new_page();
    uint64_t cursor = 0;
    unsigned pages = 0;
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 20000);
    do {
        struct scans_query query = query_of(page, 10);
        query.has_match = true;
        query.match = STROBE_SLICE("nothing*");
        assert_int_equal(scans_page(w.scans, cursor, &query, &cursor), STROBE_OK);
        assert_int_equal(page->keys, 0);
        pages++;
    } while (cursor != 0);
    assert_true(pages >= 20000 / 2048 && pages < 100);
    free(page);
    close_world(&w);
}

static void test_wanting_nothing_still_reaches_the_end(void **state) {
    struct world w;
    struct page *page = new_page();
    uint64_t cursor = 0;
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 5000);
    do {
        struct scans_query query = query_of(page, 10);
        query.nothing = true;
        assert_int_equal(scans_page(w.scans, cursor, &query, &cursor), STROBE_OK);
        assert_int_equal(page->keys, 0);
    } while (cursor != 0);
    free(page);
    close_world(&w);
}

static void test_prefix_and_pattern_both_choose(void **state) {
    struct world w;
    struct page *page = new_page();
    struct scans_query query = query_of(page, 1000);
    uint64_t next;
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "a", 20);
    map_world_fill(&w.map, "b", 20);
    query.prefix = STROBE_SLICE("a1");
    query.has_match = true;
    query.match = STROBE_SLICE("*[0-4]");
    assert_int_equal(scans_page(w.scans, 0, &query, &next), STROBE_OK);
    assert_int_equal(page->keys, 6); /* a1, and a10 to a14 */
    free(page);
    close_world(&w);
}

/* ---- cursors -------------------------------------------------------------------------------------------- */

static void test_cursors_fit_a_javascript_number_and_differ(void **state) {
    struct world w;
    struct page *page = new_page();
    uint64_t seen[16];
    (void)state;
    open_world(&w, 16);
    map_world_fill(&w.map, "k", 100);
    for (unsigned i = 0; i < 16; i++) {
        seen[i] = turn(&w, 0, page, 10);
        assert_true(seen[i] > 0 && seen[i] < UINT64_C(1) << 53);
        for (unsigned j = 0; j < i; j++) assert_true(seen[i] != seen[j]);
    }
    free(page);
    close_world(&w);
}

static void test_number_that_never_was_a_cursor_is_closed(void **state) {
    struct world w;
    struct page *page = new_page();
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 100);
    uint64_t cursor = turn(&w, 0, page, 10);
    assert_closed(&w, 1);
    assert_closed(&w, cursor + (1 << 20));
    assert_closed(&w, cursor | UINT64_C(1) << 53);
    assert_closed(&w, UINT64_MAX);
    assert_int_not_equal(turn(&w, cursor, page, 10), 0); /* guesses have not hurt it */
    free(page);
    close_world(&w);
}

static void test_last_page_comes_again_to_the_same_end_whatever_count_says(void **state) {
    struct world w;
    struct page *first = new_page(), *again = new_page();
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 1000);
    uint64_t cursor = turn(&w, 0, first, 10);
    uint64_t next = turn(&w, cursor, first, 50);
    assert_int_equal(first->keys, 50);
    map_world_drain(&w.map, "k", 1000);
    for (uint64_t count = 1; count <= 1000; count *= 10) {
        assert_true(turn(&w, cursor, again, count) == next);
        assert_string_equal(first->text, again->text);
    }
    free(first);
    free(again);
    close_world(&w);
}

static void test_pattern_is_applied_anew_when_a_page_comes_again(void **state) {
    struct world w;
    struct page *whole = new_page(), *part = new_page();
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 1000);
    uint64_t cursor = turn(&w, 0, whole, 10), next;
    struct scans_query query = query_of(part, 20);
    query.has_match = true;
    query.match = STROBE_SLICE("*7");
    assert_int_equal(scans_page(w.scans, cursor, &query, &next), STROBE_OK);
    assert_int_equal(part->keys, 20);
    assert_true(turn(&w, cursor, whole, 1) == next);
    assert_true(whole->keys > 20);
    free(whole);
    free(part);
    close_world(&w);
}

static void test_page_made_with_another_pattern_is_refused_when_it_would_take_too_long(void **state) {
    enum { COUNT = 60, KEY_LEN = 5000 };
    struct world w;
    struct page *page = new_page();
    struct scans_query query;
    char key[KEY_LEN], pattern[130];
    uint64_t next;
    (void)state;
    open_world(&w, 4);
    memset(key, 'a', sizeof key);
    for (int i = 0; i < COUNT; i++) {
        key[0] = (char)(' ' + i);
        assert_int_equal(strobe_set(w.map.map, key, sizeof key, "v", 1, 0), STROBE_OK);
    }
    query = query_of(page, 1);
    assert_int_equal(scans_page(w.scans, 0, &query, &next), STROBE_OK);
    uint64_t cursor = next;
    query = query_of(page, 10000);
    query.nothing = true;
    assert_int_equal(scans_page(w.scans, cursor, &query, &next), STROBE_OK);
    assert_int_equal(next, 0);
    memset(pattern, '?', sizeof pattern);
    pattern[0] = pattern[sizeof pattern - 1] = '*';
    pattern[sizeof pattern - 2] = 'b';
    query = query_of(page, 10000);
    query.has_match = true;
    query.match = strobe_slice_make(pattern, sizeof pattern);
    assert_int_equal(scans_page(w.scans, cursor, &query, &next), STROBE_TOO_BIG);
    query.match = STROBE_SLICE("*b*");
    assert_int_equal(scans_page(w.scans, cursor, &query, &next), STROBE_OK);
    assert_int_equal(page->keys, 0);
    free(page);
    close_world(&w);
}

static void test_page_before_the_last_is_closed(void **state) {
    struct world w;
    struct page *page = new_page();
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 1000);
    uint64_t one = turn(&w, 0, page, 10), two = turn(&w, one, page, 10), three = turn(&w, two, page, 10);
    assert_closed(&w, one);
    assert_true(turn(&w, two, page, 10) == three);
    free(page);
    close_world(&w);
}

static void test_page_that_found_no_memory_can_be_asked_for_again(void **state) {
    struct world w;
    struct page *page = new_page();
    uint64_t next;
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 100);
    uint64_t cursor = turn(&w, 0, page, 10);
    struct scans_query query = query_of(page, 40);
    page->fail_after = 20;
    assert_int_equal(scans_page(w.scans, cursor, &query, &next), STROBE_NO_MEMORY);
    uint64_t rest = turn(&w, cursor, page, 1000);
    assert_int_equal(rest, 0);
    assert_int_equal(page->keys, 90);
    free(page);
    close_world(&w);
}

struct user {
    struct world *w;
    uint64_t cursor, next;
    struct page *page;
};

static void *use(void *argument) {
    struct user *user = argument;
    struct scans_query query = query_of(user->page, 100);
    enum strobe_status status = scans_page(user->w->scans, user->cursor, &query, &user->next);
    return status == STROBE_OK ? NULL : user;
}

static void test_two_users_of_one_cursor_get_the_same_page(void **state) {
    struct world w;
    struct user users[4];
    pthread_t threads[4];
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 2000);
    for (unsigned i = 0; i < 4; i++) users[i] = (struct user){.w = &w, .page = new_page()};
    uint64_t cursor = turn(&w, 0, users[0].page, 10);
    while (cursor != 0) {
        for (unsigned i = 0; i < 4; i++) {
            users[i].cursor = cursor;
            assert_int_equal(pthread_create(&threads[i], NULL, use, &users[i]), 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            void *failed;
            pthread_join(threads[i], &failed);
            assert_null(failed);
            assert_true(users[i].next == users[0].next);
            assert_string_equal(users[i].page->text, users[0].page->text);
        }
        cursor = users[0].next;
    }
    for (unsigned i = 0; i < 4; i++) free(users[i].page);
    close_world(&w);
}

/* ---- values --------------------------------------------------------------------------------------------- */

static void test_page_with_values_ends_at_its_limit(void **state) {
    struct world w;
    struct page *page = new_page();
    char *value = calloc(1, (2u << 20) + 1), key[16];
    uint64_t cursor = 0;
    size_t keys = 0, pages = 0, large = 0;
    (void)state;
    open_world(&w, 4);
    for (unsigned i = 0; i < 40; i++) {
        int len = snprintf(key, sizeof key, "k%u", i);
        size_t size = i == 7 ? 2u << 20 : 100000;
        assert_int_equal(strobe_set(w.map.map, key, (size_t)len, value, size, 0), STROBE_OK);
    }
    do {
        struct scans_query query = query_of(page, 1000);
        query.values = true;
        assert_int_equal(scans_page(w.scans, cursor, &query, &cursor), STROBE_OK);
        if (page->bytes > STROBE_SCAN_PAGE_MAX) {
            assert_int_equal(page->keys, 1); /* the one that is larger than a page comes alone */
            large++;
        }
        keys += page->keys;
        pages++;
    } while (cursor != 0);
    assert_int_equal(keys, 40);
    assert_int_equal(large, 1);
    assert_true(pages >= 5 && pages <= 8);
    free(value);
    free(page);
    close_world(&w);
}

/* ---- the end of a scan ---------------------------------------------------------------------------------- */

static void test_idle_scan_is_closed_at_its_time(void **state) {
    struct world w;
    struct page *page = new_page();
    struct scans_stats stats;
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 100);
    uint64_t cursor = turn(&w, 0, page, 10);
    w.now += 59999;
    scans_reap(w.scans);
    cursor = turn(&w, cursor, page, 10);
    w.now += 60000;
    assert_closed(&w, cursor); /* also before the reaper came */
    assert_int_equal(scans_open(w.scans), 0);
    (void)turn(&w, 0, page, 10);
    w.now += 60000;
    scans_reap(w.scans);
    assert_int_equal(scans_open(w.scans), 0);
    assert_int_equal(w.deferred, 2);
    scans_stats(w.scans, &stats);
    assert_int_equal(stats.opened, 2);
    assert_int_equal(stats.expired, 2);
    free(page);
    close_world(&w);
}

static void test_final_page_is_kept_for_five_seconds(void **state) {
    struct world w;
    struct page *page = new_page(), *again = new_page();
    struct scans_stats stats;
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 100);
    uint64_t cursor = turn(&w, 0, page, 10);
    assert_int_equal(turn(&w, cursor, page, 1000), 0);
    map_world_drain(&w.map, "k", 100);
    scans_stats(w.scans, &stats);
    assert_int_equal(stats.finished, 1);
    w.now += SCANS_FINAL_MS - 1;
    scans_reap(w.scans);
    assert_int_equal(turn(&w, cursor, again, 1), 0);
    assert_string_equal(page->text, again->text);
    w.now += SCANS_FINAL_MS;
    assert_closed(&w, cursor);
    assert_int_equal(scans_open(w.scans), 0);
    free(page);
    free(again);
    close_world(&w);
}

static void test_active_scans_are_not_closed_for_a_new_one(void **state) {
    struct world w;
    struct page *page = new_page();
    struct scans_query query = query_of(page, 10);
    uint64_t cursors[4], next;
    (void)state;
    open_world(&w, 4);
    map_world_fill(&w.map, "k", 100);
    for (unsigned i = 0; i < 4; i++) {
        cursors[i] = turn(&w, 0, page, 10);
        w.now += 1000;
    }
    assert_int_equal(scans_page(w.scans, 0, &query, &next), STROBE_TOO_MANY);
    assert_int_equal(scans_open(w.scans), 4);
    cursors[0] = turn(&w, cursors[0], page, 10);
    w.now += 3000; /* the second has now been idle for 6 s, the third for 5 s, the first for 3 s */
    uint64_t fresh = turn(&w, 0, page, 10);
    assert_int_equal(scans_open(w.scans), 4);
    assert_closed(&w, cursors[1]);
    (void)turn(&w, cursors[0], page, 10);
    (void)turn(&w, cursors[2], page, 10);
    (void)turn(&w, cursors[3], page, 10);
    (void)turn(&w, fresh, page, 10);
    free(page);
    close_world(&w);
}

static void test_finished_scan_goes_first(void **state) {
    struct world w;
    struct page *page = new_page();
    (void)state;
    open_world(&w, 2);
    map_world_fill(&w.map, "k", 100);
    uint64_t idle = turn(&w, 0, page, 10);
    w.now += 30000;
    uint64_t finished = turn(&w, 0, page, 10);
    assert_int_equal(turn(&w, finished, page, 1000), 0);
    (void)turn(&w, 0, page, 10);
    assert_closed(&w, finished);
    (void)turn(&w, idle, page, 10);
    free(page);
    close_world(&w);
}

static void test_snapshots_that_the_map_refuses_make_room(void **state) {
    struct world w;
    struct page *page = new_page();
    struct scans_query query = query_of(page, 10);
    struct scans_options options = {.max_scans = 100, .now_ms = told_clock, .now_context = &w};
    uint64_t cursors[2], next;
    (void)state;
    memset(&w, 0, sizeof w);
    map_world_open_with(&w.map, (struct strobe_map_options){.shards = 4, .max_snapshots = 2});
    w.scans = scans_new(w.map.map, &options);
    map_world_fill(&w.map, "k", 100);
    for (unsigned i = 0; i < 2; i++) cursors[i] = turn(&w, 0, page, 10);
    assert_int_equal(scans_page(w.scans, 0, &query, &next), STROBE_TOO_MANY);
    w.now += SCANS_ACTIVE_MS;
    (void)turn(&w, cursors[1], page, 10);
    (void)turn(&w, 0, page, 10);
    assert_closed(&w, cursors[0]);
    free(page);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_that_fits_in_one_page_is_not_kept),
        cmocka_unit_test(test_scan_shows_each_key_once_while_all_are_rewritten_and_removed),
        cmocka_unit_test(test_pattern_that_matches_nothing_gives_empty_pages_of_bounded_work),
        cmocka_unit_test(test_wanting_nothing_still_reaches_the_end),
        cmocka_unit_test(test_prefix_and_pattern_both_choose),
        cmocka_unit_test(test_cursors_fit_a_javascript_number_and_differ),
        cmocka_unit_test(test_number_that_never_was_a_cursor_is_closed),
        cmocka_unit_test(test_last_page_comes_again_to_the_same_end_whatever_count_says),
        cmocka_unit_test(test_pattern_is_applied_anew_when_a_page_comes_again),
        cmocka_unit_test(test_page_made_with_another_pattern_is_refused_when_it_would_take_too_long),
        cmocka_unit_test(test_page_before_the_last_is_closed),
        cmocka_unit_test(test_page_that_found_no_memory_can_be_asked_for_again),
        cmocka_unit_test(test_two_users_of_one_cursor_get_the_same_page),
        cmocka_unit_test(test_page_with_values_ends_at_its_limit),
        cmocka_unit_test(test_idle_scan_is_closed_at_its_time),
        cmocka_unit_test(test_final_page_is_kept_for_five_seconds),
        cmocka_unit_test(test_active_scans_are_not_closed_for_a_new_one),
        cmocka_unit_test(test_finished_scan_goes_first),
        cmocka_unit_test(test_snapshots_that_the_map_refuses_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
