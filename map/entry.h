/* entry.h - one key with its value, as a run of bytes that never changes once others can see it. */
#ifndef STROBE_MAP_ENTRY_H
#define STROBE_MAP_ENTRY_H

#include "map/map.h"

/* Whether ENTRY has this key. The caller has compared the hash's tag already. */
bool entry_has_key(const struct strobe_entry *entry, const struct strobe_key *key);

/* Before the entry is published, under its shard's lock. */
void entry_set_version(struct strobe_entry *entry, uint64_t version);

bool entry_expires(const struct strobe_entry *entry);

static inline bool entry_dead(const struct strobe_entry *entry, uint64_t now)
{
    return entry_expires(entry) && strobe_entry_expiry(entry) <= now;
}

/* Frees ENTRY's memory and lets its blob go. */
void entry_destroy(const struct strobe_allocator *allocator, struct strobe_entry *entry);

#endif
