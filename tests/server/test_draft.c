/* test_draft.c - a draft is the value it should be, in slices of any length, also when it is begun anew on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/draft.h"
#include "tests/map/map_world.h"

enum { LEN_MAX = 200000, ROUNDS = 400 };

struct model {
    char bytes[LEN_MAX * 2];
    size_t len;
};

static uint32_t below(struct map_world *w, size_t n) {
    return map_world_below(w, (uint32_t)n);
}

/* Some length: small ones, and those around the border of sharing, are as likely as others. */
static size_t some_len(struct map_world *w) {
    static const size_t lengths[] = {0, 1, 100, STROBE_BLOB_MIN - 1, STROBE_BLOB_MIN, STROBE_BLOB_MIN + 1, LEN_MAX};
    size_t most = lengths[below(w, sizeof lengths / sizeof *lengths)];

    return below(w, 2) ? most : below(w, most + 1);
}

static void write_at(struct model *model, size_t offset, struct strobe_slice bytes) {
    if (offset > model->len) memset(model->bytes + model->len, 0, offset - model->len);
    memcpy(model->bytes + offset, bytes.data, bytes.len);
    if (offset + bytes.len > model->len) model->len = offset + bytes.len;
}

/* Sets k to LEN new bytes, in the map and in MODEL. */
static void set(struct map_world *w, struct model *model, size_t len) {
    for (size_t i = 0; i < len; i++) model->bytes[i] = (char)map_world_rnd(w);
    model->len = len;
    assert_int_equal(strobe_set(w->map, "k", 1, model->bytes, len, 0), STROBE_OK);
}

static void put(struct map_world *w, const struct strobe_key *key, const struct seen *seen, const struct draft *draft) {
    struct strobe_entry_spec spec = seen_spec(seen, key);
    struct strobe_entry *entry;
    struct strobe_access access;

    spec.blob = draft->blob;
    spec.len = draft->len;
    assert_int_equal(strobe_entry_new(w->map, &spec, &entry), STROBE_OK);
    strobe_enter(w->map, key, &access);
    assert_int_equal(strobe_put(&access, key, &entry), STROBE_OK);
    strobe_leave(&access);
    strobe_entry_free(w->map, entry);
}

static void assert_is(struct map_world *w, const struct model *model) {
    static char bytes[LEN_MAX * 2];
    size_t len = sizeof bytes;

    assert_int_equal(strobe_get(w->map, "k", 1, bytes, &len), STROBE_OK);
    assert_int_equal(len, model->len);
    assert_memory_equal(bytes, model->bytes, len);
}

/* One change, with slices of random lengths, and others' writes in between. */
static void change(struct map_world *w, const struct strobe_key *key, struct model *model) {
    static char text[LEN_MAX];
    struct strobe_slice bytes = strobe_slice_make(text, 1 + below(w, below(w, 2) ? 50 : 50000));
    bool appends = below(w, 2);
    size_t offset = below(w, 20000 + model->len / 2 * 3);
    struct draft draft = {.begun = 0};
    struct seen seen;

    for (size_t i = 0; i < bytes.len; i++) text[i] = (char)map_world_rnd(w);
    for (bool done = false; !done;) {
        seen_look(w->map, key, &seen);
        if (appends) offset = seen.len;
        if (offset + bytes.len < STROBE_BLOB_MIN && seen.len < STROBE_BLOB_MIN) {
            draft_end(&draft, false);
            seen_fini(&seen);
            return; /* not for a draft */
        }
        done = draft_is_of(&draft, &seen, offset, bytes);
        if (done) {
            put(w, key, &seen, &draft);
        } else {
            assert_true(draft_begin(&draft, w->map, &seen, offset, bytes));
            seen_fini(&seen);
            while (!draft_step(&draft, 1 + below(w, 60000))) {
                if (below(w, 20) == 0) set(w, model, some_len(w) / 2);
            }
            continue;
        }
        seen_fini(&seen);
    }
    draft_end(&draft, true);
    write_at(model, offset, bytes);
}

static void test_changes_in_slices_make_what_the_model_has(void **state) {
    static struct model model;
    struct map_world w;
    struct strobe_key key;

    (void)state;
    map_world_open(&w, 1);
    key = map_world_key(&w, "k");
    set(&w, &model, LEN_MAX / 2);
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (model.len > LEN_MAX || below(&w, 20) == 0) set(&w, &model, some_len(&w) / 2);
        change(&w, &key, &model);
        assert_is(&w, &model);
    }
    map_world_close(&w);
}

static void test_draft_that_comes_to_nothing_gives_the_room_back(void **state) {
    static struct model model;
    const struct strobe_slice bytes = STROBE_SLICE("abc");
    struct map_world w;
    struct strobe_key key;
    struct draft draft = {.begun = 0};
    struct seen seen;

    (void)state;
    map_world_open(&w, 1);
    key = map_world_key(&w, "k");
    set(&w, &model, 100000);
    for (unsigned i = 0; i < 6; i++) {
        bool is_put = i % 2 == 0;
        seen_look(w.map, &key, &seen);
        assert_true(draft_begin(&draft, w.map, &seen, seen.len, bytes));
        assert_int_equal(draft.is_extension, i > 0); /* the first made the room */
        assert_true(draft_step(&draft, SIZE_MAX));
        assert_true(draft_is_of(&draft, &seen, seen.len, bytes));
        if (is_put) {
            put(&w, &key, &seen, &draft);
            write_at(&model, seen.len, bytes);
        }
        seen_fini(&seen);
        draft_end(&draft, is_put);
        assert_is(&w, &model);
    }
    map_world_close(&w);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_in_slices_make_what_the_model_has),
        cmocka_unit_test(test_draft_that_comes_to_nothing_gives_the_room_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
