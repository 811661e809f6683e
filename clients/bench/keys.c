/* keys.c - the keys of a load: uniform, by turns, or by Zipf's law as YCSB has it.
 *
 * Zipf: rank r is asked for in proportion to 1 / r^0.99, by the method of Gray et al., "Quickly generating
 * billion-record synthetic databases" (SIGMOD 1994), section 3, as YCSB's ZipfianGenerator does it. The rank is then
 * scattered over the keys by its FNV hash, as YCSB's ScrambledZipfianGenerator does, so that hot keys do not lie side
 * by side; two ranks may meet in one key. YCSB's scrambled one draws from 10^10 ranks whatever the number of keys; here
 * it is as many ranks as keys, which keeps the law.
 * Always: a key has keys->size bytes, and its number can be read back. */
#include "clients/bench/keys.h"

#include <math.h>
#include <string.h>

static const double ZIPF_THETA = 0.99;

void random_init(struct random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        random->state[i] = random_mix(seed);
    }
}

/* ---- Zipf -------------------------------------------------------------------------------------- */

double keys_zeta(uint64_t count) {
    enum { EXACT = 10000 };
    double sum = 0, last = (double)count, first = EXACT;
    uint64_t terms = count < EXACT ? count : EXACT;

    for (uint64_t i = 1; i <= terms; i++) sum += pow((double)i, -ZIPF_THETA);
    if (count <= EXACT) return sum;
    /* The rest by Euler and Maclaurin's formula: the integral, half the difference of the ends, and one term more. */
    sum += (pow(last, 1 - ZIPF_THETA) - pow(first, 1 - ZIPF_THETA)) / (1 - ZIPF_THETA);
    sum += (pow(last, -ZIPF_THETA) - pow(first, -ZIPF_THETA)) / 2;
    sum += ZIPF_THETA * (pow(first, -ZIPF_THETA - 1) - pow(last, -ZIPF_THETA - 1)) / 12;
    return sum;
}

static void zipf_init(struct keys *keys) {
    double count = (double)keys->count;

    keys->zeta = keys_zeta(keys->count);
    keys->zeta_of_two = keys_zeta(2);
    keys->alpha = 1 / (1 - ZIPF_THETA);
    keys->eta = (1 - pow(2 / count, 1 - ZIPF_THETA)) / (1 - keys->zeta_of_two / keys->zeta);
}

static uint64_t zipf_rank(const struct keys *keys, struct random *random) {
    double u = (double)(random_next(random) >> 11) * 0x1p-53, scaled = u * keys->zeta;

    if (scaled < 1 || keys->count == 1) return 0;
    if (scaled < keys->zeta_of_two || keys->count == 2) return 1;
    uint64_t rank = (uint64_t)((double)keys->count * pow(keys->eta * u - keys->eta + 1, keys->alpha));
    return rank < keys->count ? rank : keys->count - 1;
}

/* FNV-1 over the bytes of a number, as YCSB's Utils.fnvhash64. */
static uint64_t fnv_hash(uint64_t number) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (int i = 0; i < 8; i++) {
        hash = (hash ^ (number & 0xff)) * UINT64_C(1099511628211);
        number >>= 8;
    }
    return hash;
}

/* ---- which key ----------------------------------------------------------------------------------- */

static size_t digits_of(uint64_t number) {
    size_t digits = 1;

    for (; number >= 10; number /= 10) digits++;
    return digits;
}

size_t keys_least_size(size_t prefix_len, uint64_t last) {
    return prefix_len + digits_of(last);
}

void keys_init(struct keys *keys, struct strobe_slice prefix, size_t size, uint64_t first, uint64_t count,
               enum keys_dist dist) {
    *keys = (struct keys){.prefix = prefix, .size = size, .first = first, .count = count, .dist = dist};
    if (dist == KEYS_ZIPF) zipf_init(keys);
}

void keys_walk_init(struct keys_walk *walk, uint64_t at, uint64_t seed) {
    walk->next = at;
    random_init(&walk->random, seed);
}

uint64_t keys_next(const struct keys *keys, struct keys_walk *walk) {
    switch (keys->dist) {
    case KEYS_UNIFORM: return keys->first + random_below(&walk->random, keys->count);
    case KEYS_ZIPF: return keys->first + fnv_hash(zipf_rank(keys, &walk->random)) % keys->count;
    case KEYS_SEQUENTIAL: break;
    }
    uint64_t at = walk->next % keys->count;
    walk->next = at + 1;
    return keys->first + at;
}

/* ---- how it is written --------------------------------------------------------------------------- */

void keys_write(const struct keys *keys, uint64_t number, char *to) {
    char *at = to + keys->size, *first = to + keys->prefix.len;

    memcpy(to, keys->prefix.data, keys->prefix.len);
    for (; number != 0; number /= 10) *--at = (char)('0' + number % 10);
    memset(first, '0', (size_t)(at - first));
}

bool keys_read(const struct keys *keys, struct strobe_slice key, uint64_t *number) {
    uint64_t sum = 0, end = keys->first + keys->count;

    if (key.len != keys->size || memcmp(key.data, keys->prefix.data, keys->prefix.len) != 0) return false;
    for (size_t i = keys->prefix.len; i < key.len; i++) {
        unsigned digit = (unsigned)(key.data[i] - '0');
        if (digit > 9 || sum >= end) return false;
        sum = sum * 10 + digit;
    }
    if (sum < keys->first || sum >= end) return false;
    *number = sum;
    return true;
}
