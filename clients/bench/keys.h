/* keys.h - which keys are asked for, and how they are written: a prefix, then a number filled up with zeros. */
#ifndef STROBE_CLIENTS_BENCH_KEYS_H
#define STROBE_CLIENTS_BENCH_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/slice.h"

#define KEYS_DISTS(X)     \
    X(UNIFORM, "uniform") \
    X(ZIPF, "zipf")       \
    X(SEQUENTIAL, "sequential")

enum keys_dist {
#define KEYS_DIST_ENUM(name, text) KEYS_##name,
    KEYS_DISTS(KEYS_DIST_ENUM)
#undef KEYS_DIST_ENUM
};

/* A source of random numbers: xoshiro256++ (Blackman and Vigna, https://prng.di.unimi.it). One thread. */
struct random {
    uint64_t state[4];
};

/* Starts RANDOM; the same SEED gives the same numbers. */
void random_init(struct random *random, uint64_t seed);

static inline uint64_t random_next(struct random *random) {
    uint64_t *s = random->state, sum = s[0] + s[3], shifted = s[1] << 17;
    uint64_t result = ((sum << 23) | (sum >> 41)) + s[0];

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return result;
}

__extension__ typedef unsigned __int128 random_wide;

/* Below LIMIT; the bias of one part in 2^64 / LIMIT does not matter here. */
static inline uint64_t random_below(struct random *random, uint64_t limit) {
    return (uint64_t)(((random_wide)random_next(random) * limit) >> 64);
}

/* Mixes all bits of X into all bits of the result: the finalizer of splitmix64. */
static inline uint64_t random_mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* What all threads share; does not change after init. */
struct keys {
    struct strobe_slice prefix; /* borrowed */
    size_t size;                /* bytes of a key */
    uint64_t first, count;      /* numbers: first to first + count - 1 */
    enum keys_dist dist;
    double zeta, zeta_of_two, alpha, eta; /* of zipf */
};

/* Where one thread stands. */
struct keys_walk {
    struct random random;
    uint64_t next; /* of sequential */
};

/* Bytes of the shortest key that holds PREFIX_LEN bytes and every number up to LAST. */
size_t keys_least_size(size_t prefix_len, uint64_t last);

/* COUNT keys (at least 1) with numbers from FIRST on. Borrows PREFIX for good. SIZE is at least keys_least_size(). */
void keys_init(struct keys *keys, struct strobe_slice prefix, size_t size, uint64_t first, uint64_t count,
               enum keys_dist dist);

/* Starts WALK at the key AT places behind the first (sequential), and with SEED (the others). */
void keys_walk_init(struct keys_walk *walk, uint64_t at, uint64_t seed);

/* The next number. */
uint64_t keys_next(const struct keys *keys, struct keys_walk *walk);

/* Writes key NUMBER, keys->size bytes, to TO. */
void keys_write(const struct keys *keys, uint64_t number, char *to);

/* Is KEY one of ours? Then *NUMBER is its number. */
bool keys_read(const struct keys *keys, struct strobe_slice key, uint64_t *number);

/* 1 + 1/2^0.99 + ... + 1/count^0.99. */
double keys_zeta(uint64_t count);

#endif
