/* recipe.c - requests, taken apart into what changes and what does not. */
#include "clients/bench/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/number.h"

void recipe_init(struct recipe *recipe) {
    memset(recipe, 0, sizeof *recipe);
}

void recipe_fini(struct recipe *recipe) {
    free(recipe->parts);
    free(recipe->bytes);
    recipe_init(recipe);
}

/* Room for one part more; false: no memory. */
static bool grow_parts(struct recipe *recipe) {
    if (recipe->count < recipe->capacity) return true;
    size_t capacity = recipe->capacity == 0 ? 8 : recipe->capacity * 2;
    struct part *parts = realloc(recipe->parts, capacity * sizeof *parts);
    if (parts == NULL) return false;
    recipe->parts = parts;
    recipe->capacity = capacity;
    return true;
}

/* Room for LEN bytes more; false: no memory. */
static bool grow_bytes(struct recipe *recipe, size_t len) {
    if (recipe->room - recipe->len >= len) return true;
    size_t room = (recipe->len + len) * 2;
    char *bytes = realloc(recipe->bytes, room);
    if (bytes == NULL) return false;
    recipe->bytes = bytes;
    recipe->room = room;
    return true;
}

void recipe_part(struct recipe *recipe, enum part_kind kind) {
    if (!grow_parts(recipe)) {
        recipe->no_memory = true;
        return;
    }
    recipe->parts[recipe->count++] = (struct part){kind, (uint32_t)recipe->len, 0};
    recipe->keys += kind == PART_KEY;
}

void recipe_text(struct recipe *recipe, struct strobe_slice text) {
    if (text.len == 0) return;
    if (!grow_bytes(recipe, text.len)) {
        recipe->no_memory = true;
        return;
    }
    if (recipe->count == 0 || recipe->parts[recipe->count - 1].kind != PART_TEXT) recipe_part(recipe, PART_TEXT);
    if (recipe->no_memory) return;
    memcpy(recipe->bytes + recipe->len, text.data, text.len);
    recipe->len += text.len;
    recipe->parts[recipe->count - 1].len += (uint32_t)text.len;
}

void recipe_number(struct recipe *recipe, uint64_t number) {
    char text[STROBE_NUMBER_INT64_TEXT];

    recipe_text(recipe, strobe_slice_make(text, strobe_number_format_uint64(text, number)));
}

void recipe_length(struct recipe *recipe, const struct bench_options *options) {
    if (options->size.least == options->size.most)
        recipe_number(recipe, options->size.least);
    else
        recipe_part(recipe, PART_LENGTH);
}
