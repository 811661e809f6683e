/* test_http_target.c - the small languages of a request: each accepted form, and what is next to it. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/http_target.h"

static struct strobe_slice slice(const char *text) {
    return strobe_slice_make(text, strlen(text));
}

static void assert_slice(struct strobe_slice got, const char *text) {
    assert_int_equal(got.len, strlen(text));
    assert_memory_equal(got.data, text, got.len);
}

static void test_escapes_stand_for_bytes(void **state) {
    char out[16];
    size_t len;

    (void)state;
    assert_int_equal(strobe_http_decode(slice("a%00%2f%2F%25+%e2"), STROBE_HTTP_PLUS_IS_PLUS, out, sizeof(out), &len),
                     STROBE_HTTP_DECODED);
    assert_int_equal(len, 7);
    assert_memory_equal(out, "a\0//%+\xe2", 7);
    assert_int_equal(strobe_http_decode(slice("a+b%2B"), STROBE_HTTP_PLUS_IS_SPACE, out, sizeof(out), &len),
                     STROBE_HTTP_DECODED);
    assert_int_equal(len, 4);
    assert_memory_equal(out, "a b+", 4);
    assert_int_equal(strobe_http_decode(slice("%61bc"), STROBE_HTTP_PLUS_IS_PLUS, out, 3, &len), STROBE_HTTP_DECODED);
    assert_int_equal(strobe_http_decode(slice("%61bcd"), STROBE_HTTP_PLUS_IS_PLUS, out, 3, &len), STROBE_HTTP_TOO_LONG);
    assert_int_equal(strobe_http_decode(slice(""), STROBE_HTTP_PLUS_IS_PLUS, out, 0, &len), STROBE_HTTP_DECODED);
}

static void test_broken_escapes_are_refused(void **state) {
    static const char *const bad[] = {"%", "%a", "a%", "%g0", "%0g", "%%41", "% 1", "%+1", "%-1", "%0x"};
    char out[16];
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(strobe_http_decode(slice(bad[i]), STROBE_HTTP_PLUS_IS_PLUS, out, sizeof(out), &len),
                         STROBE_HTTP_BAD_ESCAPE);
    }
}

static void test_what_is_encoded_is_decoded(void **state) {
    char all[256], text[768], back[256];
    size_t len, back_len;

    (void)state;
    for (int i = 0; i < 256; i++) all[i] = (char)i;
    len = strobe_http_encode(strobe_slice_make(all, sizeof(all)), text);
    assert_true(len < sizeof(text));
    for (size_t i = 0; i < len; i++) assert_true(text[i] > ' ' && text[i] < 127 && text[i] != '?' && text[i] != '&');
    assert_int_equal(
        strobe_http_decode(strobe_slice_make(text, len), STROBE_HTTP_PLUS_IS_SPACE, back, sizeof(back), &back_len),
        STROBE_HTTP_DECODED);
    assert_int_equal(back_len, sizeof(all));
    assert_memory_equal(back, all, sizeof(all));
    assert_true(strobe_http_is_plain(slice("a+b"), STROBE_HTTP_PLUS_IS_PLUS));
    assert_false(strobe_http_is_plain(slice("a+b"), STROBE_HTTP_PLUS_IS_SPACE));
    assert_false(strobe_http_is_plain(slice("a%2b"), STROBE_HTTP_PLUS_IS_PLUS));
}

static void test_parameters_come_in_order(void **state) {
    struct strobe_slice rest = slice("&a=1&b&c=&&=d&e=f=g&a=2&"), name, value;
    static const char *const expected[][2] = {{"a", "1"}, {"b", NULL}, {"c", ""}, {"", "d"}, {"e", "f=g"}, {"a", "2"}};

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(strobe_http_next_parameter(&rest, &name, &value));
        assert_slice(name, expected[i][0]);
        if (expected[i][1] == NULL) {
            assert_null(value.data);
        } else {
            assert_non_null(value.data);
            assert_slice(value, expected[i][1]);
        }
    }
    assert_false(strobe_http_next_parameter(&rest, &name, &value));
    rest = strobe_slice_make(NULL, 0);
    assert_false(strobe_http_next_parameter(&rest, &name, &value));
}

static void test_a_switch_is_off_only_when_it_says_so(void **state) {
    (void)state;
    assert_true(strobe_http_is_yes(strobe_slice_make(NULL, 0)));
    assert_true(strobe_http_is_yes(slice("")));
    assert_true(strobe_http_is_yes(slice("1")));
    assert_true(strobe_http_is_yes(slice("00")));
    assert_false(strobe_http_is_yes(slice("0")));
    assert_false(strobe_http_is_yes(slice("false")));
}

static void test_times_to_live_have_units(void **state) {
    static const struct {
        const char *text;
        int64_t milliseconds; /* -1: refused */
    } rows[] = {
        {"30", 30000},
        {"30s", 30000},
        {"500ms", 500},
        {"2h", 7200000},
        {"5m", 300000},
        {"1d", 86400000},
        {"0", 0},
        {"007", 7000},
        {"5S", 5000},
        {"", -1},
        {"s", -1},
        {"-5", -1},
        {"+5", -1},
        {" 5", -1},
        {"5 ", -1},
        {"5 s", -1},
        {"1.5", -1},
        {"5x", -1},
        {"5mss", -1},
        {"5w", -1},
        {"1e3", -1},
        {"0x10", -1},
        {"9223372036854775807ms", INT64_MAX},
        {"9223372036854775808ms", -1},
        {"9223372036854775", 9223372036854775000},
        {"9223372036854776", -1},
        {"106751991168d", -1},
        {"106751991167d", 106751991167 * 86400000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t milliseconds = -1;

        assert_int_equal(strobe_http_parse_ttl(slice(rows[i].text), &milliseconds), rows[i].milliseconds >= 0);
        assert_int_equal(milliseconds, rows[i].milliseconds);
    }
}

static void test_hosts_are_names_or_addresses(void **state) {
    static const struct {
        const char *text, *name;
        int port;
        bool is_ip, is_localhost, is_dotless;
    } rows[] = {
        {"localhost", "localhost", -1, false, true, true},
        {"LocalHost:7172", "LocalHost", 7172, false, true, true},
        {"localhost.", "localhost.", -1, false, true, false},
        {"a.localhost", "a.localhost", -1, false, true, false},
        {"notlocalhost.com", "notlocalhost.com", -1, false, false, false},
        {"xlocalhost", "xlocalhost", -1, false, false, true},
        {"127.0.0.1:80", "127.0.0.1", 80, true, false, false},
        {"127.0.0.1.evil.com", "127.0.0.1.evil.com", -1, false, false, false},
        {"[::1]", "::1", -1, true, false, false},
        {"[2001:db8::1]:65535", "2001:db8::1", 65535, true, false, false},
        {"strobe:", "strobe", -1, false, false, true},
        {"127.1", "127.1", -1, false, false, false},
        {"2130706433", "2130706433", -1, false, false, true},
        {"evil.com:0", "evil.com", 0, false, false, false},
        {"a%41", "a%41", -1, false, false, false},
        {"evil%2ecom", "evil%2ecom", -1, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strobe_http_host host;

        assert_true(strobe_http_parse_host(slice(rows[i].text), &host));
        assert_slice(host.name, rows[i].name);
        assert_int_equal(host.port, rows[i].port);
        assert_int_equal(host.is_ip, rows[i].is_ip);
        assert_int_equal(strobe_http_host_is_localhost(&host), rows[i].is_localhost);
        assert_int_equal(strobe_http_host_is_dotless(&host), rows[i].is_dotless);
    }
}

static void test_ipv4_addresses_are_those_of_inet_pton(void **state) {
    static const char *const parts[] = {"",    "0",   "00",  "1",   "01",  "9",    "99",
                                        "100", "199", "255", "256", "999", "1000", "a"};
    static const char *const formats[] = {"%s.%s.%s.%s", "%s.%s.%s", "%s.%s.%s.%s.", "%s.%s.%s.%s.1", "%s.%s%s%s"};
    enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

    (void)state;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]) * PARTS * PARTS * PARTS * PARTS; i++) {
        const char *word[4];
        struct strobe_http_host host;
        struct in_addr address;
        size_t rest = i / (sizeof(formats) / sizeof(formats[0]));
        char text[32];

        for (int part = 0; part < 4; part++, rest /= PARTS) word[part] = parts[rest % PARTS];
        snprintf(text, sizeof(text), formats[i % (sizeof(formats) / sizeof(formats[0]))], word[0], word[1], word[2],
                 word[3]);
        if (text[0] == '\0') continue;
        assert_true(strobe_http_parse_host(slice(text), &host));
        if (host.is_ip != (inet_pton(AF_INET, text, &address) == 1)) print_error("for: %s\n", text);
        assert_int_equal(host.is_ip, inet_pton(AF_INET, text, &address) == 1);
    }
}

static void test_broken_hosts_are_refused(void **state) {
    static const char *const bad[] = {"",        ":80", "a:b",  "a:65536", "a:-1",    "a:000080",  "a b", "u@a",
                                      "a/b",     "::1", "[::1", "[]",      "[::1]80", "[1.2.3.4]", "[a]", "[::1%25lo]",
                                      "a:80:80", "a#b", "a?b",  "a%4",     "a\\b",    "\xc3\xa4"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct strobe_http_host host;

        assert_false(strobe_http_parse_host(slice(bad[i]), &host));
    }
}

static void test_origins_equal_only_their_own(void **state) {
    static const struct {
        const char *origin, *scheme, *host;
        bool same;
    } rows[] = {
        {"http://a", "http", "a", true},           {"http://a:80", "http", "a", true},
        {"http://a", "http", "a:80", true},        {"http://A", "http", "a", true},
        {"HTTP://a", "http", "a", true},           {"http://a.", "http", "a", true},
        {"http://a:7172", "http", "a:7172", true}, {"http://[::1]:7172", "http", "[::1]:7172", true},
        {"https://a", "https", "a:443", true},     {"https://a", "http", "a", false},
        {"http://a:81", "http", "a", false},       {"http://a", "http", "a:7172", false},
        {"http://b", "http", "a", false},          {"http://a.b", "http", "a", false},
        {"null", "http", "null", false},           {"ftp://a", "http", "a", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strobe_http_origin origin;
        struct strobe_http_host host;

        assert_true(strobe_http_parse_origin(slice(rows[i].origin), &origin));
        assert_true(strobe_http_parse_host(slice(rows[i].host), &host));
        assert_int_equal(strobe_http_same_origin(&origin, rows[i].scheme, &host), rows[i].same);
    }
}

static void test_broken_origins_are_refused(void **state) {
    static const char *const bad[] = {
        "",          "a",          "http:",      "http:/a", "http://",           "://a",
        "http://a/", "http://a/b", "http://u@a", "NULL",    "http://a http://b", "http://a,http://b",
        "1http://a", "http//a",    "null "};
    struct strobe_http_origin origin;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(strobe_http_parse_origin(slice(bad[i]), &origin));
    }
    assert_true(strobe_http_parse_origin(slice("null"), &origin));
    assert_true(origin.is_opaque);
    assert_false(strobe_http_origins_equal(&origin, &origin));
}

static void test_etags_match_by_version(void **state) {
    enum { MATCH = STROBE_HTTP_ETAG_MATCH, OTHER = STROBE_HTTP_ETAG_NO_MATCH, BAD = STROBE_HTTP_ETAG_INVALID };
    static const struct {
        const char *list;
        int strong, weak, absent;
    } rows[] = {
        {"\"7\"", MATCH, MATCH, OTHER},
        {" \"7\" ", MATCH, MATCH, OTHER},
        {"W/\"7\"", OTHER, MATCH, OTHER},
        {"\"6\", \"7\"", MATCH, MATCH, OTHER},
        {"\"6\",,W/\"7\" ,", OTHER, MATCH, OTHER},
        {"*", MATCH, MATCH, OTHER},
        {"\"07\"", OTHER, OTHER, OTHER},
        {"\"+7\"", OTHER, OTHER, OTHER},
        {"\"\"", OTHER, OTHER, OTHER},
        {"\"a,b\"", OTHER, OTHER, OTHER},
        {"\"77\"", OTHER, OTHER, OTHER},
        {"7", BAD, BAD, BAD},
        {"\"7", BAD, BAD, BAD},
        {"7\"", BAD, BAD, BAD},
        {"\"7\" \"8\"", BAD, BAD, BAD},
        {"\"7\"x", BAD, BAD, BAD},
        {"w/\"7\"", BAD, BAD, BAD},
        {"W/7", BAD, BAD, BAD},
        {"W/", BAD, BAD, BAD},
        {"*, \"7\"", BAD, BAD, BAD},
        {"\"7\", *", BAD, BAD, BAD},
        {"**", BAD, BAD, BAD},
        {"", BAD, BAD, BAD},
        {",", BAD, BAD, BAD},
        {"\"a b\"", BAD, BAD, BAD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(strobe_http_match_etag(slice(rows[i].list), 7, true, true), rows[i].strong);
        assert_int_equal(strobe_http_match_etag(slice(rows[i].list), 7, true, false), rows[i].weak);
        assert_int_equal(strobe_http_match_etag(slice(rows[i].list), 7, false, true), rows[i].absent);
    }
}

static void test_lists_have_members(void **state) {
    struct strobe_slice rest = slice(" a , ,\"b,\\\",c\" ,d"), member;

    (void)state;
    assert_true(strobe_http_next_member(&rest, &member));
    assert_slice(member, "a");
    assert_true(strobe_http_next_member(&rest, &member));
    assert_slice(member, "\"b,\\\",c\"");
    assert_true(strobe_http_next_member(&rest, &member));
    assert_slice(member, "d");
    assert_false(strobe_http_next_member(&rest, &member));
    assert_true(strobe_http_list_has(slice("Keep-Alive,CLOSE"), "close"));
    assert_false(strobe_http_list_has(slice("closed, not close"), "close"));
}

static void test_accept_must_name_the_type(void **state) {
    static const struct {
        const char *accept;
        bool yes;
    } rows[] = {
        {"application/x-ndjson", true},
        {"text/html, Application/X-NDJSON;q=0.1", true},
        {"application/x-ndjson ; charset=utf-8 ; Q=1", true},
        {"application/x-ndjson;q=0", false},
        {"application/x-ndjson; q=0.000", false},
        {"application/x-ndjson;q=0.001", true},
        {"application/x-ndjson;q=0., */*", false},
        {"*/*", false},
        {"application/*", false},
        {"application/x-ndjsonp", false},
        {"", false},
        {"text/plain;x=\"application/x-ndjson,\"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(strobe_http_accepts(slice(rows[i].accept), "application/x-ndjson"), rows[i].yes);
    }
    assert_true(strobe_http_media_type_is(slice("Application/X-WWW-Form-Urlencoded; charset=x"),
                                          "application/x-www-form-urlencoded"));
    assert_false(strobe_http_media_type_is(slice("multipart/form-datax"), "multipart/form-data"));
}

static void test_ranges_are_single_or_ignored(void **state) {
    enum { WHOLE = STROBE_HTTP_RANGE_WHOLE, PART = STROBE_HTTP_RANGE_PART, NOT = STROBE_HTTP_RANGE_UNSATISFIABLE };
    static const struct {
        const char *text;
        uint64_t size;
        int result;
        uint64_t first, length;
    } rows[] = {
        {"bytes=0-0", 10, PART, 0, 1},
        {"bytes=2-5", 10, PART, 2, 4},
        {"bytes=9-", 10, PART, 9, 1},
        {"bytes=-3", 10, PART, 7, 3},
        {"bytes=-30", 10, PART, 0, 10},
        {"bytes=5-99", 10, PART, 5, 5},
        {"Bytes=0-", 10, PART, 0, 10},
        {"bytes=10-", 10, NOT, 0, 0},
        {"bytes=-0", 10, NOT, 0, 0},
        {"bytes=0-0", 0, NOT, 0, 0},
        {"bytes=-1", 0, NOT, 0, 0},
        {"bytes=5-4", 10, WHOLE, 0, 0},
        {"bytes=0-1,3-4", 10, WHOLE, 0, 0},
        {"bytes=-", 10, WHOLE, 0, 0},
        {"bytes=", 10, WHOLE, 0, 0},
        {"lines=0-1", 10, WHOLE, 0, 0},
        {"bytes 0-1", 10, WHOLE, 0, 0},
        {"bytes=a-b", 10, WHOLE, 0, 0},
        {"bytes=0x1-2", 10, WHOLE, 0, 0},
        {"bytes=1", 10, WHOLE, 0, 0},
        {"bytes=1-2-3", 10, WHOLE, 0, 0},
        {"bytes=99999999999999999999-", 10, NOT, 0, 0},
        {"bytes=2-99999999999999999999", 10, PART, 2, 8},
        {"bytes=-99999999999999999999", 10, PART, 0, 10},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t first = 0, length = 0;

        assert_int_equal(strobe_http_parse_range(slice(rows[i].text), rows[i].size, &first, &length), rows[i].result);
        assert_int_equal(first, rows[i].first);
        assert_int_equal(length, rows[i].length);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes_stand_for_bytes),
        cmocka_unit_test(test_broken_escapes_are_refused),
        cmocka_unit_test(test_what_is_encoded_is_decoded),
        cmocka_unit_test(test_parameters_come_in_order),
        cmocka_unit_test(test_a_switch_is_off_only_when_it_says_so),
        cmocka_unit_test(test_times_to_live_have_units),
        cmocka_unit_test(test_hosts_are_names_or_addresses),
        cmocka_unit_test(test_ipv4_addresses_are_those_of_inet_pton),
        cmocka_unit_test(test_broken_hosts_are_refused),
        cmocka_unit_test(test_origins_equal_only_their_own),
        cmocka_unit_test(test_broken_origins_are_refused),
        cmocka_unit_test(test_etags_match_by_version),
        cmocka_unit_test(test_lists_have_members),
        cmocka_unit_test(test_accept_must_name_the_type),
        cmocka_unit_test(test_ranges_are_single_or_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
