/* recipe.h - how a request is made: texts that are always the same, and keys and values between them. */
#ifndef STROBE_CLIENTS_BENCH_RECIPE_H
#define STROBE_CLIENTS_BENCH_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/bench/options.h"
#include "protocol/slice.h"

enum part_kind {
    PART_TEXT,
    PART_KEY,   /* the next key */
    PART_VALUE, /* a value for the last key; for key 0 when there was none */
    PART_LENGTH /* the length of the value that follows, in decimal */
};

struct part {
    enum part_kind kind;
    uint32_t at, len; /* of a TEXT: its place in the recipe's bytes */
};

/* Built once, then read by all threads. */
struct recipe {
    struct part *parts; /* owned */
    size_t count, capacity;
    char *bytes; /* owned */
    size_t len, room;
    size_t keys;    /* PART_KEYs */
    bool no_memory; /* something could not be added */
};

/* Starts RECIPE empty, allocating nothing. Ends with recipe_fini(). */
void recipe_init(struct recipe *recipe);
void recipe_fini(struct recipe *recipe);

/* Adds TEXT (copied) to the end; joins the text before it. A lack of memory is kept in recipe->no_memory. */
void recipe_text(struct recipe *recipe, struct strobe_slice text);
void recipe_number(struct recipe *recipe, uint64_t number);
void recipe_part(struct recipe *recipe, enum part_kind kind);

/* The length of the value that follows: known now, or a PART_LENGTH. */
void recipe_length(struct recipe *recipe, const struct bench_options *options);

#endif
