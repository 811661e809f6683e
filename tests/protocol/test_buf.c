/* test_buf.c - both buffers against plain arrays, at their limits, and with each allocation failing. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/buf.h"
#include "tests/protocol/failing_malloc.h"

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* ---- strobe_buf ------------------------------------------------------------------------------- */

static void assert_holds(const struct strobe_buf *buf, const char *bytes, size_t len) {
    struct strobe_slice held = strobe_buf_bytes(buf);

    assert_int_equal(held.len, len);
    if (len > 0) {
        assert_memory_equal(held.data, bytes, len);
    }
}

static void test_buf_keeps_bytes_through_every_change(void **state) {
    static char model[70000];
    struct strobe_buf buf;
    size_t len = 0;
    uint64_t random = 1;

    (void)state;
    strobe_buf_init(&buf, sizeof model);
    for (int step = 0; step < 20000; step++) {
        char bytes[500];
        size_t n = next_random(&random) % sizeof bytes;

        switch (next_random(&random) % 5) {
        case 0:
        case 1:
            memset(bytes, (int)(next_random(&random) % 256), sizeof bytes);
            if (len + n <= sizeof model) {
                assert_int_equal(strobe_buf_append(&buf, strobe_slice_make(bytes, n)), STROBE_BUF_OK);
                memcpy(model + len, bytes, n);
                len += n;
            } else {
                assert_int_equal(strobe_buf_append(&buf, strobe_slice_make(bytes, n)), STROBE_BUF_FULL);
            }
            break;
        case 2:
            n = n < len ? n : len;
            strobe_buf_consume(&buf, n);
            memmove(model, model + n, len - n);
            len -= n;
            break;
        case 3: strobe_buf_trim(&buf); break;
        default:
            n = 1 + n;
            assert_int_equal(strobe_buf_reserve(&buf, n), len + n <= sizeof model ? STROBE_BUF_OK : STROBE_BUF_FULL);
            break;
        }
        assert_holds(&buf, model, len);
    }
    strobe_buf_fini(&buf);
}

static void test_buf_takes_its_maximum_and_not_one_byte_more(void **state) {
    struct strobe_buf buf;
    size_t room;

    (void)state;
    strobe_buf_init(&buf, 5);
    assert_int_equal(strobe_buf_append(&buf, STROBE_SLICE("12345")), STROBE_BUF_OK);
    assert_int_equal(strobe_buf_append(&buf, STROBE_SLICE("6")), STROBE_BUF_FULL);
    assert_int_equal(strobe_buf_reserve(&buf, SIZE_MAX), STROBE_BUF_FULL);
    assert_int_equal(strobe_buf_expect(&buf, 1), STROBE_BUF_FULL);
    (void)strobe_buf_room(&buf, &room);
    assert_int_equal(room, 0);
    assert_holds(&buf, "12345", 5);
    strobe_buf_fini(&buf);
    strobe_buf_init(&buf, 5);
    assert_int_equal(strobe_buf_append(&buf, STROBE_SLICE("123456")), STROBE_BUF_FULL);
    assert_int_equal(strobe_buf_len(&buf), 0);
    strobe_buf_fini(&buf);
}

static void test_buf_grows_with_bytes_received_not_announced(void **state) {
    struct strobe_buf buf;
    size_t total = (size_t)40 << 20;
    size_t got = 0;

    (void)state;
    strobe_buf_init(&buf, (size_t)1 << 30);
    fail_allocation(SIZE_MAX);
    while (got < total) {
        size_t room;
        char *to;

        assert_int_equal(strobe_buf_expect(&buf, total - got), STROBE_BUF_OK);
        to = strobe_buf_room(&buf, &room);
        assert_true(room > 0);
        assert_true(buf.capacity <= 2 * (got > STROBE_READ_SIZE ? got : STROBE_READ_SIZE));
        room = room < STROBE_READ_SIZE ? room : STROBE_READ_SIZE;
        memset(to, 'v', room);
        strobe_buf_added(&buf, room);
        got += room;
    }
    assert_int_equal(allocation_largest, total);
    assert_true(allocations_made < 15);
    strobe_buf_fini(&buf);
}

static void test_buf_takes_many_small_words_in_few_reads(void **state) {
    struct strobe_buf buf;
    size_t total = (size_t)40 << 20, got = 0, reads = 0;

    (void)state;
    strobe_buf_init(&buf, (size_t)1 << 30);
    fail_allocation(SIZE_MAX);
    for (; got < total; reads++) {
        size_t room;
        char *to;

        assert_int_equal(strobe_buf_expect(&buf, 7), STROBE_BUF_OK);
        to = strobe_buf_room(&buf, &room);
        assert_true(room > 0);
        memset(to, 'v', room);
        strobe_buf_added(&buf, room);
        got += room;
    }
    assert_true(reads < 100);
    assert_true(allocations_made < 100);
    assert_true(allocation_largest <= total + total / 4);
    strobe_buf_fini(&buf);
}

static void test_buf_costs_nothing_when_drained_and_trimmed(void **state) {
    struct strobe_buf buf;

    (void)state;
    strobe_buf_init(&buf, 100000);
    assert_int_equal(strobe_buf_reserve(&buf, 100000), STROBE_BUF_OK);
    assert_int_equal(strobe_buf_append(&buf, STROBE_SLICE("abc")), STROBE_BUF_OK);
    strobe_buf_consume(&buf, 1);
    strobe_buf_trim(&buf);
    assert_true(buf.capacity < 1000);
    assert_holds(&buf, "bc", 2);
    strobe_buf_consume(&buf, 2);
    strobe_buf_trim(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.capacity, 0);
    strobe_buf_fini(&buf);
}

static void test_buf_without_memory_keeps_what_it_has(void **state) {
    struct strobe_buf buf;

    (void)state;
    strobe_buf_init(&buf, 1000000);
    assert_int_equal(strobe_buf_append(&buf, STROBE_SLICE("0123456789")), STROBE_BUF_OK);
    strobe_buf_consume(&buf, 3);
    fail_allocation(0);
    assert_int_equal(strobe_buf_reserve(&buf, 500000), STROBE_BUF_NO_MEMORY);
    assert_holds(&buf, "3456789", 7);
    assert_int_equal(strobe_buf_reserve(&buf, 500000), STROBE_BUF_OK);
    fail_allocation(0);
    strobe_buf_trim(&buf);
    assert_holds(&buf, "3456789", 7);
    fail_allocation(SIZE_MAX);
    strobe_buf_fini(&buf);
}

/* ---- strobe_out ------------------------------------------------------------------------------- */

#define WORLD_MAX ((size_t)400000)

/* A chain, and the flat bytes that it should hold. */
struct world {
    struct strobe_out_pool pool;
    struct strobe_out out;
    char model[WORLD_MAX];
    size_t len;
    size_t borrowed, released;
    char source[3 * STROBE_OUT_CHUNK];
    uint64_t random;
};

static struct world *world_new(uint64_t seed) {
    struct world *world = __real_malloc(sizeof *world);

    assert_non_null(world);
    memset(world, 0, sizeof *world);
    world->random = seed;
    for (size_t i = 0; i < sizeof world->source; i++) {
        world->source[i] = (char)next_random(&world->random);
    }
    strobe_out_pool_init(&world->pool, 4);
    strobe_out_init(&world->out, &world->pool, WORLD_MAX);
    return world;
}

static void world_free(struct world *world) {
    strobe_out_fini(&world->out);
    assert_int_equal(strobe_out_memory(&world->out), 0);
    assert_int_equal(world->borrowed, world->released);
    assert_true(world->pool.spares <= 4);
    strobe_out_pool_fini(&world->pool);
    free(world);
}

static void count_release(void *owner) {
    ((struct world *)owner)->released++;
}

/* Some bytes of a random length up to MAX from a random place. */
static struct strobe_slice world_bytes(struct world *world, size_t max) {
    size_t len = next_random(&world->random) % (max + 1);

    return strobe_slice_make(world->source + next_random(&world->random) % (sizeof world->source - len), len);
}

static void world_add(struct world *world, struct strobe_slice bytes) {
    if (strobe_out_status(&world->out) == STROBE_BUF_OK) {
        memcpy(world->model + world->len, bytes.data, bytes.len);
        world->len += bytes.len;
    }
}

static void world_append_to(struct world *world, struct strobe_out *out) {
    struct strobe_slice bytes = world_bytes(world, next_random(&world->random) % 8 == 0 ? 70000 : 300);
    char *room;

    switch (next_random(&world->random) % 4) {
    case 0:
        world->borrowed++;
        strobe_out_borrow(out, bytes, count_release, world);
        break;
    case 1: strobe_out_append(out, bytes); break;
    default:
        bytes.len = bytes.len % STROBE_OUT_RESERVE_MAX;
        room = strobe_out_reserve(out, bytes.len + 1);
        if (room != NULL) {
            memcpy(room, bytes.data, bytes.len);
            strobe_out_commit(out, bytes.len);
        }
        break;
    }
    if (strobe_out_status(out) == STROBE_BUF_OK) {
        world_add(world, bytes);
    }
}

static void world_check(const struct world *world) {
    struct iovec vec[2000];
    size_t n = strobe_out_gather(&world->out, vec, 2000);
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        assert_true(vec[i].iov_len > 0);
        assert_true(at + vec[i].iov_len <= world->len);
        assert_memory_equal(vec[i].iov_base, world->model + at, vec[i].iov_len);
        at += vec[i].iov_len;
    }
    assert_int_equal(at, world->len);
    assert_int_equal(strobe_out_pending(&world->out), world->len);
}

static void world_consume(struct world *world, size_t n) {
    strobe_out_consume(&world->out, n);
    memmove(world->model, world->model + n, world->len - n);
    world->len -= n;
}

/* Writes a few things aside and splices them, or takes them back, or keeps them. */
static void world_step(struct world *world) {
    struct strobe_out aside;
    struct strobe_out_mark mark = strobe_out_mark(&world->out);
    size_t len = world->len;
    size_t n = next_random(&world->random) % 4;

    switch (next_random(&world->random) % 8) {
    case 0: world_consume(world, len == 0 ? 0 : next_random(&world->random) % (len + 1)); break;
    case 1:
        world_consume(world, len);
        assert_null(world->out.open);
        break;
    case 2: strobe_out_shrink(&world->out); break;
    case 3:
        while (n-- > 0) {
            world_append_to(world, &world->out);
        }
        strobe_out_rewind(&world->out, mark);
        world->len = len;
        break;
    case 4:
        strobe_out_init(&aside, &world->pool, WORLD_MAX - world->len);
        while (n-- > 0) {
            world_append_to(world, &aside);
        }
        strobe_out_splice(&world->out, &aside);
        assert_int_equal(strobe_out_pending(&aside), 0);
        strobe_out_fini(&aside);
        break;
    default: world_append_to(world, &world->out); break;
    }
    if (strobe_out_status(&world->out) != STROBE_BUF_OK) {
        strobe_out_rewind(&world->out, mark);
        world->len = len;
    }
    world_check(world);
}

static void test_out_gathers_what_was_appended(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct world *world = world_new(seed);

        for (int step = 0; step < 1500; step++) {
            world_step(world);
        }
        world_free(world);
    }
}

static void test_out_survives_each_allocation_failing(void **state) {
    bool failed = true;

    (void)state;
    for (size_t n = 0; failed; n++) {
        struct world *world = world_new(7);

        fail_allocation(n);
        for (int step = 0; step < 60; step++) {
            world_step(world);
        }
        failed = allocation_failed();
        fail_allocation(SIZE_MAX);
        world_free(world);
    }
}

static void test_out_failure_sticks_until_rewound(void **state) {
    struct world *world = world_new(1);
    struct strobe_out_mark mark;

    (void)state;
    strobe_out_append(&world->out, STROBE_SLICE("before"));
    mark = strobe_out_mark(&world->out);
    fail_allocation(0);
    strobe_out_append(&world->out, strobe_slice_make(world->source, sizeof world->source));
    assert_int_equal(strobe_out_status(&world->out), STROBE_BUF_NO_MEMORY);
    strobe_out_append(&world->out, STROBE_SLICE("x"));
    assert_null(strobe_out_reserve(&world->out, 1));
    world->borrowed++;
    strobe_out_borrow(&world->out, STROBE_SLICE("y"), count_release, world);
    assert_int_equal(world->released, 1);
    strobe_out_rewind(&world->out, mark);
    assert_int_equal(strobe_out_status(&world->out), STROBE_BUF_OK);
    strobe_out_append(&world->out, STROBE_SLICE(" after"));
    memcpy(world->model, "before after", 12);
    world->len = 12;
    world_check(world);
    world_free(world);
}

static void test_out_takes_its_maximum_and_not_one_byte_more(void **state) {
    struct strobe_out_pool pool;
    struct strobe_out out;
    size_t released = 0;
    static const char value[100];

    (void)state;
    (void)released;
    strobe_out_pool_init(&pool, 1);
    strobe_out_init(&out, &pool, 100);
    strobe_out_append(&out, strobe_slice_make(value, 100));
    assert_int_equal(strobe_out_status(&out), STROBE_BUF_OK);
    strobe_out_append(&out, strobe_slice_make(value, 1));
    assert_int_equal(strobe_out_status(&out), STROBE_BUF_FULL);
    assert_int_equal(strobe_out_pending(&out), 100);
    strobe_out_fini(&out);

    strobe_out_append(&out, strobe_slice_make(value, 60));
    assert_non_null(strobe_out_reserve(&out, 40));
    strobe_out_consume(&out, 10);
    assert_non_null(strobe_out_reserve(&out, 50));
    assert_null(strobe_out_reserve(&out, 51));
    assert_int_equal(strobe_out_status(&out), STROBE_BUF_FULL);
    strobe_out_fini(&out);
    strobe_out_pool_fini(&pool);
}

static void test_out_of_small_replies_allocates_once(void **state) {
    struct strobe_out_pool pool;
    struct strobe_out out;

    (void)state;
    strobe_out_pool_init(&pool, STROBE_OUT_POOL_MAX);
    strobe_out_init(&out, &pool, 1 << 20);
    fail_allocation(SIZE_MAX);
    for (int i = 0; i < 10000; i++) {
        strobe_out_append(&out, STROBE_SLICE("+OK\r\n"));
        strobe_out_consume(&out, 5);
    }
    assert_int_equal(allocations_made, 1);
    assert_int_equal(strobe_out_memory(&out), 0);
    strobe_out_fini(&out);
    strobe_out_pool_fini(&pool);
}

static void test_out_bytes_stay_put_while_more_is_appended(void **state) {
    struct world *world = world_new(3);
    struct iovec before[4], after[4];
    size_t n;

    (void)state;
    world_append_to(world, &world->out);
    strobe_out_append(&world->out, STROBE_SLICE("in flight"));
    n = strobe_out_gather(&world->out, before, 4);
    for (int i = 0; i < 2000; i++) {
        strobe_out_append(&world->out, STROBE_SLICE("a reply that comes meanwhile"));
    }
    assert_true(strobe_out_gather(&world->out, after, 4) >= n);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(before[i].iov_base, after[i].iov_base);
    }
    world_free(world);
}

static void test_out_of_a_stalled_reader_shrinks(void **state) {
    struct strobe_out_pool pool;
    struct strobe_out out;
    struct iovec vec;

    (void)state;
    strobe_out_pool_init(&pool, 1);
    strobe_out_init(&out, &pool, 1 << 20);
    strobe_out_append(&out, STROBE_SLICE("few bytes"));
    assert_true(strobe_out_memory(&out) >= STROBE_OUT_CHUNK);
    strobe_out_shrink(&out);
    assert_true(strobe_out_memory(&out) < 100);
    assert_int_equal(strobe_out_gather(&out, &vec, 1), 1);
    assert_memory_equal(vec.iov_base, "few bytes", 9);
    strobe_out_append(&out, STROBE_SLICE(", more"));
    assert_int_equal(strobe_out_pending(&out), 15);
    strobe_out_fini(&out);
    strobe_out_pool_fini(&pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_keeps_bytes_through_every_change),
        cmocka_unit_test(test_buf_takes_its_maximum_and_not_one_byte_more),
        cmocka_unit_test(test_buf_grows_with_bytes_received_not_announced),
        cmocka_unit_test(test_buf_takes_many_small_words_in_few_reads),
        cmocka_unit_test(test_buf_costs_nothing_when_drained_and_trimmed),
        cmocka_unit_test(test_buf_without_memory_keeps_what_it_has),
        cmocka_unit_test(test_out_gathers_what_was_appended),
        cmocka_unit_test(test_out_survives_each_allocation_failing),
        cmocka_unit_test(test_out_failure_sticks_until_rewound),
        cmocka_unit_test(test_out_takes_its_maximum_and_not_one_byte_more),
        cmocka_unit_test(test_out_of_small_replies_allocates_once),
        cmocka_unit_test(test_out_bytes_stay_put_while_more_is_appended),
        cmocka_unit_test(test_out_of_a_stalled_reader_shrinks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
