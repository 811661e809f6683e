/* map_world.h - a small world for a test of the map: an allocator that is watched, a clock that is told, a map. */
#ifndef TESTS_MAP_WORLD_H
#define TESTS_MAP_WORLD_H

#include "map/map.h"
#include "tests/map/checked_alloc.h"

#define MAP_WORLD_START_MS 1000000u

struct map_world {
    struct checked_alloc memory;
    struct strobe_map *map;
    uint64_t now;    /* the map's wall clock, ms */
    uint64_t random; /* state of map_world_below */
};

/* A map of SHARDS shards. Nothing but the test moves its clock. */
void map_world_open(struct map_world *w, unsigned shards);

/* The same with other options; allocator, clock and seed are set here when OPTIONS leaves them NULL. */
void map_world_open_with(struct map_world *w, struct strobe_map_options options);

/* Frees the map and asserts that all memory came back. */
void map_world_close(struct map_world *w);

/* Text keys and values. */
enum strobe_status map_world_set(struct map_world *w, const char *key, const char *value, uint64_t expiry)
    STROBE_OUTSIDE;
enum strobe_status map_world_del(struct map_world *w, const char *key) STROBE_OUTSIDE;
void map_world_assert(struct map_world *w, const char *key, const char *value) STROBE_OUTSIDE; /* NULL: missing */
uint64_t map_world_version(struct map_world *w, const char *key) STROBE_OUTSIDE;               /* 0: missing */
struct strobe_key map_world_key(struct map_world *w, const char *key);

/* A new entry, owned by the caller. */
struct strobe_entry *map_world_entry(struct map_world *w, const struct strobe_key *key, const char *value,
                                     uint64_t expiry);

/* Keys "PREFIX0" to "PREFIX(count - 1)", each with its own name as value; or without them. */
void map_world_fill(struct map_world *w, const char *prefix, unsigned count) STROBE_OUTSIDE;
void map_world_drain(struct map_world *w, const char *prefix, unsigned count) STROBE_OUTSIDE;

/* Everything SNAPSHOT shows from START on as text, one line an entry: key, value (or its checksum when it is long),
 * version, expiry and type; sorted. To be freed with free(). */
char *map_world_dump_from(struct strobe_snapshot *snapshot, struct strobe_position start) STROBE_OUTSIDE;
char *map_world_dump(struct strobe_snapshot *snapshot) STROBE_OUTSIDE;

/* The same of the map as it is now. */
char *map_world_dump_now(struct map_world *w) STROBE_OUTSIDE;

void map_world_stats(struct map_world *w, struct strobe_stats *stats) STROBE_OUTSIDE;

uint64_t map_world_rnd(struct map_world *w);
uint32_t map_world_below(struct map_world *w, uint32_t n);

#endif
