/* hash.c - a hash with a secret key, so that nobody outside can choose keys that meet in one segment.
 *
 * The map takes all its decisions from this hash: shard, segment, bucket, tag. Two functions, by processor:
 *
 * Four rounds of AES to a block of 16 bytes, chained as CBC-MAC is, with a secret mask on the last block that tells its
 * length (what CMAC does with its two subkeys). Four rounds with independent keys are, as far as differences go, as
 * good as a random permutation: no pair of different blocks meets with a chance above 2^-110 (Minematsu and Tsunoo,
 * "Provably Secure MACs from Differentially-Uniform Permutations and AES-Based Implementations", FSE 2006, and the
 * papers on the differentials of AES that it builds on). Masks and round keys come from SipHash of the seed. A key of
 * up to 16 bytes takes 16 cycles of latency and a sixth of SipHash's instructions.
 *
 *      len <= 16:   block ^ mask[len] -> AES, 4 rounds -> low 64 bits
 *      len > 16:    mask[0] ^ block -> 4 rounds ^ block -> ... ^ last 16 bytes ^ mask[bytes left] -> 4 rounds
 *
 * SipHash-1-3 where there is no AES: a keyed pseudo-random function; one compression and three finalisation rounds are
 * what Rust's and Ruby's tables use against the same attack, with no better attack known than guessing the key.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 *
 * A multiplicative hash would be as fast as AES, but for those keys are known that collide under every seed.
 * tests/bench/map_bench prints the cost by key length.
 */
#include "map/hash_aes.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* The last LEN % 8 of the LEN bytes as a little-endian number. */
static inline uint64_t read_tail(const unsigned char *bytes, size_t len) {
    size_t rest = len & 7;

    if (rest == 0) return 0;
    return len > 8 ? hash_read64(bytes + len - 8) >> (64 - 8 * rest) : hash_read_few(bytes, rest);
}

static inline uint64_t rotate(uint64_t word, int by) {
    return (word << by) | (word >> (64 - by));
}

struct state {
    uint64_t a, b, c, d;
};

static inline void round_once(struct state *s) {
    s->a += s->b;
    s->c += s->d;
    s->b = rotate(s->b, 13) ^ s->a;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a = rotate(s->a, 32);
    s->c += s->b;
    s->a += s->d;
    s->b = rotate(s->b, 17) ^ s->c;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c = rotate(s->c, 32);
}

bool hash_random_seed(uint8_t seed[16]) {
    size_t got = 0;

    while (got < 16) {
        ssize_t n = getrandom(seed + got, 16 - got, 0);

        if (n > 0)
            got += (size_t)n;
        else if (errno != EINTR)
            return false;
    }
    return true;
}

static uint64_t siphash(const struct hash_key *key, const unsigned char *bytes, size_t len) {
    const unsigned char *tail = bytes + (len & ~(size_t)7);
    struct state s = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du, key->k0 ^ 0x6c7967656e657261u,
                      key->k1 ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)len << 56 | read_tail(bytes, len);

    for (; bytes != tail; bytes += 8) {
        uint64_t word = hash_read64(bytes);

        s.d ^= word;
        round_once(&s);
        s.a ^= word;
    }
    s.d ^= last;
    round_once(&s);
    s.a ^= last;
    s.c ^= 0xff;
    round_once(&s);
    round_once(&s);
    round_once(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

#if defined(__x86_64__)

WITH_AES static uint64_t hash_aes_call(const struct hash_key *key, const unsigned char *bytes, size_t len) {
    return hash_aes(key, bytes, len);
}

static bool has_aes(void) {
    return __builtin_cpu_supports("aes");
}

#else

static uint64_t hash_aes_call(const struct hash_key *key, const unsigned char *bytes, size_t len) {
    return siphash(key, bytes, len);
}

static bool has_aes(void) {
    return false;
}

#endif

/* The next COUNT * 16 bytes that SipHash makes of 0, 1, 2... */
static uint64_t expand(const struct hash_key *key, uint8_t (*blocks)[HASH_BLOCK], unsigned count, uint64_t number) {
    for (unsigned i = 0; i < 2 * count; i++, number++) {
        uint64_t word = siphash(key, (const unsigned char *)&number, sizeof number);

        memcpy(&blocks[i / 2][i % 2 * 8], &word, sizeof word);
    }
    return number;
}

struct hash_key hash_key_plain(const uint8_t seed[16]) {
    return (struct hash_key){.k0 = hash_read64(seed), .k1 = hash_read64(seed + 8)};
}

struct hash_key hash_key_from_bytes(const uint8_t seed[16]) {
    struct hash_key key = hash_key_plain(seed);

    key.aes = has_aes();
    (void)expand(&key, key.mask, HASH_BLOCK + 1, expand(&key, key.round, 4, 0));
    return key;
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len) {
    return key->aes ? hash_aes_call(key, data, len) : siphash(key, data, len);
}
