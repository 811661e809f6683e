/* vigil.c - who wants to know when something is put under an absent key.
 *
 *     shard, low bits of the hash -> vigil -> vigil -> ...    each in memory of its owner, who takes it off at the end
 *
 * A key that is there has a version, which tells all; one that is absent has none, and may come and go unseen. Versions
 * of absent keys would cost memory for every key that ever was; this costs who asks a link in a list, and who puts one
 * comparison when nobody asks. Only hashes are compared: who puts does not look at the owner's key.
 * Always: the list is touched inside the shard's lock. Nothing here can fail. */
#include "map/map.h"
#include "map/map_private.h"

STROBE_INSIDE static struct strobe_vigil **list_of(struct strobe_shard *shard, uint64_t hash) {
    return &shard->vigils_of[hash % VIGIL_LISTS];
}

void shard_end_vigils(struct strobe_shard *shard, uint64_t hash) {
    for (struct strobe_vigil *vigil = *list_of(shard, hash); vigil != NULL; vigil = vigil->next)
        if (vigil->hash == hash) vigil->ended = true;
}

void strobe_vigil_begin(struct strobe_access *access, const struct strobe_key *key, struct strobe_vigil *vigil) {
    struct strobe_shard *shard = map_shard(access->map, key->hash);
    struct strobe_vigil **list = list_of(shard, key->hash);

    lock_assert_held(&shard->lock);
    *vigil = (struct strobe_vigil){.next = *list, .at = list, .shard = shard, .hash = key->hash};
    if (vigil->next != NULL) vigil->next->at = &vigil->next;
    *list = vigil;
    shard->vigils++;
}

void strobe_vigil_end(struct strobe_vigil *vigil) {
    struct strobe_shard *shard = vigil->shard;

    if (shard == NULL) return;
    shard_enter(shard);
    *vigil->at = vigil->next;
    if (vigil->next != NULL) vigil->next->at = vigil->at;
    shard->vigils--;
    shard_leave(shard);
    vigil->shard = NULL;
}
