/* hash_aes.h - the hash of four rounds of AES, here so that single.c can have it without a call. hash.c says why it is
 * good. */
#ifndef STROBE_MAP_HASH_AES_H
#define STROBE_MAP_HASH_AES_H

#include <string.h>

#include "map/compiler.h"
#include "map/hash.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Little-endian, as every machine the map runs on is (segment.c checks it). */
static inline uint64_t hash_read64(const unsigned char *bytes) {
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline uint32_t hash_read32(const unsigned char *bytes) {
    uint32_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

/* 1 to 7 bytes as a little-endian number: loads that overlap instead of a loop. */
static inline uint64_t hash_read_few(const unsigned char *bytes, size_t len) {
    if (len >= 4) return hash_read32(bytes) | (uint64_t)hash_read32(bytes + len - 4) << (8 * (len - 4));
    return bytes[0] | (uint64_t)bytes[len / 2] << (8 * (len / 2)) | (uint64_t)bytes[len - 1] << (8 * (len - 1));
}

#if defined(__x86_64__)

#define WITH_AES        __attribute__((target("aes")))
#define WITH_AES_INLINE WITH_AES INLINE

WITH_AES_INLINE __m128i hash_read128(const uint8_t *bytes) {
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

WITH_AES_INLINE __m128i hash_four_rounds(const struct hash_key *key, __m128i block) {
    for (int i = 0; i < 4; i++) block = _mm_aesenc_si128(block, hash_read128(key->round[i]));
    return block;
}

/* What hash_bytes gives with a KEY whose `aes` is set. The caller has made sure that the processor has AES. */
WITH_AES_INLINE uint64_t hash_aes(const struct hash_key *key, const unsigned char *bytes, size_t len) {
    __m128i state;

    if (len <= HASH_BLOCK) {
        if (len >= 8)
            state = _mm_set_epi64x((long long)hash_read64(bytes + len - 8), (long long)hash_read64(bytes));
        else
            state = _mm_cvtsi64_si128(len ? (long long)hash_read_few(bytes, len) : 0);
    } else {
        state = hash_read128(key->mask[0]);
        for (; len > HASH_BLOCK; bytes += HASH_BLOCK, len -= HASH_BLOCK)
            state = hash_four_rounds(key, _mm_xor_si128(state, hash_read128(bytes)));
        state = _mm_xor_si128(state, hash_read128(bytes + len - HASH_BLOCK));
    }
    state = hash_four_rounds(key, _mm_xor_si128(state, hash_read128(key->mask[len])));
    return (uint64_t)_mm_cvtsi128_si64(state);
}

#endif

#endif
