/* hash.c - SipHash-1-3, so that nobody outside can choose keys that meet in one segment.
 *
 * The map takes all its decisions from this hash: shard, segment, bucket, tag. A multiplicative hash
 * would cost about a third of the time, but for those keys are known that collide under every seed. SipHash is a
 * keyed pseudo-random function; one compression and three finalisation rounds are what Rust's and
 * Ruby's tables use against the same attack, with no better attack known than guessing the key.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 * tests/bench/map_bench prints its cost by key length.
 */
#include "map/hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static inline uint64_t read64(const unsigned char *bytes) {
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The last 0 to 7 bytes as a little-endian number. */
static inline uint64_t read_tail(const unsigned char *bytes, size_t len) {
    uint64_t word = 0;

    switch (len) {
    case 7: word |= (uint64_t)bytes[6] << 48; /* fall through */
    case 6: word |= (uint64_t)bytes[5] << 40; /* fall through */
    case 5: word |= (uint64_t)bytes[4] << 32; /* fall through */
    case 4: word |= (uint64_t)bytes[3] << 24; /* fall through */
    case 3: word |= (uint64_t)bytes[2] << 16; /* fall through */
    case 2: word |= (uint64_t)bytes[1] << 8;  /* fall through */
    case 1: word |= (uint64_t)bytes[0]; break;
    default: break;
    }
    return word;
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

struct hash_key hash_key_from_bytes(const uint8_t seed[16]) {
    return (struct hash_key){read64(seed), read64(seed + 8)};
}

_Bool hash_random_seed(uint8_t seed[16]) {
    size_t got = 0;

    while (got < 16) {
        ssize_t n = getrandom(seed + got, 16 - got, 0);

        if (n > 0)
            got += (size_t)n;
        else if (errno != EINTR)
            return 0;
    }
    return 1;
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len) {
    const unsigned char *bytes = data;
    const unsigned char *tail = bytes + (len & ~(size_t)7);
    struct state s = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du, key->k0 ^ 0x6c7967656e657261u,
                      key->k1 ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)len << 56 | read_tail(tail, len & 7);

    for (; bytes != tail; bytes += 8) {
        uint64_t word = read64(bytes);

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
