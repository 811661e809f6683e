/* test_hash.c - the hash is what hash.c says, with AES and without, and it spreads keys over shards, segments, buckets
 * and tags.
 *
 * SipHash-1-3 is held against a second implementation, written from the paper byte by byte with the rounds as
 * parameters, which is itself held against the paper's vector (for 2-4) and Rust's (for 1-3). The other function is
 * held against rounds of AES written from FIPS 197 byte by byte, which are held against that standard's vector. The
 * statistics use fixed seeds, so that they come out the same each time; the bound is five standard deviations of
 * chi-square. */
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
    key = hash_key_plain(seed);
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
        key = hash_key_plain(seed);
        for (size_t len = 0; len <= 300; len++) {
            const uint8_t *at = message + (len + round) % 17;

            assert_true(hash_bytes(&key, at, len) == paper_siphash(1, 3, seed, at, len));
        }
    }
}

/* ---- AES of FIPS 197 ------------------------------------------------------------------------------ */

static uint8_t field_times(uint8_t a, uint8_t b) {
    uint8_t product = 0;

    for (; b; b >>= 1, a = (uint8_t)(a << 1 ^ (a & 128 ? 0x1b : 0)))
        if (b & 1) product ^= a;
    return product;
}

static uint8_t standard_substitute(uint8_t byte) {
    uint8_t inverse = 1, result = 0x63;

    for (unsigned i = 0; i < 254; i++) inverse = field_times(inverse, byte); /* byte^254 */
    for (unsigned turn = 0; turn < 5; turn++) result ^= (uint8_t)(inverse << turn | inverse >> (8 - turn));
    return result;
}

static void standard_round(uint8_t state[16], const uint8_t key[16], bool last) {
    static const uint8_t mix[4] = {2, 3, 1, 1};
    uint8_t shifted[16];

    for (unsigned column = 0; column < 4; column++) {
        for (unsigned row = 0; row < 4; row++)
            shifted[4 * column + row] = standard_substitute(state[4 * ((column + row) % 4) + row]);
    }
    for (unsigned i = 0; i < 16; i++) {
        state[i] = last ? shifted[i] : 0;
        for (unsigned j = 0; j < 4 && !last; j++) state[i] ^= field_times(mix[j], shifted[i / 4 * 4 + (i + j) % 4]);
        state[i] ^= key[i];
    }
}

static void standard_expand(uint8_t keys[11][16]) {
    uint8_t constant = 1;

    for (unsigned round = 1; round < 11; round++, constant = field_times(constant, 2)) {
        for (unsigned i = 0; i < 16; i++) {
            uint8_t before = i >= 4 ? keys[round][i - 4] : standard_substitute(keys[round - 1][12 + (i + 1) % 4]);

            keys[round][i] = (uint8_t)(keys[round - 1][i] ^ before ^ (i == 0 ? constant : 0));
        }
    }
}

/* Appendix B: all ten rounds of AES-128. */
static void test_rounds_give_the_standards_vector(void **state) {
    uint8_t keys[11][16] = {
        {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c}};
    uint8_t block[16] = {0x32, 0x43, 0xf6, 0xa8, 0x88, 0x5a, 0x30, 0x8d,
                         0x31, 0x31, 0x98, 0xa2, 0xe0, 0x37, 0x07, 0x34};
    const uint8_t cipher[16] = {0x39, 0x25, 0x84, 0x1d, 0x02, 0xdc, 0x09, 0xfb,
                                0xdc, 0x11, 0x85, 0x97, 0x19, 0x6a, 0x0b, 0x32};

    (void)state;
    standard_expand(keys);
    for (unsigned i = 0; i < 16; i++) block[i] ^= keys[0][i];
    for (unsigned round = 1; round < 11; round++) standard_round(block, keys[round], round == 10);
    assert_memory_equal(block, cipher, sizeof cipher);
}

/* hash.c's picture, with the key's parts made anew from SEED. */
static uint64_t standard_hash(const uint8_t seed[16], const uint8_t *message, size_t len) {
    uint8_t parts[4 + 17][16], block[16];
    size_t left = len, last = len < 16 ? 16 - len : 0;

    for (uint64_t i = 0; i < sizeof parts / 8; i++) {
        uint8_t number[8];
        uint64_t word;

        for (unsigned b = 0; b < 8; b++) number[b] = (uint8_t)(i >> (8 * b));
        word = paper_siphash(1, 3, seed, number, sizeof number);
        for (unsigned b = 0; b < 8; b++) parts[i / 2][i % 2 * 8 + b] = (uint8_t)(word >> (8 * b));
    }
    memset(block, 0, sizeof block);
    if (left > 16) memcpy(block, parts[4], sizeof block);
    for (; left > 16; left -= 16) {
        for (unsigned i = 0; i < 16; i++) block[i] ^= message[len - left + i];
        for (unsigned round = 0; round < 4; round++) standard_round(block, parts[round], false);
    }
    if (len >= 16)
        for (unsigned i = 0; i < 16; i++) block[i] ^= message[len - 16 + i];
    else if (len >= 8) /* the first eight bytes and the last eight */
        for (unsigned i = 0; i < 16; i++) block[i] ^= message[i < 8 ? i : i - last];
    else
        for (unsigned i = 0; i < len; i++) block[i] ^= message[i];
    for (unsigned i = 0; i < 16; i++) block[i] ^= parts[4 + left][i];
    for (unsigned round = 0; round < 4; round++) standard_round(block, parts[round], false);
    return little_endian(block, 8);
}

static void test_hash_with_aes_is_the_standards_rounds_at_every_length_and_alignment(void **state) {
    uint8_t seed[16], message[400];
    struct map_world random = {.random = 8};

    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct hash_key key;

        for (size_t i = 0; i < sizeof seed; i++) seed[i] = (uint8_t)map_world_rnd(&random);
        for (size_t i = 0; i < sizeof message; i++) message[i] = (uint8_t)map_world_rnd(&random);
        key = hash_key_from_bytes(seed);
        for (size_t len = 0; len <= 70; len++) {
            const uint8_t *at = message + (len + round) % 17;

            assert_true(hash_bytes(&key, at, len) ==
                        (key.aes ? standard_hash(seed, at, len) : paper_siphash(1, 3, seed, at, len)));
        }
    }
}

static void test_hash_of_the_longest_key_reads_all_of_it(void **state) {
    uint8_t seed[16] = {1}, *message = malloc(STROBE_KEY_MAX);
    struct hash_key plain = hash_key_plain(seed), key = hash_key_from_bytes(seed);
    uint64_t whole;

    (void)state;
    assert_non_null(message);
    for (size_t i = 0; i < STROBE_KEY_MAX; i++) message[i] = (uint8_t)(i * 31 >> 3);
    assert_true(hash_bytes(&plain, message, STROBE_KEY_MAX) == paper_siphash(1, 3, seed, message, STROBE_KEY_MAX));
    whole = hash_bytes(&key, message, STROBE_KEY_MAX);
    for (size_t i = 0; i < STROBE_KEY_MAX; i += 251) {
        message[i] ^= 1;
        assert_true(hash_bytes(&key, message, STROBE_KEY_MAX) != whole);
        message[i] ^= 1;
    }
    free(message);
}

/* One block of zeros for each length: only the mask tells them apart. */
static void test_keys_that_differ_in_length_only_differ(void **state) {
    uint8_t seed[16] = {2}, zeros[400] = {0};
    struct hash_key keys[] = {hash_key_plain(seed), hash_key_from_bytes(seed)};

    (void)state;
    for (unsigned which = 0; which < 2; which++) {
        for (size_t a = 0; a < sizeof zeros; a++) {
            for (size_t b = 0; b < a; b++)
                assert_true(hash_bytes(&keys[which], zeros, a) != hash_bytes(&keys[which], zeros, b));
        }
    }
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

static void counted_text_keys(const struct hash_key *key) {
    struct spreads s;
    char text[32];

    spreads_init(&s);
    for (unsigned i = 0; i < 200000; i++) {
        int len = snprintf(text, sizeof text, "user:%u", i);

        spreads_add(&s, hash_bytes(key, text, (size_t)len));
    }
    spreads_assert(&s);
}

static void keys_of_few_bits(const struct hash_key *key, size_t size) {
    struct spreads s;
    unsigned bits = (unsigned)size * 8;

    spreads_init(&s);
    for (unsigned a = 0; a < bits; a++) { /* at most three bits set */
        for (unsigned b = a + 1; b < bits; b++) {
            uint8_t bytes[64] = {0};

            bytes[a / 8] ^= (uint8_t)(1u << a % 8);
            bytes[b / 8] ^= (uint8_t)(1u << b % 8);
            bytes[(a * 7 + b) % size] ^= 1;
            spreads_add(&s, hash_bytes(key, bytes, size));
        }
    }
    spreads_assert(&s);
}

static void test_counted_text_keys_spread_evenly(void **state) {
    uint8_t seed[16] = {11, 22, 33};
    struct hash_key plain = hash_key_plain(seed), key = hash_key_from_bytes(seed);

    (void)state;
    counted_text_keys(&plain);
    counted_text_keys(&key);
}

static void test_keys_of_few_bits_spread_evenly(void **state) {
    uint8_t seed[16] = {0};
    struct hash_key plain = hash_key_plain(seed), key = hash_key_from_bytes(seed);

    (void)state;
    keys_of_few_bits(&plain, 64);
    keys_of_few_bits(&key, 64);
    keys_of_few_bits(&key, 37);
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
        cmocka_unit_test(test_rounds_give_the_standards_vector),
        cmocka_unit_test(test_hash_with_aes_is_the_standards_rounds_at_every_length_and_alignment),
        cmocka_unit_test(test_hash_of_the_longest_key_reads_all_of_it),
        cmocka_unit_test(test_keys_that_differ_in_length_only_differ),
        cmocka_unit_test(test_two_random_seeds_differ),
        cmocka_unit_test(test_counted_text_keys_spread_evenly),
        cmocka_unit_test(test_keys_of_few_bits_spread_evenly),
        cmocka_unit_test(test_keys_that_collide_under_times_33_spread),
        cmocka_unit_test(test_keys_that_collide_under_times_31_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
