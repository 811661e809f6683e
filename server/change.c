/* change.c - look, make outside of the lock, put if nobody was faster.
 *
 *     enter  look (version v)  leave      make the new entry      enter  still v? put  leave      free the old
 *                                                                        else from the beginning
 *
 * No command changes an entry, so a changed value is a new entry. Allocating and copying it under the shard's
 * lock would make everybody wait who uses that shard; the version tells whether what was made is still
 * made from the truth. A key that is written all the time could make a slow change start again for ever:
 * after TRIES it is made inside. In EXEC, which holds the lock anyway, it is made inside at once.
 * On failure nothing was changed. Not here: conditions and replies (the handlers). */
#include "server/change.h"

#include <string.h>

enum { TRIES = 8 };

static void keep(struct seen *seen, const struct strobe_entry *entry, uint64_t now, bool with_value) {
    seen->now = now;
    seen->blob = NULL;
    seen->value = seen->small;
    seen->version = 0;
    seen->expiry = 0;
    seen->len = 0;
    seen->type_len = 0;
    if (entry == NULL) return;
    seen->version = strobe_entry_version(entry);
    seen->expiry = strobe_entry_expiry(entry);
    const char *value = strobe_entry_value(entry, &seen->len);
    struct strobe_blob *blob = strobe_entry_blob(entry);
    if (!with_value) {
        seen->value = NULL;
    } else if (blob != NULL) {
        seen->blob = strobe_blob_share(blob);
        seen->value = value;
    } else if (seen->len > 0) {
        memcpy(seen->small, value, seen->len);
    }
    const char *type = strobe_entry_type(entry, &seen->type_len);
    if (type == NULL) {
        seen->type_len = 0;
    } else {
        memcpy(seen->type, type, seen->type_len);
    }
}

struct strobe_entry_spec seen_spec(const struct seen *seen, const struct strobe_key *key) {
    return (struct strobe_entry_spec){
        .key = key, .expiry = seen->expiry, .type = seen->type_len > 0 ? seen->type : NULL, .type_len = seen->type_len};
}

static void look(struct strobe_map *map, const struct strobe_key *key, struct seen *seen, bool with_value) {
    struct strobe_access access;
    strobe_enter(map, key, &access);
    keep(seen, strobe_find(&access, key), strobe_access_now(&access), with_value);
    strobe_leave(&access);
}

void seen_look(struct strobe_map *map, const struct strobe_key *key, struct seen *seen) {
    look(map, key, seen, true);
}

void seen_look_inside(struct strobe_access *access, const struct strobe_key *key, struct seen *seen) {
    keep(seen, strobe_find(access, key), strobe_access_now(access), true);
}

void seen_glance(struct strobe_map *map, const struct strobe_key *key, struct seen *seen) {
    look(map, key, seen, false);
}

void seen_fini(struct seen *seen) {
    if (seen->blob != NULL) strobe_blob_release(seen->blob);
    seen->blob = NULL;
}

/* Does what MAKE said, inside the lock. *ENTRY is afterwards what the caller frees outside. */
STROBE_INSIDE static enum strobe_status apply(struct strobe_access *access, const struct strobe_key *key,
                                              enum strobe_status made, struct strobe_entry **entry, uint64_t *version) {
    const struct strobe_entry *fresh = *entry;
    if (made == STROBE_MISSING) {
        enum strobe_status status = strobe_erase(access, key, entry);
        return status == STROBE_MISSING ? STROBE_OK : status;
    }
    if (made != STROBE_OK || *entry == NULL) return made;
    enum strobe_status status = strobe_put(access, key, entry);
    if (status == STROBE_OK) *version = strobe_entry_version(fresh);
    return status;
}

static enum strobe_status change_inside(const struct command_call *call, const struct strobe_key *key,
                                        change_make *make, void *context, uint64_t *version) {
    struct strobe_entry *entry = NULL;
    struct seen seen;
    struct strobe_access own, *access = command_enter(call, key, &own);
    seen_look_inside(access, key, &seen);
    enum strobe_status status = make(context, &seen, &entry);
    status = apply(access, key, status, &entry, version);
    command_leave(call, access);
    command_free_entry(call, entry);
    seen_fini(&seen);
    return status;
}

enum strobe_status change_entry_to(const struct command_call *call, const struct strobe_key *key, change_make *make,
                                   void *context, uint64_t *version) {
    struct seen seen;
    for (unsigned i = 0; i < TRIES && call->access == NULL; i++) {
        struct strobe_entry *entry = NULL;
        seen_look(call->map, key, &seen);
        enum strobe_status status = make(context, &seen, &entry);
        bool writes = status == STROBE_MISSING || (status == STROBE_OK && entry != NULL);
        bool same = true;
        if (writes) {
            struct strobe_access access;
            strobe_enter(call->map, key, &access);
            const struct strobe_entry *now = strobe_find(&access, key);
            same = (now == NULL ? 0 : strobe_entry_version(now)) == seen.version;
            if (same) status = apply(&access, key, status, &entry, version);
            strobe_leave(&access);
        }
        strobe_entry_free(call->map, entry);
        seen_fini(&seen);
        if (same) return status;
    }
    return change_inside(call, key, make, context, version);
}

enum strobe_status change_entry(const struct command_call *call, const struct strobe_key *key, change_make *make,
                                void *context) {
    uint64_t version;
    return change_entry_to(call, key, make, context, &version);
}
