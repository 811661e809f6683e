/* misuse.c - each way of misusing the map's locks, alone behind a name: test_misuse.py shows that each is caught.
 *
 * With no name given it is right, and must compile and run without a word. A name MISUSE_* plants one mistake for
 * clang's analysis of lock classes; a word on the command line makes one at run time, for the owner check of a debug
 * build.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "map/map_private.h"

/* ---- At compile time ------------------------------------------------------------------------------ */

static SNAPSHOTS_ENTERS LOCK_UNCHECKED void list_enter(struct snapshots *snapshots) {
    lock_enter(&snapshots->lock);
}

static SNAPSHOTS_LEAVES LOCK_UNCHECKED void list_leave(struct snapshots *snapshots) {
    lock_leave(&snapshots->lock);
}

static const char *look(struct strobe_map *map, const struct strobe_key *key) {
    struct strobe_access access;
    const struct strobe_entry *entry;

#ifdef MISUSE_MISSING_LOCK
    access.map = map;
#else
    strobe_enter(map, key, &access);
#endif
    entry = strobe_find(&access, key);
#ifdef MISUSE_LEAKED_LOCK_ON_ONE_WAY
    if (!entry) return "missing";
#endif
#ifdef MISUSE_ENTER_INSIDE
    {
        struct strobe_access second;

        strobe_enter(map, key, &second);
        strobe_leave(&second);
    }
#endif
#ifdef MISUSE_LOCKING_FUNCTION_INSIDE
    (void)strobe_count(map);
#endif
#ifdef MISUSE_SNAPSHOT_OPENED_INSIDE
    {
        struct strobe_snapshot *snapshot;

        (void)strobe_snapshot_open(map, false, &snapshot);
    }
#endif
#if !defined(MISUSE_LEAKED_LOCK) && !defined(MISUSE_MISSING_LOCK)
    strobe_leave(&access);
#endif
#ifdef MISUSE_LEAVE_TWICE
    strobe_leave(&access);
#endif
#ifdef MISUSE_FIND_AFTER_LEAVE
    entry = strobe_find(&access, key);
#endif
    return entry ? "there" : "missing";
}

static uint64_t look_inside(struct strobe_map *map, struct strobe_shard *shard) {
    uint64_t version;

#ifdef MISUSE_ORDER_SNAPSHOTS_THEN_SHARD
    list_enter(&map->snapshots);
    shard_enter(shard);
    shard_leave(shard);
    list_leave(&map->snapshots);
#endif
#ifdef MISUSE_CHANGE_WITHOUT_LOCK
    shard->version++;
#endif
#ifdef MISUSE_READ_WITHOUT_LOCK
    version = shard->version;
#endif
#ifdef MISUSE_LIST_WITHOUT_LOCK
    map->snapshots.count++;
#endif
#ifdef MISUSE_SEGMENT_CHANGED_WITHOUT_LOCK
    segment_remove(table_segment(&shard->live, 0), 0, 0);
#endif
    shard_enter(shard);
    version = shard->version;
    list_enter(&map->snapshots);
    version += map->snapshots.count;
    list_leave(&map->snapshots);
#ifdef MISUSE_LIST_WITH_THE_WRONG_LOCK
    map->snapshots.count++;
#endif
    shard_leave(shard);
    return version;
}

/* ---- At run time ---------------------------------------------------------------------------------- */

static struct strobe_map *new_map(void) {
    struct strobe_map *map;

    if (strobe_map_new(&(struct strobe_map_options){.shards = 2}, &map) != STROBE_OK) exit(2);
    return map;
}

/* A key of each shard. */
static struct strobe_key key_of_shard(const struct strobe_map *map, uint32_t shard, char text[8]) {
    struct strobe_key key;

    for (unsigned i = 0;; i++) {
        int len = snprintf(text, 8, "k%u", i);

        key = strobe_key(map, text, (size_t)len);
        if (map_shard_index(map, key.hash) == shard) return key;
    }
}

struct crime {
    struct strobe_map *map;
    const char *what;
    struct strobe_access access; /* entered by the main thread */
};

/* What the compiler would have refused: so it is not shown it. */
LOCK_UNCHECKED static void *commit(void *context) {
    struct crime *crime = context;
    struct strobe_map *map = crime->map;
    char texts[2][8];
    struct strobe_key first = key_of_shard(map, 0, texts[0]), second = key_of_shard(map, 1, texts[1]);
    struct strobe_access access = {.map = map};
    struct strobe_entry *old;

    if (strcmp(crime->what, "missing-lock") == 0) {
        (void)strobe_find(&access, &first);
    } else if (strcmp(crime->what, "other-shard") == 0) {
        strobe_enter(map, &first, &access);
        (void)strobe_find(&access, &second);
    } else if (strcmp(crime->what, "other-thread") == 0) { /* changes what the main thread is reading */
        (void)strobe_erase(&crime->access, &first, &old);
    } else if (strcmp(crime->what, "leave-not-held") == 0) {
        strobe_leave(&crime->access);
    } else if (strcmp(crime->what, "leave-twice") == 0) {
        strobe_enter(map, &first, &access);
        strobe_leave(&access);
        strobe_leave(&access);
    } else if (strcmp(crime->what, "enter-inside") == 0) {
        struct strobe_access again;

        strobe_enter(map, &first, &access);
        strobe_enter(map, &first, &again);
    } else if (strcmp(crime->what, "locking-inside") == 0) {
        strobe_enter(map, &first, &access);
        (void)strobe_set(map, first.data, first.len, "x", 1, 0);
    } else if (strcmp(crime->what, "none") != 0) {
        exit(2);
    }
    return NULL;
}

/* The main thread holds the first shard when the crime is about another thread's lock. */
LOCK_UNCHECKED static void run(struct crime *crime) {
    char text[8];
    struct strobe_key first = key_of_shard(crime->map, 0, text);
    bool held = strcmp(crime->what, "other-thread") == 0 || strcmp(crime->what, "leave-not-held") == 0;
    pthread_t thread;

    if (held) strobe_enter(crime->map, &first, &crime->access);
    if (pthread_create(&thread, NULL, commit, crime) != 0 || pthread_join(thread, NULL) != 0) exit(2);
    if (held) strobe_leave(&crime->access);
}

int main(int argc, char **argv) {
    struct crime crime = {.map = new_map(), .what = argc > 1 ? argv[1] : "none"};
    char text[8];
    struct strobe_key key = key_of_shard(crime.map, 1, text);

    if (strcmp(look(crime.map, &key), "missing") != 0 || look_inside(crime.map, &crime.map->shards[1]) == 0) return 2;
    run(&crime);
    strobe_map_free(crime.map);
    return 0;
}
