/* values.c - a value is a head of 16 characters and a body.
 *
 *     sequence (8) | check (8) | body, out of one block of random characters that all values share
 *                       |          ^ from a place that follows from the same four numbers
 *                       mixed from key, sequence, size and prefix
 *
 * So a value that was cut, torn (half of another write's), of another key, or changed by a bit is found, without
 * knowing who wrote it when; and a large body is sent without being made, and checked by one comparison. A value of
 * less than 16 bytes carries the beginning of what follows from key, size and prefix alone. All characters are
 * letters, digits, "-" and "_", so that a value can be read, and needs no escapes in JSON.
 * Not found: an old value of the same key in place of a newer one. */
#include "clients/bench/values.h"

#include <stdlib.h>
#include <string.h>

#include "clients/bench/keys.h"

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_abcdefghijklmnopqrstuvwxyz";

enum { HALF = VALUES_HEAD / 2 };

/* The low 48 bits of NUMBER as 8 characters. */
static void encode(uint64_t number, char to[HALF]) {
    for (int i = 0; i < HALF; i++) {
        to[i] = alphabet[number & 63];
        number >>= 6;
    }
}

/* Mixes the numbers that a value is made of. */
static uint64_t mixed(const struct values *values, uint64_t number, uint64_t sequence, uint64_t size) {
    return random_mix(random_mix(random_mix(sequence + values->salt) + number) + size);
}

/* Where in the block a body begins; the small ones share a part of it that stays in the processor's cache. */
static size_t body_place(uint64_t check, uint64_t size) {
    enum { SMALL = 4096, SMALL_PLACES = 8192 };

    return (size_t)(check >> 44) % (size <= SMALL ? SMALL_PLACES : VALUES_BLOCK);
}

/* HEAD's second half, and where the body begins, from its first half as the characters are. */
static void finish_head(const struct values *values, uint64_t number, uint64_t size, char head[VALUES_HEAD],
                        size_t *body_at) {
    uint64_t first;

    memcpy(&first, head, sizeof first);
    uint64_t check = mixed(values, number, first, size);
    encode(check, head + HALF);
    *body_at = body_place(check, size);
}

/* The head of a value that is shorter than one. */
static void short_head(const struct values *values, uint64_t number, uint64_t size, char head[VALUES_HEAD]) {
    uint64_t check = mixed(values, number, 0, size);

    encode(check, head);
    encode(random_mix(check), head + HALF);
}

bool values_init(struct values *values, struct strobe_slice prefix) {
    struct random random;

    values->block = malloc(VALUES_BLOCK);
    if (values->block == NULL) return false;
    random_init(&random, 1);
    for (size_t i = 0; i < VALUES_BLOCK; i += HALF) encode(random_next(&random), values->block + i);
    values->salt = 0;
    for (size_t i = 0; i < prefix.len; i++) values->salt = random_mix(values->salt + (unsigned char)prefix.data[i]);
    return true;
}

void values_fini(struct values *values) {
    free(values->block);
    values->block = NULL;
}

void values_make(const struct values *values, uint64_t number, uint64_t sequence, uint64_t size, struct value *value) {
    value->size = size;
    value->body_at = 0;
    if (size < VALUES_HEAD) {
        short_head(values, number, size, value->head);
        return;
    }
    encode(sequence, value->head);
    finish_head(values, number, size, value->head, &value->body_at);
}

void value_check_begin(struct value_check *check, const struct values *values, uint64_t number, uint64_t size) {
    check->values = values;
    check->number = number;
    check->size = size;
    check->at = 0;
    check->body_at = 0;
    check->wrong = false;
}

/* All of the head is in, or of the value if that is shorter. */
static void check_head(struct value_check *check) {
    char right[VALUES_HEAD];
    size_t len = check->size < VALUES_HEAD ? (size_t)check->size : VALUES_HEAD;

    if (len < VALUES_HEAD) {
        short_head(check->values, check->number, check->size, right);
    } else {
        memcpy(right, check->head, HALF);
        finish_head(check->values, check->number, check->size, right, &check->body_at);
    }
    if (memcmp(right, check->head, len) != 0) check->wrong = true;
}

void value_check_feed(struct value_check *check, const char *data, size_t len) {
    size_t head = check->size < VALUES_HEAD ? (size_t)check->size : VALUES_HEAD;

    if (check->at < head) {
        size_t part = head - (size_t)check->at < len ? head - (size_t)check->at : len;
        memcpy(check->head + check->at, data, part);
        check->at += part;
        data += part;
        len -= part;
        if (check->at == head) check_head(check);
    }
    while (len > 0) {
        size_t run = VALUES_BLOCK - check->body_at < len ? VALUES_BLOCK - check->body_at : len;
        if (memcmp(check->values->block + check->body_at, data, run) != 0) check->wrong = true;
        check->body_at = (check->body_at + run) % VALUES_BLOCK;
        check->at += run;
        data += run;
        len -= run;
    }
}
