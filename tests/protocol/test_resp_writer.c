/* test_resp_writer.c - every kind of item in RESP2 and RESP3, byte for byte. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/resp_writer.h"
#include "tests/protocol/failing_malloc.h"

struct world {
    struct strobe_out_pool pool;
    struct strobe_out out;
    struct strobe_reply reply;
    char *text; /* what was written since the last look */
};

static void world_init(struct world *world, enum strobe_resp_version version, size_t max) {
    world->text = NULL;
    strobe_out_pool_init(&world->pool, 4);
    strobe_out_init(&world->out, &world->pool, max);
    strobe_resp_writer_init(&world->reply, &world->out, version);
}

static void world_fini(struct world *world) {
    free(world->text);
    strobe_out_fini(&world->out);
    strobe_out_pool_fini(&world->pool);
}

/* Takes all pending bytes; gives them as a string. */
static struct strobe_slice written(struct world *world) {
    size_t len = strobe_out_pending(&world->out);
    struct iovec vec[64];
    size_t n = strobe_out_gather(&world->out, vec, 64);
    size_t at = 0;

    free(world->text);
    world->text = __real_malloc(len + 1);
    assert_non_null(world->text);
    for (size_t i = 0; i < n; i++) {
        memcpy(world->text + at, vec[i].iov_base, vec[i].iov_len);
        at += vec[i].iov_len;
    }
    assert_int_equal(at, len);
    world->text[len] = '\0';
    strobe_out_consume(&world->out, len);
    return strobe_slice_make(world->text, len);
}

static void drop_nothing(void *owner) {
    ++*(int *)owner;
}

/* One of each. */
static void write_all(struct strobe_reply *reply, int *releases) {
    char *room;

    strobe_reply_ok(reply);
    strobe_reply_error(reply, "NOSCAN", "the scan has expired");
    strobe_reply_errorf(reply, "ERR", "wrong number of arguments for '%.*s' command", 3, "getx");
    strobe_reply_integer(reply, -42);
    strobe_reply_integer(reply, 7);
    strobe_reply_real(reply, 1.5);
    strobe_reply_real(reply, -INFINITY);
    strobe_reply_boolean(reply, true);
    strobe_reply_boolean(reply, false);
    strobe_reply_null(reply);
    strobe_reply_null_array(reply);
    strobe_reply_bulk(reply, STROBE_SLICE("a\0b"));
    strobe_reply_bulk(reply, strobe_slice_make(NULL, 0));
    strobe_reply_bulk_borrowed(reply, STROBE_SLICE("borrowed"), drop_nothing, releases);
    strobe_reply_bulk_borrowed(reply, STROBE_SLICE(""), drop_nothing, releases);
    room = strobe_reply_bulk_begin(reply, 5);
    memcpy(room, "begun", 5);
    strobe_reply_bulk_end(reply);
    strobe_reply_bulk_uint64(reply, 12345678901234567890u);
    strobe_reply_verbatim(reply, "txt", STROBE_SLICE("Some string"));
    strobe_reply_big_number(reply, STROBE_SLICE("-3492890328409238509324850943850943825024385"));
    strobe_reply_array(reply, 0);
    strobe_reply_array(reply, 1048576);
    strobe_reply_map(reply, 6);
    strobe_reply_set(reply, 3);
    strobe_reply_push(reply, 2);
}

static void test_resp2_writes_every_item(void **state) {
    struct world world;
    int releases = 0;

    (void)state;
    world_init(&world, STROBE_RESP2, 1 << 20);
    write_all(&world.reply, &releases);
    assert_int_equal(world.reply.errors, 2);
    assert_true(strobe_slice_equal(
        written(&world),
        STROBE_SLICE(
            "+OK\r\n-NOSCAN the scan has expired\r\n-ERR wrong number of arguments for 'get' command\r\n:-42\r\n"
            ":7\r\n$3\r\n1.5\r\n$4\r\n-inf\r\n:1\r\n:0\r\n$-1\r\n*-1\r\n$3\r\na\0b\r\n$0\r\n\r\n$8\r\nborrowed\r\n"
            "$0\r\n\r\n$5\r\nbegun\r\n$20\r\n12345678901234567890\r\n$11\r\nSome string\r\n"
            "$44\r\n-3492890328409238509324850943850943825024385\r\n*0\r\n*1048576\r\n*12\r\n*3\r\n*2\r\n")));
    assert_int_equal(releases, 2);
    world_fini(&world);
}

static void test_resp3_writes_every_item(void **state) {
    struct world world;
    int releases = 0;

    (void)state;
    world_init(&world, STROBE_RESP3, 1 << 20);
    write_all(&world.reply, &releases);
    assert_true(strobe_slice_equal(
        written(&world),
        STROBE_SLICE(
            "+OK\r\n-NOSCAN the scan has expired\r\n-ERR wrong number of arguments for 'get' command\r\n:-42\r\n"
            ":7\r\n,1.5\r\n,-inf\r\n#t\r\n#f\r\n_\r\n_\r\n$3\r\na\0b\r\n$0\r\n\r\n$8\r\nborrowed\r\n"
            "$0\r\n\r\n$5\r\nbegun\r\n$20\r\n12345678901234567890\r\n=15\r\ntxt:Some string\r\n"
            "(-3492890328409238509324850943850943825024385\r\n*0\r\n*1048576\r\n%6\r\n~3\r\n>2\r\n")));
    assert_int_equal(releases, 2);
    world_fini(&world);
}

static void test_version_changes_with_the_next_item(void **state) {
    struct world world;

    (void)state;
    world_init(&world, STROBE_RESP2, 1000);
    strobe_reply_null(&world.reply);
    strobe_resp_writer_set_version(&world.reply, STROBE_RESP3);
    strobe_reply_null(&world.reply);
    assert_string_equal(written(&world).data, "$-1\r\n_\r\n");
    world_fini(&world);
}

static void test_lines_cannot_be_broken_from_outside(void **state) {
    struct world world;
    char longest[3 * STROBE_ERROR_TEXT_MAX];

    (void)state;
    world_init(&world, STROBE_RESP2, 1 << 20);
    strobe_reply_status(&world.reply, STROBE_SLICE("a\r\n+b"));
    strobe_reply_error(&world.reply, "E\rR", "x\r\n$5\ny\r\n\n");
    assert_string_equal(written(&world).data, "+a  +b\r\n-E R x  $5 y\r\n");
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    strobe_reply_error(&world.reply, "ERR", longest);
    assert_int_equal(written(&world).len, 5 + STROBE_ERROR_TEXT_MAX + 2);
    strobe_reply_errorf(&world.reply, "ERR", "%s", longest);
    assert_int_equal(written(&world).len, 5 + STROBE_ERROR_TEXT_MAX + 2);
    strobe_reply_status(&world.reply, strobe_slice_make(longest, sizeof longest - 1));
    assert_int_equal(written(&world).len, 1 + STROBE_ERROR_TEXT_MAX + 2);
    world_fini(&world);
}

static void test_bulks_of_every_length_are_framed(void **state) {
    static char value[100000];
    struct world world;

    (void)state;
    memset(value, 'v', sizeof value);
    world_init(&world, STROBE_RESP2, 1 << 20);
    for (size_t len = 0; len < sizeof value; len = len * 5 / 4 + 1) {
        struct strobe_slice got;
        char header[32];
        size_t n = (size_t)snprintf(header, sizeof header, "$%zu\r\n", len);

        strobe_reply_bulk(&world.reply, strobe_slice_make(value, len));
        got = written(&world);
        assert_int_equal(got.len, n + len + 2);
        assert_memory_equal(got.data, header, n);
        assert_memory_equal(got.data + n, value, len);
        assert_memory_equal(got.data + n + len, "\r\n", 2);
    }
    world_fini(&world);
}

static void test_a_prepared_bulk_does_not_allocate(void **state) {
    struct world world;

    (void)state;
    world_init(&world, STROBE_RESP2, 1 << 20);
    for (int i = 0; i < 20; i++) {
        char *room;

        assert_true(strobe_reply_prepare(&world.reply));
        fail_allocation(SIZE_MAX);
        room = strobe_reply_bulk_begin(&world.reply, STROBE_COPY_MAX);
        memset(room, 'v', STROBE_COPY_MAX);
        strobe_reply_bulk_end(&world.reply);
        assert_int_equal(allocations_made, 0);
    }
    assert_int_equal(written(&world).len, 20 * (8 + STROBE_COPY_MAX + 2));
    world_fini(&world);
}

static void test_each_allocation_failing_leaves_a_status(void **state) {
    bool failed = true;

    (void)state;
    for (size_t n = 0; failed; n++) {
        struct world world;
        struct strobe_reply_mark mark;
        int releases = 0;

        fail_allocation(n);
        world_init(&world, n % 2 == 0 ? STROBE_RESP2 : STROBE_RESP3, 1 << 20);
        mark = strobe_reply_mark(&world.reply);
        for (int i = 0; i < 10; i++) {
            char *room;

            strobe_reply_bulk_borrowed(&world.reply, STROBE_SLICE("borrowed"), drop_nothing, &releases);
            strobe_reply_verbatim(&world.reply, "txt", STROBE_SLICE("text"));
            strobe_reply_real(&world.reply, 0.1);
            strobe_reply_big_number(&world.reply, STROBE_SLICE("1"));
            strobe_reply_error(&world.reply, "ERR", "x");
            room = strobe_reply_bulk_begin(&world.reply, 10000);
            if (room != NULL) {
                memset(room, 'v', 10000);
            }
            strobe_reply_bulk_end(&world.reply);
        }
        failed = allocation_failed();
        fail_allocation(SIZE_MAX);
        assert_int_equal(strobe_out_status(&world.out), failed ? STROBE_BUF_NO_MEMORY : STROBE_BUF_OK);
        strobe_reply_rewind(&world.reply, mark);
        strobe_reply_error(&world.reply, "OOM", "out of memory");
        assert_string_equal(written(&world).data, "-OOM out of memory\r\n");
        assert_int_equal(releases, 10);
        assert_int_equal(world.reply.errors, 1);
        world_fini(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp2_writes_every_item),
        cmocka_unit_test(test_resp3_writes_every_item),
        cmocka_unit_test(test_version_changes_with_the_next_item),
        cmocka_unit_test(test_lines_cannot_be_broken_from_outside),
        cmocka_unit_test(test_bulks_of_every_length_are_framed),
        cmocka_unit_test(test_a_prepared_bulk_does_not_allocate),
        cmocka_unit_test(test_each_allocation_failing_leaves_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
