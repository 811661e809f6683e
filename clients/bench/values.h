/* values.h - values that say themselves whether they are right: made from a key's number and a sequence number, and
 * checked as they arrive, in pieces of any length. */
#ifndef STROBE_CLIENTS_BENCH_VALUES_H
#define STROBE_CLIENTS_BENCH_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/slice.h"

enum { VALUES_HEAD = 16, VALUES_BLOCK = 1 << 20 };

/* What all threads share; does not change after init. */
struct values {
    char *block;   /* owned: VALUES_BLOCK bytes that everything beyond the heads is taken from */
    uint64_t salt; /* so that a value of another prefix is wrong */
};

/* A value: SIZE bytes, the first of them in head, the rest from body_at of the block on, round and round. */
struct value {
    uint64_t size;
    size_t body_at;
    char head[VALUES_HEAD];
};

/* Allocates; false: no memory. Ends with values_fini(). */
bool values_init(struct values *values, struct strobe_slice prefix);
void values_fini(struct values *values);

/* Makes the value of SIZE bytes for key NUMBER; another SEQUENCE makes another value. */
void values_make(const struct values *values, uint64_t number, uint64_t sequence, uint64_t size, struct value *value);

/* A value on its way in. */
struct value_check {
    const struct values *values; /* borrowed until the value's end */
    uint64_t number, size, at;
    size_t body_at;
    bool wrong;
    char head[VALUES_HEAD];
};

/* Starts to check a value of SIZE bytes that was answered for key NUMBER. */
void value_check_begin(struct value_check *check, const struct values *values, uint64_t number, uint64_t size);

/* The next LEN bytes of it, borrowed until return; all together are size. When the last are in, check->wrong is the
 * verdict. */
void value_check_feed(struct value_check *check, const char *data, size_t len);

#endif
