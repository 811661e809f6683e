/* test_http_policy.c - who is let in by Host and Origin, as a table of requests and verdicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/http_request.h"
#include "server/config.h"
#include "server/http_policy.h"

static char *const allowed[] = {(char[]){"kv.example.org"}, (char[]){"other.example"}};
static const struct config_list allow_host = {(char **)allowed, 2};
static const struct http_policy policy = {.allow_host = &allow_host, .scheme = "http"};

/* The verdict on a request of METHOD with these header LINES. */
static enum http_policy_verdict judge(const struct http_policy *rules, struct http_policy_memo *memo,
                                      const char *method, const char *lines) {
    struct strobe_http_request request;
    enum http_policy_verdict verdict;
    char text[512];
    size_t used;
    int len = snprintf(text, sizeof text, "%s /kv/k HTTP/1.1\r\n%s\r\n", method, lines);

    assert_true(strobe_http_request_init(&request, NULL));
    assert_int_equal(strobe_http_request_feed(&request, text, (size_t)len, &used), STROBE_HTTP_HEAD);
    verdict = http_policy_check(rules, memo, &request);
    strobe_http_request_fini(&request);
    return verdict;
}

static void check(const char *method, const char *lines, enum http_policy_verdict wanted) {
    struct http_policy_memo memo = {0};

    /* Twice: what is remembered must not change the verdict. */
    for (int i = 0; i < 2; i++) {
        if (judge(&policy, &memo, method, lines) != wanted) fail_msg("%s: %s", method, lines);
    }
}

static void test_host_must_be_one_that_no_stranger_can_name(void **state) {
    static const char *const good[] = {"127.0.0.1",    "127.0.0.1:99", "[::1]",          "[::1]:7172",
                                       "10.0.0.7",     "localhost",    "LOCALHOST:1",    "strobe",
                                       "strobe:7172",  "a.localhost",  "kv.example.org", "KV.EXAMPLE.ORG:80",
                                       "other.example"};
    static const char *const foreign[] = {"evil.example",     "kv.example.org.evil.example", "xkv.example.org",
                                          "127.0.0.1.nip.io", "localhost.evil.example",      "evil%2Eexample"};
    char lines[128];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(lines, sizeof lines, "Host: %s\r\n", good[i]);
        check("GET", lines, HTTP_POLICY_PASS);
        check("PUT", lines, HTTP_POLICY_PASS);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        snprintf(lines, sizeof lines, "Host: %s\r\n", foreign[i]);
        check("GET", lines, HTTP_POLICY_FOREIGN_HOST);
        check("PUT", lines, HTTP_POLICY_FOREIGN_HOST);
    }
}

static void test_unsafe_methods_need_our_own_origin(void **state) {
    static const char *const own[] = {"", "Origin: http://localhost:80\r\n", "Origin: HTTP://LocalHost\r\n",
                                      "Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost\r\n",
                                      "Sec-Fetch-Site: none\r\n"};
    static const char *const foreign[] = {"Origin: null\r\n",
                                          "Origin: http://localhost:81\r\n",
                                          "Origin: https://localhost\r\n",
                                          "Origin: http://evil.example\r\n",
                                          "Origin: nonsense\r\n",
                                          "Sec-Fetch-Site: cross-site\r\n",
                                          "Sec-Fetch-Site: cross-site\r\nOrigin: http://localhost\r\n"};
    static const char *const unsafe[] = {"PUT", "POST", "PATCH", "DELETE"};
    char lines[256];

    (void)state;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        snprintf(lines, sizeof lines, "Host: localhost\r\n%s", own[i]);
        for (size_t m = 0; m < 4; m++) check(unsafe[m], lines, HTTP_POLICY_PASS);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        snprintf(lines, sizeof lines, "Host: localhost\r\n%s", foreign[i]);
        check("GET", lines, HTTP_POLICY_PASS);
        check("HEAD", lines, HTTP_POLICY_PASS);
        for (size_t m = 0; m < 4; m++) check(unsafe[m], lines, HTTP_POLICY_FOREIGN_ORIGIN);
    }
}

static void test_memory_of_one_host_lets_no_other_in(void **state) {
    struct http_policy_memo memo = {0};

    (void)state;
    assert_int_equal(judge(&policy, &memo, "GET", "Host: localhost\r\n"), HTTP_POLICY_PASS);
    assert_int_equal(judge(&policy, &memo, "GET", "Host: localhosx.evil\r\n"), HTTP_POLICY_FOREIGN_HOST);
    assert_int_equal(judge(&policy, &memo, "GET", "Host: kv.example.org\r\n"), HTTP_POLICY_PASS);
    const struct config_list none = {NULL, 0};
    const struct http_policy strict = {.allow_host = &none, .scheme = "http"};
    assert_int_equal(judge(&strict, &memo, "GET", "Host: kv.example.org\r\n"), HTTP_POLICY_FOREIGN_HOST);
    assert_int_equal(judge(&strict, &memo, "GET", "Host: localhost\r\n"), HTTP_POLICY_PASS);
}

static void test_password_frees_host_but_not_origin(void **state) {
    struct http_policy guarded = policy;
    struct http_policy_memo memo = {0};

    (void)state;
    guarded.any_host = true;
    assert_int_equal(judge(&guarded, &memo, "GET", "Host: evil.example\r\n"), HTTP_POLICY_PASS);
    assert_int_equal(judge(&guarded, &memo, "PUT", "Host: a.example\r\nOrigin: http://b.example\r\n"),
                     HTTP_POLICY_FOREIGN_ORIGIN);
}

static void test_allowed_origins_may_write_and_only_they(void **state) {
    char *const origins[] = {(char[]){"https://app.example"}, (char[]){"http://localhost:3000"}};
    char *const all[] = {(char[]){"*"}};
    const struct config_list some_list = {(char **)origins, 2}, all_list = {(char **)all, 1};
    struct http_policy some = policy, any = policy;
    struct http_policy_memo memo = {0};

    (void)state;
    some.allow_origin = &some_list;
    any.allow_origin = &all_list;
    assert_int_equal(judge(&some, &memo, "PUT", "Host: a\r\nOrigin: https://app.example\r\n"), HTTP_POLICY_PASS);
    assert_int_equal(
        judge(&some, &memo, "PUT", "Host: a\r\nOrigin: https://APP.example:443\r\nSec-Fetch-Site: cross-site\r\n"),
        HTTP_POLICY_PASS);
    assert_int_equal(judge(&some, &memo, "PUT", "Host: a\r\nOrigin: http://app.example\r\n"),
                     HTTP_POLICY_FOREIGN_ORIGIN);
    assert_int_equal(judge(&some, &memo, "PUT", "Host: a\r\nOrigin: null\r\n"), HTTP_POLICY_FOREIGN_ORIGIN);
    assert_int_equal(judge(&some, &memo, "PUT", "Host: a\r\nSec-Fetch-Site: cross-site\r\n"),
                     HTTP_POLICY_FOREIGN_ORIGIN);
    assert_int_equal(judge(&any, &memo, "PUT", "Host: a\r\nOrigin: null\r\n"), HTTP_POLICY_PASS);
    assert_int_equal(judge(&any, &memo, "PUT", "Host: evil.example\r\nOrigin: null\r\n"), HTTP_POLICY_FOREIGN_HOST);
}

static void test_refusals_say_what_to_do(void **state) {
    (void)state;
    assert_int_equal(http_policy_refusal(HTTP_POLICY_BAD_HOST).status, 400);
    assert_int_equal(http_policy_refusal(HTTP_POLICY_FOREIGN_HOST).status, 403);
    assert_non_null(strstr(http_policy_refusal(HTTP_POLICY_FOREIGN_HOST).detail, "allow-host"));
    assert_int_equal(http_policy_refusal(HTTP_POLICY_FOREIGN_ORIGIN).status, 403);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_must_be_one_that_no_stranger_can_name),
        cmocka_unit_test(test_unsafe_methods_need_our_own_origin),
        cmocka_unit_test(test_memory_of_one_host_lets_no_other_in),
        cmocka_unit_test(test_password_frees_host_but_not_origin),
        cmocka_unit_test(test_allowed_origins_may_write_and_only_they),
        cmocka_unit_test(test_refusals_say_what_to_do),
    };

    strobe_http_request_setup(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
