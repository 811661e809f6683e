/* test_hash.c - the hash is SipHash-1-3, and it spreads keys over shards, segments, buckets and tags.
 *
 * It is held against a second implementation, written from the paper byte by byte with the rounds as parameters,
 * which is itself held against the paper's vector (for 2-4) and Rust's (for 1-3). The statistics use fixed seeds,
 * so that they come out the same each time; the bound is five standard deviations of chi-square. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map/hash.h"
#include "map/segment.h"
#include "tests/map/map_world.h"

/* ---- The paper's SipHash-c-d --------------------------------------------------------------------- */

static uint64_t little_endian(const uint8_t *bytes, size_t count) {
    uint64_t word = 0;

    for (size_t i = 0; i < count; i++) word += (uint64_t)bytes[i] << (8 * i);
    return word;
}

static uint64_t left(uint64_t x, unsigned by) {
    return x << by | x >> (64 - by);
}

static void paper_rounds(uint64_t v[4], int count) {
    while (count-- > 0) {
        v[0] += v[1];
        v[1] = left(v[1], 13);
        v[1] ^= v[0];
        v[0] = left(v[0], 32);
        v[2] += v[3];
        v[3] = left(v[3], 16);
        v[3] ^= v[2];
        v[0] += v[3];
        v[3] = left(v[3], 21);
        v[3] ^= v[0];
        v[2] += v[1];
        v[1] = left(v[1], 17);
        v[1] ^= v[2];
        v[2] = left(v[2], 32);
    }
}

static uint64_t paper_siphash(int c, int d, const uint8_t key[16], const uint8_t *message, size_t len) {
    static const char constant[] = "somepseudorandomlygeneratedbytes";
    uint64_t v[4];

    for (unsigned i = 0; i < 4; i++) {
        v[i] = 0;
        for (unsigned b = 0; b < 8; b++) v[i] = v[i] << 8 | (uint8_t)constant[8 * i + b];
        v[i] ^= little_endian(key + 8 * (i & 1), 8);
    }
    for (size_t block = 0; block <= len / 8; block++) {
        size_t rest = len - 8 * block;
        uint64_t m = little_endian(message + 8 * block, rest < 8 ? rest : 8);

        if (rest < 8) m |= (uint64_t)(len & 255) << 56;
        v[3] ^= m;
        paper_rounds(v, c);
        v[0] ^= m;
    }
    v[2] ^= 255;
    paper_rounds(v, d);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void counting(uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)i;
}

static void test_second_implementation_gives_the_papers_vector(void **state) {
    uint8_t key[16], message[15];

    (void)state;
    counting(key, sizeof key);
    counting(message, sizeof message);
    assert_true(paper_siphash(2, 4, key, message, sizeof message) == UINT64_C(0xa129ca6149be45e5));
}

/* Key 00..0f, message 00, 01, 02 ...: what Rust's standard library holds its SipHash-1-3 against. */
static void test_hash_gives_the_published_vectors(void **state) {
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        {0, UINT64_C(0xabac0158050fc4dc)},  {1, UINT64_C(0xc9f49bf37d57ca93)},  {7, UINT64_C(0xd3927d989bb11140)},
        {8, UINT64_C(0x369095118d299a8e)},  {15, UINT64_C(0xd320d86d2a519956)}, {16, UINT64_C(0xcc4fdd1a7d908b66)},
        {31, UINT64_C(0x2370dd1f8c21d1bc)}, {63, UINT64_C(0x9d199062b7bbb3a8)},
    };
    uint8_t seed[16], message[64];
    struct hash_key key;

    (void)state;
    counting(seed, sizeof seed);
    counting(message, sizeof message);
    key = hash_key_from_bytes(seed);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        assert_true(hash_bytes(&key, message, vectors[i].len) == vectors[i].hash);
}

static void test_hash_is_siphash_1_3_at_every_length_and_alignment(void **state) {
    uint8_t seed[16], message[400];
    struct map_world random = {.random = 7};

    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        struct hash_key key;

        for (size_t i = 0; i < sizeof seed; i++) seed[i] = (uint8_t)map_world_rnd(&random);
        for (size_t i = 0; i < sizeof message; i++) message[i] = (uint8_t)map_world_rnd(&random);
        key = hash_key_from_bytes(seed);
        for (size_t len = 0; len <= 300; len++) {
            const uint8_t *at = message + (len + round) % 17;

            assert_true(hash_bytes(&key, at, len) == paper_siphash(1, 3, seed, at, len));
        }
    }
}

static void test_hash_of_the_longest_key_is_siphash_1_3(void **state) {
    uint8_t seed[16] = {1}, *message = malloc(STROBE_KEY_MAX);
    struct hash_key key = hash_key_from_bytes(seed);

    (void)state;
    assert_non_null(message);
    for (size_t i = 0; i < STROBE_KEY_MAX; i++) message[i] = (uint8_t)(i * 31 >> 3);
    assert_true(hash_bytes(&key, message, STROBE_KEY_MAX) == paper_siphash(1, 3, seed, message, STROBE_KEY_MAX));
    free(message);
}

static void test_two_random_seeds_differ(void **state) {
    uint8_t a[16], b[16];

    (void)state;
    assert_true(hash_random_seed(a));
    assert_true(hash_random_seed(b));
    assert_memory_not_equal(a, b, sizeof a);
}

/* ---- Spread -------------------------------------------------------------------------------------- */

#define CELLS_MAX    1024u
#define SHARDS       64u
#define SEGMENT_BITS 9u

struct spread {
    const char *what;
    uint32_t cells;
    uint64_t count[CELLS_MAX], total;
};

static double chi_square(const struct spread *spread) {
    double expected = (double)spread->total / spread->cells, sum = 0;

    for (uint32_t i = 0; i < spread->cells; i++)
        sum += ((double)spread->count[i] - expected) * ((double)spread->count[i] - expected) / expected;
    return sum;
}

static void assert_even(const struct spread *spread) {
    double free_cells = spread->cells - 1, over = chi_square(spread) - free_cells;

    if (over > 0 && over * over > 25 * 2 * free_cells)
        print_error("%s: chi-square is %f, of %u cells\n", spread->what, over + free_cells, spread->cells);
    assert_true(over <= 0 || over * over <= 25 * 2 * free_cells);
}

struct spreads {
    struct spread shard, segment, bucket, tag;
};

static void spreads_init(struct spreads *s) {
    memset(s, 0, sizeof *s);
    s->shard = (struct spread){.what = "shards", .cells = SHARDS};
    s->segment = (struct spread){.what = "segments of a shard", .cells = 1u << SEGMENT_BITS};
    s->bucket = (struct spread){.what = "buckets", .cells = segment_buckets(SEGMENT_CLASSES - 1)};
    s->tag = (struct spread){.what = "tags", .cells = 256};
}

static void count_cell(struct spread *spread, uint64_t cell) {
    assert_true(cell < spread->cells);
    spread->count[cell]++;
    spread->total++;
}

/* As the map cuts the hash up: 6 bits for the shard, the next for the segment, the low half for bucket and tag. */
static void spreads_add(struct spreads *s, uint64_t hash) {
    count_cell(&s->shard, hash >> 58);
    count_cell(&s->segment, hash << 6 >> (64 - SEGMENT_BITS));
    count_cell(&s->bucket, segment_home(hash, s->bucket.cells));
    count_cell(&s->tag, hash & 255);
}

static void spreads_assert(const struct spreads *s) {
    assert_even(&s->shard);
    assert_even(&s->segment);
    assert_even(&s->bucket);
    assert_even(&s->tag);
}

static void test_counted_text_keys_spread_evenly(void **state) {
    uint8_t seed[16] = {11, 22, 33};
    struct hash_key key = hash_key_from_bytes(seed);
    struct spreads s;
    char text[32];

    (void)state;
    spreads_init(&s);
    for (unsigned i = 0; i < 200000; i++) {
        int len = snprintf(text, sizeof text, "user:%u", i);

        spreads_add(&s, hash_bytes(&key, text, (size_t)len));
    }
    spreads_assert(&s);
}

static void test_keys_of_few_bits_spread_evenly(void **state) {
    uint8_t seed[16] = {0};
    struct hash_key key = hash_key_from_bytes(seed);
    struct spreads s;

    (void)state;
    spreads_init(&s);
    for (unsigned a = 0; a < 512; a++) { /* at most three bits set in 64 bytes */
        for (unsigned b = a + 1; b < 512; b++) {
            uint8_t bytes[64] = {0};

            bytes[a / 8] ^= (uint8_t)(1u << a % 8);
            bytes[b / 8] ^= (uint8_t)(1u << b % 8);
            bytes[(a * 7 + b) % 64] ^= 1;
            spreads_add(&s, hash_bytes(&key, bytes, sizeof bytes));
        }
    }
    spreads_assert(&s);
}

/* ---- Chosen keys --------------------------------------------------------------------------------- */

static uint32_t times33(const char *text) {
    uint32_t hash = 5381;

    while (*text) hash = hash * 33 + (unsigned char)*text++;
    return hash;
}

static uint32_t times31(const char *text) {
    uint32_t hash = 0;

    while (*text) hash = hash * 31 + (unsigned char)*text++;
    return hash;
}

#define BLOCKS 13u
#define CHOSEN (1u << BLOCKS)

/* Two blocks of two letters with one hash make 2^n keys of n blocks with one hash. */
static void chosen_key(char text[2 * BLOCKS + 1], unsigned number, const char *zero, const char *one) {
    for (unsigned i = 0; i < BLOCKS; i++) memcpy(text + (size_t)2 * i, number >> i & 1 ? one : zero, 2);
    text[2 * BLOCKS] = 0;
}

static void assert_chosen_keys_spread(uint32_t (*unkeyed)(const char *), const char *zero, const char *one) {
    struct map_world w;
    struct strobe_stats before, after;
    struct spreads s;
    char text[2 * BLOCKS + 1];
    uint32_t meet = 0;

    spreads_init(&s);
    map_world_open(&w, SHARDS);
    map_world_stats(&w, &before);
    for (unsigned i = 0; i < CHOSEN; i++) {
        struct strobe_key key;

        chosen_key(text, i, zero, one);
        if (i == 0) meet = unkeyed(text);
        assert_int_equal(unkeyed(text), meet);
        key = strobe_key(w.map, text, 2 * BLOCKS);
        spreads_add(&s, key.hash);
        assert_int_equal(map_world_set(&w, text, "x", 0), STROBE_OK);
    }
    spreads_assert(&s);
    map_world_stats(&w, &after);
    assert_int_equal(after.entries, CHOSEN);
    assert_int_equal(after.segments, before.segments); /* 128 a shard: no segment was even filled */
    map_world_close(&w);
}

static void test_keys_that_collide_under_times_33_spread(void **state) {
    (void)state;
    assert_chosen_keys_spread(times33, "Ez", "FY");
}

static void test_keys_that_collide_under_times_31_spread(void **state) {
    (void)state;
    assert_chosen_keys_spread(times31, "Aa", "BB");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_implementation_gives_the_papers_vector),
        cmocka_unit_test(test_hash_gives_the_published_vectors),
        cmocka_unit_test(test_hash_is_siphash_1_3_at_every_length_and_alignment),
        cmocka_unit_test(test_hash_of_the_longest_key_is_siphash_1_3),
        cmocka_unit_test(test_two_random_seeds_differ),
        cmocka_unit_test(test_counted_text_keys_spread_evenly),
        cmocka_unit_test(test_keys_of_few_bits_spread_evenly),
        cmocka_unit_test(test_keys_that_collide_under_times_33_spread),
        cmocka_unit_test(test_keys_that_collide_under_times_31_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
