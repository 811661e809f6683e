/* hash.h - the keyed hash of the map: SipHash-1-3, 64 bits. */
#ifndef STROBE_MAP_HASH_H
#define STROBE_MAP_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0, k1;
};

struct hash_key hash_key_from_bytes(const uint8_t seed[16]);

/* 16 bytes of the system's randomness in SEED. False: there is none. */
_Bool hash_random_seed(uint8_t seed[16]);

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);

#endif
