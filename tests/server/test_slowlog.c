/* test_slowlog.c - the log keeps the newest, cuts words as Redis does, and learns when replies were flushed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/slowlog.h"

/* What a visit met. */
struct met {
    size_t count;
    uint64_t ids[8], flush[8];
};

static void begin(void *context, size_t count) {
    struct met *met = context;
    assert_in_range(count, 0, 8);
    met->count = 0;
}

static void meet(void *context, const struct slowlog_entry *entry) {
    struct met *met = context;
    met->ids[met->count] = entry->id;
    met->flush[met->count++] = entry->phases[SLOWLOG_FLUSH];
}

static void add(struct slowlog *slowlog, uint64_t conn, uint64_t ended_ns, size_t most) {
    struct strobe_slice word = STROBE_SLICE("PING");
    const struct strobe_request request = {.args = &word, .argc = 1};
    struct slowlog_entry *entry = slowlog_entry_new(&request, STROBE_SLICE("me"), false);
    assert_non_null(entry);
    assert_int_equal(entry->argc, 1);
    assert_true(strobe_slice_equal(entry->words[0], STROBE_SLICE("PING")));
    assert_true(strobe_slice_equal(entry->name, STROBE_SLICE("me")));
    entry->conn = conn;
    entry->ended_ns = ended_ns;
    entry->phases[SLOWLOG_FLUSH] = SLOWLOG_NOT_FLUSHED;
    slowlog_add(slowlog, entry, most);
}

static void test_the_newest_stay_and_numbers_go_on(void **state) {
    struct slowlog *slowlog = slowlog_new();
    struct met met;
    (void)state;
    for (int i = 0; i < 6; i++) add(slowlog, 1, 0, 4);
    assert_int_equal(slowlog_len(slowlog), 4);
    slowlog_visit(slowlog, SIZE_MAX, begin, meet, &met);
    assert_int_equal(met.count, 4);
    assert_int_equal(met.ids[0], 5);
    assert_int_equal(met.ids[3], 2);
    slowlog_visit(slowlog, 1, begin, meet, &met);
    assert_int_equal(met.count, 1);
    add(slowlog, 1, 0, 2); /* a smaller bound holds from the next entry on */
    assert_int_equal(slowlog_len(slowlog), 2);
    slowlog_reset(slowlog);
    assert_int_equal(slowlog_len(slowlog), 0);
    add(slowlog, 1, 0, 0);
    assert_int_equal(slowlog_len(slowlog), 0);
    add(slowlog, 1, 0, 1);
    slowlog_visit(slowlog, SIZE_MAX, begin, meet, &met);
    assert_int_equal(met.ids[0], 8);
    slowlog_free(slowlog);
}

static void test_flush_is_told_to_those_of_the_connection_that_wait(void **state) {
    struct slowlog *slowlog = slowlog_new();
    struct met met;
    (void)state;
    add(slowlog, 1, 1000000, 8);
    slowlog_flushed(slowlog, 1, 3000000);
    add(slowlog, 2, 4000000, 8);
    add(slowlog, 1, 5000000, 8);
    add(slowlog, 1, 6000000, 8);
    slowlog_flushed(slowlog, 1, 9000000);
    slowlog_visit(slowlog, SIZE_MAX, begin, meet, &met);
    assert_int_equal(met.flush[0], 3000);
    assert_int_equal(met.flush[1], 4000);
    assert_int_equal(met.flush[2], SLOWLOG_NOT_FLUSHED);
    assert_int_equal(met.flush[3], 2000);
    slowlog_free(slowlog);
}

static void test_words_are_cut_at_the_limit_and_not_before(void **state) {
    struct strobe_slice words[SLOWLOG_WORDS_MAX + 1];
    struct strobe_request request = {.args = words, .argc = SLOWLOG_WORDS_MAX};
    char text[SLOWLOG_WORD_MAX + 1];
    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i <= SLOWLOG_WORDS_MAX; i++) words[i] = strobe_slice_make(text, SLOWLOG_WORD_MAX);
    struct slowlog_entry *entry = slowlog_entry_new(&request, STROBE_SLICE(""), false);
    assert_int_equal(entry->argc, SLOWLOG_WORDS_MAX);
    assert_true(strobe_slice_equal(entry->words[SLOWLOG_WORDS_MAX - 1], words[0]));
    free(entry);
    request.argc++;
    words[1].len++;
    entry = slowlog_entry_new(&request, STROBE_SLICE(""), false);
    assert_int_equal(entry->argc, SLOWLOG_WORDS_MAX);
    assert_int_equal(entry->words[1].len, SLOWLOG_WORD_MAX + strlen("... (1 more bytes)"));
    assert_true(strobe_slice_equal(entry->words[SLOWLOG_WORDS_MAX - 1], STROBE_SLICE("... (2 more arguments)")));
    free(entry);
    entry = slowlog_entry_new(&request, STROBE_SLICE(""), true);
    assert_true(strobe_slice_equal(entry->words[0], words[0]));
    for (size_t i = 1; i < SLOWLOG_WORDS_MAX - 1; i++) {
        assert_true(strobe_slice_equal(entry->words[i], STROBE_SLICE("(redacted)")));
    }
    free(entry);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_stay_and_numbers_go_on),
        cmocka_unit_test(test_flush_is_told_to_those_of_the_connection_that_wait),
        cmocka_unit_test(test_words_are_cut_at_the_limit_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
