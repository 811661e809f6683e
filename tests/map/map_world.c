/* map_world.c - what the tests of the map do all the time, in one line each. Asserts with cmocka: for one thread. */
#include "tests/map/map_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t world_now(void *context) {
    return ((struct map_world *)context)->now;
}

void map_world_open_with(struct map_world *w, struct strobe_map_options options) {
    static const uint8_t seed[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};

    memset(w, 0, sizeof *w);
    checked_alloc_init(&w->memory);
    w->now = MAP_WORLD_START_MS;
    w->random = 20261122;
    if (!options.allocator) options.allocator = &w->memory.allocator;
    if (!options.now_ms) {
        options.now_ms = world_now;
        options.now_context = w;
    }
    if (!options.seed) options.seed = seed;
    assert_int_equal(strobe_map_new(&options, &w->map), STROBE_OK);
}

void map_world_open(struct map_world *w, unsigned shards) {
    map_world_open_with(w, (struct strobe_map_options){.shards = shards});
}

void map_world_close(struct map_world *w) {
    strobe_map_free(w->map);
    assert_int_equal(w->memory.live, 0);
    assert_int_equal(w->memory.bytes, 0);
}

enum strobe_status map_world_set(struct map_world *w, const char *key, const char *value, uint64_t expiry) {
    return strobe_set(w->map, key, strlen(key), value, strlen(value), expiry);
}

enum strobe_status map_world_del(struct map_world *w, const char *key) {
    return strobe_del(w->map, key, strlen(key));
}

void map_world_assert(struct map_world *w, const char *key, const char *value) {
    char got[1024];
    size_t len = sizeof got - 1;
    enum strobe_status status = strobe_get(w->map, key, strlen(key), got, &len);

    if (!value) {
        assert_int_equal(status, STROBE_MISSING);
        return;
    }
    assert_int_equal(status, STROBE_OK);
    assert_true(len < sizeof got);
    got[len] = 0;
    assert_string_equal(got, value);
}

struct strobe_key map_world_key(struct map_world *w, const char *key) {
    return strobe_key(w->map, key, strlen(key));
}

uint64_t map_world_version(struct map_world *w, const char *key) {
    struct strobe_key k = map_world_key(w, key);
    struct strobe_access access;
    const struct strobe_entry *entry;
    uint64_t version;

    (void)strobe_map_tick(w->map);
    strobe_enter(w->map, &k, &access);
    entry = strobe_find(&access, &k);
    version = entry ? strobe_entry_version(entry) : 0;
    strobe_leave(&access);
    return version;
}

struct strobe_entry *map_world_entry(struct map_world *w, const struct strobe_key *key, const char *value,
                                     uint64_t expiry) {
    struct strobe_entry *entry = NULL;
    struct strobe_entry_spec spec = {.key = key, .value = value, .len = strlen(value), .expiry = expiry};

    assert_int_equal(strobe_entry_new(w->map, &spec, &entry), STROBE_OK);
    return entry;
}

void map_world_fill(struct map_world *w, const char *prefix, unsigned count) {
    char text[64];

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(text, sizeof text, "%s%u", prefix, i);
        assert_int_equal(map_world_set(w, text, text, 0), STROBE_OK);
    }
}

void map_world_drain(struct map_world *w, const char *prefix, unsigned count) {
    char text[64];

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(text, sizeof text, "%s%u", prefix, i);
        assert_int_equal(map_world_del(w, text), STROBE_OK);
    }
}

/* ---- Dumps --------------------------------------------------------------------------------------- */

struct lines {
    char **line;
    size_t count, room, bytes;
};

static uint64_t checksum(const char *bytes, size_t len) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++) sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static enum strobe_visit add_line(void *context, const struct strobe_entry *entry) {
    struct lines *lines = context;
    size_t key_len, len, type_len;
    const char *key = strobe_entry_key(entry, &key_len);
    const char *value = strobe_entry_value(entry, &len);
    const char *type = strobe_entry_type(entry, &type_len);
    char *line = NULL;
    int size;

    if (len <= 64)
        size = asprintf(&line, "%.*s = \"%.*s\" %" PRIu64 " %" PRIu64 " %.*s\n", (int)key_len, key, (int)len, value,
                        strobe_entry_version(entry), strobe_entry_expiry(entry), (int)type_len, type ? type : "");
    else
        size = asprintf(&line, "%.*s = %zu:%" PRIx64 " %" PRIu64 " %" PRIu64 " %.*s\n", (int)key_len, key, len,
                        checksum(value, len), strobe_entry_version(entry), strobe_entry_expiry(entry), (int)type_len,
                        type ? type : "");
    assert_true(size > 0);
    if (lines->count == lines->room) {
        lines->room = lines->room ? 2 * lines->room : 64;
        lines->line = realloc(lines->line, lines->room * sizeof *lines->line);
        assert_non_null(lines->line);
    }
    lines->line[lines->count++] = line;
    lines->bytes += (size_t)size;
    return STROBE_VISIT_NEXT;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *map_world_dump_from(struct strobe_snapshot *snapshot, struct strobe_position start) {
    struct lines lines = {0};
    char *text, *at;

    assert_int_equal(strobe_snapshot_read(snapshot, &start, NULL, 0, add_line, &lines), STROBE_OK);
    assert_int_equal(start.end, 1);
    if (lines.count) qsort(lines.line, lines.count, sizeof *lines.line, by_text);
    at = text = malloc(lines.bytes + 1);
    assert_non_null(text);
    *at = 0;
    for (size_t i = 0; i < lines.count; i++) {
        at = stpcpy(at, lines.line[i]);
        free(lines.line[i]);
    }
    free(lines.line);
    return text;
}

char *map_world_dump(struct strobe_snapshot *snapshot) {
    return map_world_dump_from(snapshot, (struct strobe_position){0});
}

char *map_world_dump_now(struct map_world *w) {
    struct strobe_snapshot *snapshot;
    char *text;

    assert_int_equal(strobe_snapshot_open(w->map, true, &snapshot), STROBE_OK);
    text = map_world_dump(snapshot);
    strobe_snapshot_close(snapshot);
    return text;
}

void map_world_stats(struct map_world *w, struct strobe_stats *stats) {
    strobe_map_stats(w->map, stats);
}

uint64_t map_world_rnd(struct map_world *w) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

uint32_t map_world_below(struct map_world *w, uint32_t n) {
    return (uint32_t)((map_world_rnd(w) >> 20) % n);
}
