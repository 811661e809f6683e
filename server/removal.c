/* removal.c - removes the keys of a prefix that a snapshot of now holds, and nothing that was written since.
 *
 *      open -> snapshot      step -> a slice of it: each entry of the prefix is erased if it still has that version
 *
 * In slices, so that the connections of a loop have their turns between them. The snapshot is one that is never closed
 * for its memory, since half a deletion helps nobody; it lets go of what was read as it goes.
 * Always: exactly the versions of one instant go; a later write of the same key survives and is not counted.
 * On failure (no memory to keep an entry for some other scan) the slice is tried again, and then the removal fails.
 * Not here: what an empty prefix means to people (http_delete.c, cmd_keys.c). */
#include "server/removal.h"

#include <stdlib.h>
#include <string.h>

#include "server/services.h"

enum {
    STEP_PLACES = 1024, /* of the map looked at in a step */
    FAILURES_MAX = 100  /* steps in a row that found no memory */
};

struct removal {
    struct services *services;
    struct strobe_map *map;
    struct strobe_snapshot *snapshot; /* owned */
    struct strobe_position position;
    uint64_t count;
    unsigned failures;
    size_t prefix_len;
    char prefix[];
};

enum strobe_status removal_open(struct services *services, struct strobe_slice prefix, struct removal **out) {
    struct removal *removal = calloc(1, sizeof *removal + prefix.len);
    if (removal == NULL) return STROBE_NO_MEMORY;
    removal->services = services;
    removal->map = services_map(services);
    removal->prefix_len = prefix.len;
    if (prefix.len > 0) memcpy(removal->prefix, prefix.data, prefix.len);
    enum strobe_status status = strobe_snapshot_open(removal->map, true, &removal->snapshot);
    if (status != STROBE_OK) {
        free(removal);
        return status;
    }
    *out = removal;
    return STROBE_OK;
}

/* Visitor of the snapshot: erases the entry if it is still the one in the map. */
static enum strobe_visit erase(void *context, const struct strobe_entry *entry) {
    struct removal *removal = context;
    struct strobe_map *map = removal->map;
    struct strobe_entry *old = NULL;
    enum strobe_status status = STROBE_MISSING;
    struct strobe_access access;
    size_t len, prefix = removal->prefix_len;
    const char *bytes = strobe_entry_key(entry, &len);

    if (len < prefix || memcmp(bytes, removal->prefix, prefix) != 0) return STROBE_VISIT_NEXT;
    struct strobe_key key = strobe_key(map, bytes, len);
    strobe_enter(map, &key, &access);
    const struct strobe_entry *now = strobe_find(&access, &key);
    if (now != NULL && strobe_entry_version(now) == strobe_entry_version(entry)) {
        status = strobe_erase(&access, &key, &old);
    }
    strobe_leave(&access);
    strobe_entry_free(map, old);
    if (status == STROBE_NO_MEMORY) return STROBE_VISIT_REFUSE;
    removal->count += status == STROBE_OK;
    return STROBE_VISIT_NEXT;
}

enum removal_step removal_step(struct removal *removal) {
    struct strobe_position before = removal->position;
    enum strobe_status status =
        strobe_snapshot_read(removal->snapshot, &removal->position, NULL, STEP_PLACES, erase, removal);

    strobe_snapshot_forget(removal->snapshot, &removal->position);
    if (removal->position.end && status == STROBE_OK) return REMOVAL_DONE;
    if (memcmp(&before, &removal->position, sizeof before) != 0) {
        removal->failures = 0;
    } else if (++removal->failures == FAILURES_MAX) {
        return REMOVAL_FAILED;
    }
    return REMOVAL_MORE;
}

uint64_t removal_count(const struct removal *removal) {
    return removal->count;
}

size_t removal_memory(const struct removal *removal) {
    return sizeof *removal + removal->prefix_len;
}

void removal_close(struct removal *removal) {
    if (removal == NULL) return;
    services_close_snapshot(removal->services, removal->snapshot);
    free(removal);
}
