/* test_bench_options.c - what is good is read, and what is not gets an error that says what was expected. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clients/bench/options.h"

enum { WORDS = 12 };

/* Reads LINE, words with one space between them, cut up in place into TEXT. */
static bool read_line(const char *line, char text[256], enum options_action *action, struct bench_options *options,
                      char error[OPTIONS_ERROR_TEXT]) {
    char *argv[WORDS + 2] = {(char[]){"strobe-bench"}}, *rest = text;
    int argc = 1;

    assert_true(strlen(line) < 256);
    strcpy(text, line);
    while (rest != NULL && *rest != '\0' && argc <= WORDS) argv[argc++] = strsep(&rest, " ");
    return options_read(argc, argv, action, options, error);
}

static struct bench_options good(const char *line, char text[256]) {
    struct bench_options options;
    enum options_action action;
    char error[OPTIONS_ERROR_TEXT] = "";

    if (!read_line(line, text, &action, &options, error)) fail_msg("%s: %s", line, error);
    assert_int_equal(action, OPTIONS_RUN);
    return options;
}

static void test_nothing_gives_the_defaults(void **state) {
    char text[256];
    struct bench_options options = good("", text);

    (void)state;
    assert_string_equal(options.host, "127.0.0.1");
    assert_int_equal(options.port, 7171);
    assert_int_equal(options.clients, 50);
    assert_int_equal(options.requests, 100000);
    assert_int_equal(options.time, 0);
    assert_int_equal(options.ratio.gets, 10);
    assert_int_equal(options.ratio.sets, 1);
    assert_int_equal(options.size.least, 32);
    assert_int_equal(options.size.most, 32);
    assert_int_equal(options.key_size, 16);
    assert_int_equal(options.timeout, 30000);
    assert_null(options.command);
    assert_null(options.unix_socket);
    assert_false(options.check);
    assert_int_equal(options.scan_count, 0);
}

static void test_values_are_read_in_both_forms(void **state) {
    char text[256], other[256];
    struct bench_options a = good("--door http --size 10-2kb --ratio 1:3 --seconds 500ms --dist zipf", text);
    struct bench_options b = good("--door=http --size=10-2kb --ratio=1:3 --seconds=500ms --dist=zipf", other);

    (void)state;
    assert_int_equal(a.door, BENCH_HTTP);
    assert_int_equal(a.port, 7172);
    assert_int_equal(a.size.least, 10);
    assert_int_equal(a.size.most, 2048);
    assert_int_equal(a.ratio.gets, 1);
    assert_int_equal(a.ratio.sets, 3);
    assert_int_equal(a.time, 500);
    assert_int_equal(a.requests, 0);
    assert_int_equal(a.dist, KEYS_ZIPF);
    assert_int_equal(a.size.most, b.size.most);
    assert_int_equal(a.time, b.time);
    assert_int_equal(a.dist, b.dist);
}

static void test_scan_beside_takes_a_count_or_none(void **state) {
    char text[256];

    (void)state;
    assert_int_equal(good("--scan-beside", text).scan_count, 1000);
    assert_int_equal(good("--scan-beside 5 --check", text).scan_count, 5);
    assert_true(good("--scan-beside --check", text).check);
    assert_int_equal(good("--scan-beside=7", text).scan_count, 7);
    assert_int_equal(good("--scan-beside --clients 0 --seconds 1", text).clients, 0);
}

static void test_keys_fit_their_size(void **state) {
    char text[256];

    (void)state;
    assert_int_equal(good("--key-prefix x --keys 1000", text).key_size, 13);
    assert_int_equal(good("--key-prefix x --keys 1000 --key-size 4", text).key_size, 4);
}

static void test_bad_options_say_what_was_expected(void **state) {
    static const char *const bad[][2] = {
        {"--clients x", "--clients: expected a whole number from 0 to 60000, got \"x\""},
        {"--clients 60001", "from 0 to 60000"},
        {"--clients -1", "got \"-1\""},
        {"--clients", "--clients: expected N behind it"},
        {"--clients 1x", "whole number"},
        {"--pipeline 0", "from 1 to 10000"},
        {"--requests 99999999999999999999999", "whole number"},
        {"--door ftp", "--door: expected resp, http or memcached, got \"ftp\""},
        {"--dist normal", "expected uniform, zipf or sequential"},
        {"--size 10-5", "from-to"},
        {"--size 1gb", "up to 512mb"},
        {"--size 5-", "from-to"},
        {"--ratio 1", "gets:sets"},
        {"--ratio 0:0", "gets:sets"},
        {"--seconds 5d", "30 (seconds), 500ms"},
        {"--seconds 0", "30 (seconds), 500ms"},
        {"--seconds 25h", "--seconds: expected a time as 30 (seconds), 500ms, 30s, 5m or 1h, from 1ms to 24h, got"},
        {"--timeout 48h", ", from 1ms to 24h, got \"48h\""},
        {"--warmup 0", ", from 1ms to 24h, got \"0\""},
        {"--ttl 9000h", ", from 1ms to 8760h, got \"9000h\""},
        {"--ratio 2000000:1", "expected gets:sets as 10:1, 1:0 or 0:1, each up to 1000000, got \"2000000:1\""},
        {"--check=yes", "--check takes no value"},
        {"--check --check", "--check is given twice"},
        {"--nosuch 1", "there is no option \"--nosuch\""},
        {"clients", "there is no option \"clients\""},
        {"-c 5", "there is no option \"-c\""},
        {"--requests 5 --seconds 5", "exclude each other"},
        {"--json --quiet", "exclude each other"},
        {"--unix-socket /x --port 1", "takes the place"},
        {"--threads 4 --clients 3", "at most as many as --clients, 3"},
        {"--clients 0 --seconds 1", "needs --scan-beside"},
        {"--clients 0 --scan-beside", "--seconds to end it"},
        {"--clients 0 --scan-beside --seconds 1 --prefill", "needs --clients"},
        {"--scan-values", "needs --scan-beside"},
        {"--scan-beside 0", "from 1 to 1000000"},
        {"--keys 100 --key-size 5", "need 6 bytes, got 5"},
        {"--door memcached --scan-beside", "memcached has no scan"},
        {"--door http --command INCR", "--command is for --door resp"},
        {"--command PING --ratio 1:1", "exclude each other"},
        {"--door http --http-path kv", "begins with /"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bench_options options;
        enum options_action action;
        char text[256], error[OPTIONS_ERROR_TEXT] = "";
        if (read_line(bad[i][0], text, &action, &options, error)) fail_msg("%s was taken", bad[i][0]);
        if (strstr(error, bad[i][1]) == NULL) fail_msg("%s: \"%s\" lacks \"%s\"", bad[i][0], error, bad[i][1]);
    }
}

static void test_help_and_version_need_nothing_else(void **state) {
    struct bench_options options;
    enum options_action action;
    char text[256], error[OPTIONS_ERROR_TEXT];

    (void)state;
    assert_true(read_line("--help", text, &action, &options, error));
    assert_int_equal(action, OPTIONS_HELP);
    assert_true(read_line("--clients 5 --version", text, &action, &options, error));
    assert_int_equal(action, OPTIONS_VERSION);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_gives_the_defaults),
        cmocka_unit_test(test_values_are_read_in_both_forms),
        cmocka_unit_test(test_scan_beside_takes_a_count_or_none),
        cmocka_unit_test(test_keys_fit_their_size),
        cmocka_unit_test(test_bad_options_say_what_was_expected),
        cmocka_unit_test(test_help_and_version_need_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
