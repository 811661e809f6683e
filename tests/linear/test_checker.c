/* test_checker.c - the checker of histories is neither blind nor jumpy: histories that are right and histories that are
 * wrong in each known way, and thousands of small random ones, right and spoilt, that a search through every order
 * judges too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/linear/checker.h"
#include "tests/linear/ideal.h"

#define NIL INT64_MIN

/* ---- writing histories down ----------------------------------------------------------------------------------- */

struct world {
    struct checker *checker;
    struct history history;
};

static struct history *fresh(void **state, unsigned clients) {
    struct world *w = *state;
    memset(&w->history, 0, sizeof(w->history));
    w->history.clients = clients;
    return &w->history;
}

static struct history_op *op_at(struct history *h, unsigned client, uint64_t begin, uint64_t end) {
    struct history_op *op = history_add(h, client);
    op->begin = begin;
    op->end = end;
    return op;
}

static void sees(struct history_step *step, int64_t value, uint64_t version) {
    step->result = value == NIL ? HISTORY_NIL : HISTORY_VALUE;
    step->seen = value == NIL ? 0 : value;
    step->seen_version = version;
}

static void get(struct history_op *op, uint32_t key, int64_t value) {
    sees(history_step(op, HISTORY_GET, key), value, 0);
}

static void getver(struct history_op *op, uint32_t key, int64_t value, uint64_t version) {
    sees(history_step(op, HISTORY_GETVER, key), value, version);
}

static void getset(struct history_op *op, uint32_t key, int64_t value, int64_t old) {
    struct history_step *step = history_step(op, HISTORY_GETSET, key);
    step->value = value;
    sees(step, old, 0);
}

static void set(struct history_op *op, uint32_t key, int64_t value) {
    struct history_step *step = history_step(op, HISTORY_SET, key);
    step->value = value;
    step->result = HISTORY_OK;
}

static void setver(struct history_op *op, uint32_t key, int64_t value, uint64_t version) {
    struct history_step *step = history_step(op, HISTORY_SETVER, key);
    step->value = value;
    step->result = HISTORY_OK;
    step->seen_version = version;
}

/* NEW 0: was not done. */
static void cas(struct history_op *op, uint32_t key, int64_t value, uint64_t asked, uint64_t new) {
    struct history_step *step = history_step(op, HISTORY_CAS, key);
    step->value = value;
    step->version = asked;
    step->result = new != 0 ? HISTORY_OK : HISTORY_NIL;
    step->seen_version = new;
}

static void number(struct history_op *op, enum history_verb verb, uint32_t key, int64_t seen) {
    struct history_step *step = history_step(op, verb, key);
    step->result = HISTORY_NUMBER;
    step->seen = seen;
}

static void judged(void **state, enum checker_verdict wanted) {
    struct world *w = *state;
    enum checker_verdict verdict = checker_judge(w->checker, &w->history);
    if (verdict != wanted) history_print(stderr, &w->history, NULL);
    assert_int_equal(verdict, wanted);
}

/* ---- histories that are right --------------------------------------------------------------------------------- */

static void test_nothing_is_linear(void **state) {
    fresh(state, 3);
    judged(state, CHECKER_LINEAR);
}

static void test_a_read_beside_a_write_sees_either_state(void **state) {
    for (unsigned old = 0; old < 2; old++) {
        struct history *h = fresh(state, 2);
        set(op_at(h, 0, 1, 4), 0, 7);
        get(op_at(h, 1, 2, 3), 0, old ? NIL : 7);
        judged(state, CHECKER_LINEAR);
    }
}

static void test_writes_beside_each_other_take_any_order(void **state) {
    for (int64_t last = 1; last <= 2; last++) {
        struct history *h = fresh(state, 2);
        set(op_at(h, 0, 1, 4), 0, 1);
        set(op_at(h, 1, 2, 3), 0, 2);
        get(op_at(h, 1, 5, 6), 0, last);
        judged(state, CHECKER_LINEAR);
    }
}

static void test_a_chain_of_versions_is_linear(void **state) {
    struct history *h = fresh(state, 2);
    cas(op_at(h, 0, 1, 2), 0, 10, 0, 100);
    getver(op_at(h, 1, 3, 4), 0, 10, 100);
    cas(op_at(h, 0, 5, 8), 0, 11, 100, 0);
    cas(op_at(h, 1, 6, 7), 0, 12, 100, 101);
    number(op_at(h, 0, 9, 10), HISTORY_DELIFVER, 0, 0);
    h->ops[0][2].steps[0].version = 100;
    number(op_at(h, 0, 11, 12), HISTORY_DEL, 0, 1);
    cas(op_at(h, 1, 13, 14), 0, 13, 101, 0);
    cas(op_at(h, 1, 15, 16), 0, 14, 0, 102);
    judged(state, CHECKER_LINEAR);
}

static void test_keys_are_judged_apart_when_nothing_joins_them(void **state) {
    struct world *w = *state;
    struct history *h = fresh(state, 8);
    for (unsigned i = 0; i < 8; i++) /* eight writes at once to each of two keys, none of which is read */
        for (unsigned key = 0; key < 2; key++) set(op_at(h, i, 1 + i + key * 100, 90 + i + key * 100), key, 1000 + i);
    get(op_at(h, 0, 300, 301), 0, 1003);
    get(op_at(h, 0, 302, 303), 1, 1004);
    judged(state, CHECKER_LINEAR);
    assert_true(checker_states(w->checker) < 4000);
}

/* ---- histories that are wrong --------------------------------------------------------------------------------- */

static void test_a_stale_read_is_seen(void **state) {
    struct history *h = fresh(state, 2);
    set(op_at(h, 0, 1, 2), 0, 1);
    set(op_at(h, 0, 3, 4), 0, 2);
    get(op_at(h, 1, 5, 6), 0, 1);
    judged(state, CHECKER_BROKEN);
}

static void test_a_read_that_goes_back_is_seen(void **state) {
    struct history *h = fresh(state, 3);
    set(op_at(h, 0, 1, 10), 0, 1);
    get(op_at(h, 1, 2, 3), 0, 1);
    get(op_at(h, 2, 4, 5), 0, NIL);
    judged(state, CHECKER_BROKEN);
}

static void test_a_lost_update_is_seen(void **state) {
    struct history *h = fresh(state, 2);
    number(op_at(h, 0, 1, 3), HISTORY_INCR, 0, 1);
    number(op_at(h, 1, 2, 4), HISTORY_INCR, 0, 1);
    judged(state, CHECKER_BROKEN);
    h = fresh(state, 2);
    getset(op_at(h, 0, 1, 3), 0, 5, NIL);
    getset(op_at(h, 1, 2, 4), 0, 6, NIL);
    judged(state, CHECKER_BROKEN);
}

static void test_a_write_that_was_answered_and_is_gone_is_seen(void **state) {
    struct history *h = fresh(state, 2);
    set(op_at(h, 0, 1, 2), 0, 1);
    get(op_at(h, 1, 3, 4), 0, NIL);
    judged(state, CHECKER_BROKEN);
}

static void test_a_value_that_nobody_wrote_is_seen(void **state) {
    struct history *h = fresh(state, 2);
    set(op_at(h, 0, 1, 4), 0, 1);
    get(op_at(h, 1, 2, 3), 0, 3);
    judged(state, CHECKER_BROKEN);
}

static void test_a_torn_exec_is_seen(void **state) {
    struct history *h = fresh(state, 2);
    struct history_op *op = op_at(h, 0, 1, 6);
    set(op, 0, 1);
    set(op, 1, 1);
    get(op_at(h, 1, 2, 3), 0, 1);
    get(op_at(h, 1, 4, 5), 1, NIL);
    judged(state, CHECKER_BROKEN);
    h = fresh(state, 2);
    op = op_at(h, 0, 1, 4);
    set(op, 0, 1);
    set(op, 1, 1);
    op = op_at(h, 1, 2, 3); /* one scan, or MGET */
    get(op, 0, 1);
    get(op, 1, NIL);
    judged(state, CHECKER_BROKEN);
}

static void test_a_write_between_two_commands_of_an_exec_is_seen(void **state) {
    struct history *h = fresh(state, 2);
    struct history_op *op = op_at(h, 0, 1, 4);
    set(op, 0, 1);
    get(op, 0, 2);
    set(op_at(h, 1, 2, 3), 0, 2);
    judged(state, CHECKER_BROKEN);
}

static void test_an_exec_after_a_change_of_what_it_watched_is_seen(void **state) {
    struct history *h = fresh(state, 2);
    setver(op_at(h, 0, 1, 2), 0, 1, 50);
    setver(op_at(h, 1, 3, 4), 0, 1, 51);
    struct history_op *op = op_at(h, 0, 5, 6);
    getver(op, 0, 1, 50); /* as it read it while watching */
    set(op, 0, 2);
    judged(state, CHECKER_BROKEN);
}

static void test_two_swaps_of_one_version_are_seen(void **state) {
    struct history *h = fresh(state, 2);
    setver(op_at(h, 0, 1, 2), 0, 1, 50);
    getver(op_at(h, 1, 3, 4), 0, 1, 50);
    cas(op_at(h, 0, 5, 8), 0, 2, 50, 51);
    cas(op_at(h, 1, 6, 7), 0, 3, 50, 52);
    judged(state, CHECKER_BROKEN);
}

static void test_a_swap_refused_without_a_cause_is_seen(void **state) {
    struct history *h = fresh(state, 1);
    setver(op_at(h, 0, 1, 2), 0, 1, 50);
    cas(op_at(h, 0, 3, 4), 0, 2, 50, 0);
    judged(state, CHECKER_BROKEN);
    h = fresh(state, 1);
    cas(op_at(h, 0, 1, 2), 0, 2, 0, 0);
    judged(state, CHECKER_BROKEN);
}

static void test_a_version_of_an_earlier_state_is_seen(void **state) {
    struct history *h = fresh(state, 1);
    setver(op_at(h, 0, 1, 2), 0, 1, 50);
    number(op_at(h, 0, 3, 4), HISTORY_DEL, 0, 1);
    number(op_at(h, 0, 5, 6), HISTORY_INCR, 0, 1);
    getver(op_at(h, 0, 7, 8), 0, 1, 50);
    judged(state, CHECKER_BROKEN);
    h = fresh(state, 1);
    setver(op_at(h, 0, 1, 2), 0, 1, 50);
    setver(op_at(h, 0, 3, 4), 0, 1, 50);
    judged(state, CHECKER_BROKEN);
}

static void test_a_version_that_changes_without_a_write_is_seen(void **state) {
    struct history *h = fresh(state, 1);
    number(op_at(h, 0, 1, 2), HISTORY_INCR, 0, 1);
    getver(op_at(h, 0, 3, 4), 0, 1, 50);
    getver(op_at(h, 0, 5, 6), 0, 1, 51);
    judged(state, CHECKER_BROKEN);
}

static void test_requests_sent_together_keep_their_order(void **state) {
    for (unsigned swapped = 0; swapped < 2; swapped++) {
        struct history *h = fresh(state, 1);
        set(op_at(h, 0, 1, 4), swapped ? 1 : 0, 1);
        get(op_at(h, 0, 2, 5), 0, 1);
        set(op_at(h, 0, 3, 6), swapped ? 0 : 1, 1);
        judged(state, swapped ? CHECKER_BROKEN : CHECKER_LINEAR);
    }
}

/* Only the order of both clients together shows it: every key by itself is fine. */
static void test_order_over_two_keys_is_judged_when_a_client_does_not_wait(void **state) {
    struct history *h = fresh(state, 2);
    set(op_at(h, 0, 1, 20), 0, 1);
    get(op_at(h, 0, 2, 21), 1, NIL);
    set(op_at(h, 1, 3, 18), 1, 1);
    get(op_at(h, 1, 4, 19), 0, NIL);
    judged(state, CHECKER_BROKEN);
}

static void test_what_is_too_much_is_not_called_linear(void **state) {
    struct checker *small = checker_new(50);
    struct history *h = fresh(state, 8);
    for (unsigned i = 0; i < 8; i++) set(op_at(h, i, 1 + i, 90 + i), 0, 1000 + i);
    get(op_at(h, 0, 300, 301), 0, 1);
    assert_int_equal(checker_judge(small, h), CHECKER_UNDECIDED);
    judged(state, CHECKER_BROKEN);
    checker_free(small);
}

static void test_the_explanation_marks_what_cannot_be_placed(void **state) {
    struct world *w = *state;
    struct history *h = fresh(state, 2);
    char *text = NULL;
    size_t len = 0;

    set(op_at(h, 0, 1, 2), 0, 1);
    get(op_at(h, 1, 3, 4), 0, HISTORY_BIG + 9);
    judged(state, CHECKER_BROKEN);
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    checker_explain(to, w->checker);
    assert_int_equal(fclose(to), 0);
    assert_non_null(strstr(text, "            client 0       1..2       SET k0 1 -> OK"));
    assert_non_null(strstr(text, "not placed: client 1       3..4       GET k0 -> big 9"));
    free(text);
}

/* ---- random histories ----------------------------------------------------------------------------------------- */

static uint64_t below(uint64_t *random, uint64_t limit) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random % limit;
}

/* The version that CLIENT has seen last on KEY, or 0. */
static uint64_t known_version(const struct history *h, unsigned client, uint32_t key) {
    uint64_t version = 0;
    for (unsigned i = 0; i < h->counts[client]; i++)
        for (unsigned s = 0; s < h->ops[client][i].count; s++)
            if (h->ops[client][i].steps[s].key == key && h->ops[client][i].steps[s].seen_version != 0)
                version = h->ops[client][i].steps[s].seen_version;
    return version;
}

/* A right history: each operation is done to the ideal store at one moment, and its times lie around this moment as
 * far as they like, but for the order of its own client (who may not wait for replies, if DEEP). */
static void make_right(struct history *h, uint64_t *random, unsigned clients, unsigned ops, bool deep) {
    struct ideal ideal = {0};
    uint64_t version = 1000, last_moment[HISTORY_CLIENTS_MAX] = {0};

    memset(h, 0, sizeof(*h));
    h->clients = clients;
    for (uint64_t now = 1000; now <= ops * 1000; now += 1000) {
        unsigned client = (unsigned)below(random, clients);
        struct history_op *last = h->counts[client] > 0 ? &h->ops[client][h->counts[client] - 1] : NULL;
        struct history_op op = {0};

        if (h->counts[client] == HISTORY_OPS_MAX) continue;
        if (last != NULL && !deep && last->end >= now - 1) /* it would have waited until now */
            last->end = last_moment[client] + below(random, now - 1 - last_moment[client]);
        uint64_t least = now > 4000 ? now - 4000 : 1, previous = last == NULL ? 0 : deep ? last->begin : last->end;
        if (least <= previous) least = previous + 1;
        op.begin = least + below(random, now - least + 1);
        op.end = now + below(random, 4000);
        if (last != NULL && op.end <= last->end) op.end = last->end + 1;
        last_moment[client] = now;
        for (uint64_t steps = 1 + below(random, 5) / 3; steps > 0; steps--) {
            uint32_t key = (uint32_t)below(random, 2);
            struct history_step *step = history_step(&op, (enum history_verb)below(random, HISTORY_VERBS), key);
            step->version = below(random, 3) != 0 ? known_version(h, client, key) : 0;
            if (step->verb == HISTORY_DELIFVER && step->version == 0) step->verb = HISTORY_DEL;
            step->value = history_writes(step) && step->verb < HISTORY_GETDEL ? (int64_t)(now + steps) : 0;
            ideal_answer(&ideal, step, &version);
        }
        *history_add(h, client) = op;
    }
}

/* Changes one reply to what another one like it was. Whether the history is wrong now, only a search can tell. */
static void spoil(struct history *h, uint64_t *random) {
    for (unsigned tries = 0; tries < 100; tries++) {
        unsigned a = (unsigned)below(random, h->clients), b = (unsigned)below(random, h->clients);
        if (h->counts[a] == 0 || h->counts[b] == 0) continue;
        struct history_op *to = &h->ops[a][below(random, h->counts[a])],
                          *from = &h->ops[b][below(random, h->counts[b])];
        struct history_step *step = &to->steps[below(random, to->count)];
        const struct history_step *other = &from->steps[below(random, from->count)];
        bool has_version = (step->verb == HISTORY_GETVER || step->verb == HISTORY_CAS);
        if (step == other || step->key != other->key || step->verb != other->verb) continue;
        if (step->result == other->result && step->seen == other->seen && step->seen_version == other->seen_version)
            continue;
        step->result = other->result;
        step->seen = other->seen;
        step->seen_version = has_version ? other->seen_version : step->seen_version;
        return;
    }
}

/* Every order of H, without memory, keys together, and versions by a list of what was named: slow, and plain. */
struct naive {
    const struct history *h;
    unsigned placed[HISTORY_CLIENTS_MAX];
    uint64_t named[HISTORY_KEYS_MAX][64];
    unsigned named_count[HISTORY_KEYS_MAX];
};

static bool naive_name(struct naive *n, uint32_t key, uint64_t version) {
    for (unsigned i = 0; i < n->named_count[key]; i++)
        if (n->named[key][i] == version) return false;
    n->named[key][n->named_count[key]++] = version;
    return true;
}

static bool naive_may_be_next(const struct naive *n, const struct history_op *op) {
    for (unsigned client = 0; client < n->h->clients; client++)
        for (unsigned i = n->placed[client]; i < n->h->counts[client]; i++)
            if (n->h->ops[client][i].end < op->begin) return false;
    return true;
}

static bool naive_search(struct naive *n, const struct ideal *ideal, unsigned left) {
    const struct naive before = *n;

    if (left == 0) return true;
    for (unsigned client = 0; client < n->h->clients; client++) {
        const struct history_op *op = &n->h->ops[client][n->placed[client]];
        struct ideal next = *ideal;
        bool fits = n->placed[client] < n->h->counts[client] && naive_may_be_next(n, op);

        for (unsigned i = 0; fits && i < op->count; i++) {
            uint64_t named;
            fits = ideal_apply(&next, &op->steps[i], &named) && (named == 0 || naive_name(n, op->steps[i].key, named));
        }
        n->placed[client]++;
        if (fits && naive_search(n, &next, left - 1)) return true;
        *n = before;
    }
    return false;
}

static bool naive_linear(const struct history *h) {
    struct naive n = {.h = h};
    const struct ideal start = {0};
    unsigned left = 0;
    for (unsigned client = 0; client < h->clients; client++) left += h->counts[client];
    return naive_search(&n, &start, left);
}

static void test_right_histories_are_linear(void **state) {
    struct world *w = *state;
    uint64_t random = 88172645463325252u;
    for (unsigned i = 0; i < 3000; i++) {
        make_right(&w->history, &random, 2 + i % 5, 60, i % 2 != 0);
        judged(state, CHECKER_LINEAR);
    }
}

static void test_every_order_agrees_on_small_histories(void **state) {
    struct world *w = *state;
    uint64_t random = 362436069123456789u;
    unsigned broken = 0;

    for (unsigned i = 0; i < 20000; i++) {
        make_right(&w->history, &random, 3, 8, i % 2 != 0);
        spoil(&w->history, &random);
        bool linear = naive_linear(&w->history);
        judged(state, linear ? CHECKER_LINEAR : CHECKER_BROKEN);
        broken += !linear;
    }
    print_message("%u of 20000 spoilt histories are broken\n", broken);
    assert_in_range(broken, 5000, 19000);
}

static int open_world(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    if (w == NULL) return -1;
    w->checker = checker_new(1000000);
    *state = w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    checker_free(w->checker);
    free(w);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_linear),
        cmocka_unit_test(test_a_read_beside_a_write_sees_either_state),
        cmocka_unit_test(test_writes_beside_each_other_take_any_order),
        cmocka_unit_test(test_a_chain_of_versions_is_linear),
        cmocka_unit_test(test_keys_are_judged_apart_when_nothing_joins_them),
        cmocka_unit_test(test_a_stale_read_is_seen),
        cmocka_unit_test(test_a_read_that_goes_back_is_seen),
        cmocka_unit_test(test_a_lost_update_is_seen),
        cmocka_unit_test(test_a_write_that_was_answered_and_is_gone_is_seen),
        cmocka_unit_test(test_a_value_that_nobody_wrote_is_seen),
        cmocka_unit_test(test_a_torn_exec_is_seen),
        cmocka_unit_test(test_a_write_between_two_commands_of_an_exec_is_seen),
        cmocka_unit_test(test_an_exec_after_a_change_of_what_it_watched_is_seen),
        cmocka_unit_test(test_two_swaps_of_one_version_are_seen),
        cmocka_unit_test(test_a_swap_refused_without_a_cause_is_seen),
        cmocka_unit_test(test_a_version_of_an_earlier_state_is_seen),
        cmocka_unit_test(test_a_version_that_changes_without_a_write_is_seen),
        cmocka_unit_test(test_requests_sent_together_keep_their_order),
        cmocka_unit_test(test_order_over_two_keys_is_judged_when_a_client_does_not_wait),
        cmocka_unit_test(test_what_is_too_much_is_not_called_linear),
        cmocka_unit_test(test_the_explanation_marks_what_cannot_be_placed),
        cmocka_unit_test(test_right_histories_are_linear),
        cmocka_unit_test(test_every_order_agrees_on_small_histories),
    };
    return cmocka_run_group_tests_name("checker", tests, open_world, close_world);
}
