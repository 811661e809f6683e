/* test_http_openapi.c - /openapi.json describes exactly the methods that the routes have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/http_openapi.h"

/* How many rows describe METHOD of ROUTE, the I-th. */
static size_t rows_of(size_t i, enum strobe_http_method method) {
    const struct http_route *route = http_routes_at(i);
    size_t count = 0;

    for (size_t row = 0; row < http_operations_count(); row++) {
        const struct http_operation *operation = &http_operations[row];
        struct strobe_slice path = strobe_slice_make(operation->path, strlen(operation->path));
        bool is_same = i == 0 ? strcmp(operation->path, "/kv/{key}") == 0 : strobe_slice_equal(path, route->path);

        count += is_same && operation->method == method;
    }
    return count;
}

static void test_every_method_of_every_route_has_one_row(void **state) {
    size_t handlers = 0;

    (void)state;
    for (size_t i = 0; http_routes_at(i) != NULL; i++) {
        for (int method = 0; method < STROBE_METHOD_COUNT; method++) {
            bool is_there = http_routes_at(i)->handlers[method] != NULL;

            if (rows_of(i, (enum strobe_http_method)method) != (size_t)is_there) {
                fail_msg("%.*s %s: a route %s, %zu rows", (int)http_routes_at(i)->path.len,
                         http_routes_at(i)->path.data, strobe_http_method_name((enum strobe_http_method)method),
                         is_there ? "there" : "not there", rows_of(i, (enum strobe_http_method)method));
            }
            handlers += is_there;
        }
    }
    assert_int_equal(handlers, http_operations_count());
}

static void test_rows_of_one_path_stand_together(void **state) {
    (void)state;
    for (size_t i = 0; i < http_operations_count(); i++) {
        for (size_t j = i + 2; j < http_operations_count(); j++) {
            bool is_apart = strcmp(http_operations[j - 1].path, http_operations[i].path) != 0;

            if (is_apart) assert_string_not_equal(http_operations[j].path, http_operations[i].path);
        }
    }
}

static void test_a_body_is_described_where_one_is_taken(void **state) {
    (void)state;
    for (size_t row = 0; row < http_operations_count(); row++) {
        const struct http_operation *operation = &http_operations[row];
        bool takes = operation->method == STROBE_METHOD_PUT || operation->method == STROBE_METHOD_POST ||
                     operation->method == STROBE_METHOD_PATCH;

        assert_int_equal(takes, operation->body != NULL);
        assert_true(operation->id[0] != '\0' && operation->summary[0] != '\0' && operation->statuses[0] != '\0');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_of_every_route_has_one_row),
        cmocka_unit_test(test_rows_of_one_path_stand_together),
        cmocka_unit_test(test_a_body_is_described_where_one_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
