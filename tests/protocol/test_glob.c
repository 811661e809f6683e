/* test_glob.c - patterns by a table, against a plain recursive matcher, and a bound on the work. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/glob.h"

/* ---- the truth: try everything ----------------------------------------------------------------- */

static int truth_byte(char c, bool nocase) {
    return (signed char)(nocase && c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* Length of the element at P, and in *FITS whether it takes the byte C. */
static size_t truth_element(const char *p, const char *end, char c, bool nocase, bool *fits) {
    size_t i;
    bool not ;

    if (*p == '?') {
        *fits = true;
        return 1;
    }
    if (*p == '\\' && end - p >= 2) {
        *fits = truth_byte(p[1], nocase) == truth_byte(c, nocase);
        return 2;
    }
    if (*p != '[') {
        *fits = truth_byte(*p, nocase) == truth_byte(c, nocase);
        return 1;
    }
    i = 1;
    not = p + 1 < end && p[1] == '^';
    i += not ;
    *fits = false;
    for (;;) {
        if (p + i == end) {
            break;
        }
        if (p[i] == '\\' && end - p >= (ptrdiff_t)i + 2) {
            *fits = *fits || p[i + 1] == c;
            i += 2;
        } else if (p[i] == ']') {
            i++;
            break;
        } else if (end - p >= (ptrdiff_t)i + 3 && p[i + 1] == '-') {
            char low = (signed char)p[i] <= (signed char)p[i + 2] ? p[i] : p[i + 2];
            char high = low == p[i] ? p[i + 2] : p[i];

            if (truth_byte(c, nocase) >= truth_byte(low, nocase) && truth_byte(c, nocase) <= truth_byte(high, nocase)) {
                *fits = true;
            }
            i += 3;
        } else {
            *fits = *fits || truth_byte(p[i], nocase) == truth_byte(c, nocase);
            i++;
        }
    }
    *fits = *fits != not ;
    return i;
}

static bool truth(const char *p, const char *pattern_end, const char *k, const char *key_end, bool nocase) {
    bool fits;
    size_t len;

    if (p == pattern_end) {
        return k == key_end;
    }
    if (*p == '*') {
        return truth(p + 1, pattern_end, k, key_end, nocase) ||
               (k < key_end && truth(p, pattern_end, k + 1, key_end, nocase));
    }
    if (k == key_end) {
        return false;
    }
    len = truth_element(p, pattern_end, *k, nocase, &fits);
    return fits && truth(p + len, pattern_end, k + 1, key_end, nocase);
}

/* ---- claims ------------------------------------------------------------------------------------ */

static bool match(const char *pattern, const char *key) {
    return strobe_glob_match(strobe_slice_make(pattern, strlen(pattern)), strobe_slice_make(key, strlen(key)));
}

static void test_glob_matches_what_redis_matches(void **state) {
    static const struct {
        const char *pattern, *key;
        bool matches;
    } rows[] = {
        {"*", "a", true},
        {"a", "a", true},
        {"a", "A", false},
        {"a", "ab", false},
        {"", "a", false},
        {"", "", true},
        {"*", "", false},
        {"?", "a", true},
        {"?", "", false},
        {"??", "a", false},
        {"a*", "a", true},
        {"a**", "a", true},
        {"*a", "ba", true},
        {"*a*", "bab", true},
        {"a*b*c", "axxbyyc", true},
        {"a*b*c", "axxcyyb", false},
        {"h[ae]llo", "hello", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"[a-c]", "b", true},
        {"[c-a]", "b", true},
        {"[a-c]", "d", false},
        {"[a-]", "-", false},
        {"[-a]", "-", true},
        {"[]", "a", false},
        {"[^]", "a", true},
        {"[", "[", false},
        {"[^", "x", true},
        {"[a", "a", true},
        {"[ab", "b", true},
        {"[^ab", "c", true},
        {"[a-", "-", true},
        {"[a-z", "q", true},
        {"[\\]]", "]", true},
        {"[\\-a]", "-", true},
        {"[a\\", "\\", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\", "\\", true},
        {"a\\", "a\\", true},
        {"\\a", "a", true},
        {"*\\", "x\\", true},
        {"[*]", "*", true},
        {"[a-]]", "_", true},
        {"*[a", "xa", true},
        {"*?", "abc", true},
        {"?*", "", false},
        {"*aab", "aaaab", true},
        {"*ab*ab", "abxab", true},
        {"*ab*ab", "ab", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (match(rows[i].pattern, rows[i].key) != rows[i].matches) {
            fail_msg("%s against %s", rows[i].pattern, rows[i].key);
        }
    }
}

static void test_glob_takes_any_bytes(void **state) {
    (void)state;
    assert_true(strobe_glob_match(STROBE_SLICE("a\0*"), STROBE_SLICE("a\0b\0c")));
    assert_false(strobe_glob_match(STROBE_SLICE("a\0c"), STROBE_SLICE("a\0b")));
    assert_true(strobe_glob_match(STROBE_SLICE("[\x80-\xff]"), STROBE_SLICE("\x90")));
    assert_false(strobe_glob_match(STROBE_SLICE("[\x80-\xff]"), STROBE_SLICE("a")));
    assert_true(strobe_glob_match(STROBE_SLICE("[\0]"), STROBE_SLICE("\0")));
    assert_true(strobe_glob_match(strobe_slice_make(NULL, 0), strobe_slice_make(NULL, 0)));
}

static void test_glob_ignores_case_when_asked(void **state) {
    (void)state;
    assert_true(strobe_glob_match_nocase(STROBE_SLICE("MAX-*"), STROBE_SLICE("max-clients")));
    assert_true(strobe_glob_match_nocase(STROBE_SLICE("[A-C]x"), STROBE_SLICE("bX")));
    assert_false(strobe_glob_match_nocase(STROBE_SLICE("[\\A]"), STROBE_SLICE("a")));
}

static void test_glob_agrees_with_trying_everything(void **state) {
    static const char pattern_bytes[] = "ab***??[]^-\\cAB\xff";
    static const char key_bytes[] = "aabbc]-\\^A[\xff";
    uint64_t random = 1;

    (void)state;
    for (int i = 0; i < 600000; i++) {
        char pattern[12], key[10];
        size_t pattern_len, key_len;
        bool nocase = i % 4 == 0;
        bool ours, plain;

        random = random * 6364136223846793005u + 1442695040888963407u;
        pattern_len = (random >> 40) % sizeof pattern;
        key_len = (random >> 50) % sizeof key;
        for (size_t j = 0; j < pattern_len + key_len; j++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            if (j < pattern_len) {
                pattern[j] = pattern_bytes[(random >> 33) % (sizeof pattern_bytes - 1)];
            } else {
                key[j - pattern_len] = key_bytes[(random >> 33) % (sizeof key_bytes - 1)];
            }
        }
        ours = (nocase ? strobe_glob_match_nocase : strobe_glob_match)(strobe_slice_make(pattern, pattern_len),
                                                                       strobe_slice_make(key, key_len));
        plain = key_len == 0 ? pattern_len == 0 : truth(pattern, pattern + pattern_len, key, key + key_len, nocase);
        if (ours != plain) {
            fail_msg("%.*s against %.*s is %d", (int)pattern_len, pattern, (int)key_len, key, plain);
        }
    }
}

/* With any backtracking beyond the last star this would not end within the life of the machine. */
static void test_glob_cannot_be_made_to_explode(void **state) {
    static char pattern[2000], key[60000];

    (void)state;
    for (size_t i = 0; i < sizeof pattern; i += 2) {
        pattern[i] = '*';
        pattern[i + 1] = 'a';
    }
    pattern[sizeof pattern - 1] = 'b';
    memset(key, 'a', sizeof key);
    assert_false(strobe_glob_match(strobe_slice_make(pattern, sizeof pattern), strobe_slice_make(key, sizeof key)));
}

/* A plain run that fails late at each place of a long key: with a step for each of its bytes there this would take
 * minutes. */
static void test_glob_finds_a_long_plain_run_in_linear_time(void **state) {
    static char pattern[STROBE_KEY_MAX / 2], key[STROBE_KEY_MAX];

    (void)state;
    memset(pattern, 'a', sizeof pattern);
    memset(key, 'a', sizeof key);
    pattern[0] = pattern[sizeof pattern - 1] = '*';
    assert_true(strobe_glob_is_bounded(strobe_slice_make(pattern, sizeof pattern)));
    for (int i = 0; i < 1000; i++) {
        pattern[sizeof pattern - 2] = 'b';
        assert_false(strobe_glob_match(strobe_slice_make(pattern, sizeof pattern), strobe_slice_make(key, sizeof key)));
    }
    pattern[sizeof pattern - 2] = 'a';
    assert_true(strobe_glob_match(strobe_slice_make(pattern, sizeof pattern), strobe_slice_make(key, sizeof key)));
}

/* A pattern of BEFORE, FILL again and again to LEN bytes, and AFTER. */
static bool is_bounded(const char *before, const char *fill, size_t len, const char *after) {
    static char pattern[2 * STROBE_GLOB_MAX];
    size_t at = strlen(before);

    memcpy(pattern, before, at);
    for (size_t i = 0; i < len; i++) pattern[at++] = fill[i % strlen(fill)];
    memcpy(pattern + at, after, strlen(after));
    return strobe_glob_is_bounded(strobe_slice_make(pattern, at + strlen(after)));
}

static void test_glob_is_bounded_by_what_is_between_two_stars(void **state) {
    (void)state;
    assert_true(is_bounded("", "a", STROBE_GLOB_MAX, ""));
    assert_false(is_bounded("", "a", STROBE_GLOB_MAX + 1, ""));
    assert_false(is_bounded("*", "\\a", 2 * STROBE_KEY_MAX, "*"));
    assert_true(is_bounded("", "\\a", 2 * STROBE_KEY_MAX, "*"));
    assert_true(is_bounded("*", "?", 100000, ""));
    assert_true(is_bounded("*", "?", STROBE_GLOB_RUN_MAX, "*"));
    assert_false(is_bounded("*", "?", STROBE_GLOB_RUN_MAX + 1, "*"));
    assert_true(is_bounded("*", "a", 100000, "*"));
    assert_false(is_bounded("*?", "a", STROBE_GLOB_RUN_MAX, "*"));
    assert_true(is_bounded("*", "?*", 100000, "*"));
    assert_true(is_bounded("*[", "b", 100000, "*")); /* the class closes at the end, so it is the last run */
    assert_false(is_bounded("*[", "b", STROBE_GLOB_RUN_MAX, "]*"));
    assert_true(is_bounded("[", "b", 100000, "]*[^a]*a"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glob_matches_what_redis_matches),
        cmocka_unit_test(test_glob_takes_any_bytes),
        cmocka_unit_test(test_glob_ignores_case_when_asked),
        cmocka_unit_test(test_glob_agrees_with_trying_everything),
        cmocka_unit_test(test_glob_cannot_be_made_to_explode),
        cmocka_unit_test(test_glob_finds_a_long_plain_run_in_linear_time),
        cmocka_unit_test(test_glob_is_bounded_by_what_is_between_two_stars),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
