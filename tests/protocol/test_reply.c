/* test_reply.c - what a handler may do whatever the encoder: count afterwards, take half a reply back; and that
 * an encoder that is not RESP finds all it needs. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/number.h"
#include "protocol/resp_writer.h"
#include "tests/protocol/failing_malloc.h"

struct world {
    struct strobe_out_pool pool;
    struct strobe_out out;
    struct strobe_reply reply;
    char text[200000];
};

static struct world *world_new(size_t max) {
    struct world *world = __real_malloc(sizeof *world);

    assert_non_null(world);
    strobe_out_pool_init(&world->pool, 4);
    strobe_out_init(&world->out, &world->pool, max);
    strobe_resp_writer_init(&world->reply, &world->out, STROBE_RESP2);
    return world;
}

static void world_free(struct world *world) {
    strobe_out_fini(&world->out);
    strobe_out_pool_fini(&world->pool);
    free(world);
}

static const char *written(struct world *world) {
    struct iovec vec[100];
    size_t n = strobe_out_gather(&world->out, vec, 100);
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        assert_true(at + vec[i].iov_len < sizeof world->text);
        memcpy(world->text + at, vec[i].iov_base, vec[i].iov_len);
        at += vec[i].iov_len;
    }
    world->text[at] = '\0';
    assert_int_equal(at, strobe_out_pending(&world->out));
    strobe_out_consume(&world->out, at);
    return world->text;
}

static void count_release(void *owner) {
    ++*(int *)owner;
}

/* A page of N keys, whose cursor comes first and is known last. */
static void write_page(struct strobe_reply *reply, size_t n) {
    struct strobe_reply_aside aside;

    strobe_reply_aside_begin(reply, &aside);
    for (size_t i = 0; i < n; i++) {
        strobe_reply_bulk_uint64(reply, i);
    }
    strobe_reply_aside_end(reply, &aside);
    strobe_reply_array(reply, 2);
    strobe_reply_bulk_uint64(reply, 99);
    strobe_reply_array_from(reply, &aside, n);
}

static void test_items_put_aside_come_after_their_count(void **state) {
    struct world *world = world_new(1 << 20);
    const char *text;

    (void)state;
    write_page(&world->reply, 3);
    assert_string_equal(written(world), "*2\r\n$2\r\n99\r\n*3\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n");
    write_page(&world->reply, 0);
    assert_string_equal(written(world), "*2\r\n$2\r\n99\r\n*0\r\n");
    strobe_reply_ok(&world->reply);
    write_page(&world->reply, 10000);
    strobe_reply_ok(&world->reply);
    text = written(world);
    assert_memory_equal(text, "+OK\r\n*2\r\n$2\r\n99\r\n*10000\r\n$1\r\n0\r\n", 32);
    assert_string_equal(text + strlen(text) - 15, "$4\r\n9999\r\n+OK\r\n");
    world_free(world);
}

static void test_what_was_put_aside_can_be_dropped(void **state) {
    struct world *world = world_new(1 << 20);
    struct strobe_reply_aside aside;
    int releases = 0;

    (void)state;
    strobe_reply_aside_begin(&world->reply, &aside);
    strobe_reply_bulk_borrowed(&world->reply, STROBE_SLICE("x"), count_release, &releases);
    strobe_reply_aside_end(&world->reply, &aside);
    strobe_reply_aside_drop(&aside);
    assert_int_equal(releases, 1);
    strobe_reply_error(&world->reply, "NOSCAN", "gone");
    assert_string_equal(written(world), "-NOSCAN gone\r\n");
    world_free(world);
}

static void test_asides_share_the_maximum_of_the_reply(void **state) {
    struct world *world = world_new(5000);
    struct strobe_reply_mark mark;

    (void)state;
    strobe_reply_ok(&world->reply);
    mark = strobe_reply_mark(&world->reply);
    write_page(&world->reply, 1000);
    assert_int_equal(strobe_out_status(&world->out), STROBE_BUF_FULL);
    strobe_reply_rewind(&world->reply, mark);
    strobe_reply_error(&world->reply, "ERR", "too large");
    assert_string_equal(written(world), "+OK\r\n-ERR too large\r\n");
    world_free(world);
}

static void test_half_a_reply_is_taken_back(void **state) {
    struct world *world = world_new(1 << 20);
    struct strobe_reply_mark mark;
    int releases = 0;

    (void)state;
    strobe_reply_error(&world->reply, "ERR", "kept");
    mark = strobe_reply_mark(&world->reply);
    strobe_reply_array(&world->reply, 50000);
    for (size_t i = 0; i < 20000; i++) {
        strobe_reply_integer(&world->reply, (int64_t)i);
    }
    strobe_reply_bulk_borrowed(&world->reply, STROBE_SLICE("value"), count_release, &releases);
    strobe_reply_error(&world->reply, "ERR", "dropped");
    assert_int_equal(world->reply.errors, 2);
    strobe_reply_rewind(&world->reply, mark);
    assert_int_equal(releases, 1);
    assert_int_equal(world->reply.errors, 1);
    strobe_reply_ok(&world->reply);
    assert_string_equal(written(world), "-ERR kept\r\n+OK\r\n");
    world_free(world);
}

static void test_each_allocation_failing_can_be_taken_back(void **state) {
    bool failed = true;

    (void)state;
    for (size_t n = 1; failed; n++) { /* the first is the chunk of what stays */
        struct world *world = world_new(1 << 20);
        struct strobe_reply_mark mark;
        int releases = 0;

        fail_allocation(n);
        strobe_reply_ok(&world->reply);
        mark = strobe_reply_mark(&world->reply);
        strobe_reply_bulk_borrowed(&world->reply, STROBE_SLICE("value"), count_release, &releases);
        write_page(&world->reply, 8000);
        failed = allocation_failed();
        fail_allocation(SIZE_MAX);
        assert_int_equal(strobe_out_status(&world->out), failed ? STROBE_BUF_NO_MEMORY : STROBE_BUF_OK);
        strobe_reply_rewind(&world->reply, mark);
        strobe_reply_error(&world->reply, "OOM", "x");
        assert_string_equal(written(world), "+OK\r\n-OOM x\r\n");
        assert_int_equal(releases, 1);
        world_free(world);
    }
}

/* ---- an encoder that is not RESP --------------------------------------------------------------- */

/* JSON's commas and brackets, for integers, arrays and bulks: where `state` and `aside` are needed. */
struct commas {
    size_t depth;
    size_t left[8];
    char scratch[16];
    size_t scratch_len;
};

static void put(struct strobe_reply *reply, const char *text) {
    strobe_out_append(reply->out, strobe_slice_make(text, strlen(text)));
}

/* An item ended: closes what it was the last of. */
static void item_ended(struct strobe_reply *reply) {
    struct commas *commas = reply->state;

    while (commas->depth > 0 && --commas->left[commas->depth - 1] == 0) {
        put(reply, "]");
        commas->depth--;
    }
    if (commas->depth > 0) {
        put(reply, ",");
    }
}

static void json_integer(struct strobe_reply *reply, int64_t value) {
    char text[STROBE_NUMBER_INT64_TEXT];

    strobe_out_append(reply->out, strobe_slice_make(text, strobe_number_format_int64(text, value)));
    item_ended(reply);
}

static char *json_bulk_begin(struct strobe_reply *reply, size_t len) {
    struct commas *commas = reply->state;

    commas->scratch_len = len;
    return len <= sizeof commas->scratch ? commas->scratch : NULL;
}

static void json_bulk_end(struct strobe_reply *reply) {
    struct commas *commas = reply->state;

    put(reply, "\"");
    strobe_out_append(reply->out, strobe_slice_make(commas->scratch, commas->scratch_len));
    put(reply, "\"");
    item_ended(reply);
}

static void json_header(struct strobe_reply *reply, enum strobe_reply_kind kind, size_t n) {
    struct commas *commas = reply->state;

    (void)kind;
    put(reply, n == 0 ? "[]" : "[");
    if (n == 0) {
        item_ended(reply);
    } else {
        commas->left[commas->depth++] = n;
    }
}

static void test_an_encoder_of_json_finds_what_it_needs(void **state) {
    static const struct strobe_reply_ops json = {
        .integer = json_integer, .bulk_begin = json_bulk_begin, .bulk_end = json_bulk_end, .header = json_header};
    struct world *world = world_new(1 << 20);
    struct commas commas = {0};

    (void)state;
    world->reply.ops = &json;
    world->reply.state = &commas;
    strobe_reply_array(&world->reply, 3);
    strobe_reply_integer(&world->reply, 1);
    strobe_reply_array(&world->reply, 2);
    memcpy(strobe_reply_bulk_begin(&world->reply, 3), "abc", 3);
    strobe_reply_bulk_end(&world->reply);
    strobe_reply_array(&world->reply, 0);
    strobe_reply_integer(&world->reply, -2);
    assert_string_equal(written(world), "[1,[\"abc\",[]],-2]");
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_put_aside_come_after_their_count),
        cmocka_unit_test(test_what_was_put_aside_can_be_dropped),
        cmocka_unit_test(test_asides_share_the_maximum_of_the_reply),
        cmocka_unit_test(test_half_a_reply_is_taken_back),
        cmocka_unit_test(test_each_allocation_failing_can_be_taken_back),
        cmocka_unit_test(test_an_encoder_of_json_finds_what_it_needs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
