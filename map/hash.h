/* hash.h - the keyed hash of the map, 64 bits: four rounds of AES where the processor has them, else SipHash-1-3. */
#ifndef STROBE_MAP_HASH_H
#define STROBE_MAP_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HASH_BLOCK = 16 };

struct hash_key {
    bool aes;        /* which of the two */
    uint64_t k0, k1; /* SipHash's key, from which the rest is made */
    _Alignas(HASH_BLOCK) uint8_t round[4][HASH_BLOCK];
    uint8_t mask[HASH_BLOCK + 1][HASH_BLOCK];
};

/* The key from 16 bytes. hash_key_plain's is for SipHash on any processor. */
struct hash_key hash_key_from_bytes(const uint8_t seed[16]);
struct hash_key hash_key_plain(const uint8_t seed[16]);

/* 16 bytes of the system's randomness in SEED. False: there is none. */
bool hash_random_seed(uint8_t seed[16]);

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);

/* Mixes all bits of X into all bits of the result, without a key: the finalizer of splitmix64 (Steele, Lea and Flood
 * 2014), with Stafford's constants (Mix13, 2011). */
static inline uint64_t hash_mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif
