/* transaction.c - the keys that are watched and the commands that wait for EXEC.
 *
 *     keys     | watched, with versions | of the commands, in order |   one array, as strobe_enter_many wants it
 *     first -> queued -> queued -> ...                                  each in one piece with its words
 *
 * WATCH is by version: a key is as it was when it has the version that it had. Any write, also of the same bytes, gives
 * another version; expiry makes it absent. A key that was absent is as it was when nothing was put there since, which a
 * vigil tells: that it is absent again says little to a client that has read it in between.
 *
 * Always: WATCH is refused once MULTI was said, so the watched keys come first. A key that is watched twice is there
 * twice, with the version it had each time, until the array is full: then the later ones go.
 * Bounded: STROBE_COMMAND_KEYS_MAX keys and commands without keys; max-request bytes.
 * On failure what was queued stays, and an error is written. Not here: executing them (exec.c). */
#include "server/transaction.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/limits.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/services.h"

enum { KEYS_AT_FIRST = 8 };

struct transaction *transaction_new(void) {
    struct transaction *transaction = calloc(1, sizeof *transaction);
    if (transaction != NULL) transaction->memory = sizeof *transaction;
    return transaction;
}

static void queued_free(struct queued *queued) {
    for (size_t i = 0; queued->blobs != NULL && i < queued->argc; i++) {
        if (queued->blobs[i] != NULL) strobe_blob_release(queued->blobs[i]);
    }
    free(queued->blobs);
    free(queued);
}

/* Behind the data of a watched key. */
struct watched {
    struct strobe_vigil vigil; /* begun if the key was absent */
    char bytes[];
};

static struct watched *watched_of(const struct strobe_key *key) {
    return (struct watched *)(uintptr_t)(key->data - offsetof(struct watched, bytes)); /* ours, const for all others */
}

static void watched_free(const struct strobe_key *key) {
    struct watched *watched = watched_of(key);
    strobe_vigil_end(&watched->vigil);
    free(watched);
}

void transaction_free(struct transaction *transaction) {
    if (transaction == NULL) return;
    while (transaction->first != NULL) {
        struct queued *queued = transaction->first;
        transaction->first = queued->next;
        queued_free(queued);
    }
    for (size_t i = 0; i < transaction->watched; i++) watched_free(&transaction->keys[i]);
    free(transaction->keys);
    free(transaction->versions);
    free(transaction);
}

/* ---- keys ----------------------------------------------------------------------------------------------- */

static bool is_same(const struct strobe_key *one, const struct strobe_key *other) {
    return one->hash == other->hash && one->len == other->len && memcmp(one->data, other->data, one->len) == 0;
}

/* Forgets those of the watched keys that were watched before. Without memory it forgets none. */
static void forget_twice_watched(struct transaction *transaction) {
    size_t slots = 16, kept = 0;
    while (slots < 2 * transaction->watched) slots *= 2;
    uint32_t *table = calloc(slots, sizeof *table); /* index + 1; 0: empty */
    if (table == NULL) return;
    for (size_t i = 0; i < transaction->watched; i++) {
        struct strobe_key *key = &transaction->keys[i];
        size_t slot = key->hash & (slots - 1);
        while (table[slot] != 0 && !is_same(&transaction->keys[table[slot] - 1], key)) slot = (slot + 1) & (slots - 1);
        if (table[slot] != 0) {
            transaction->memory -= sizeof(struct watched) + key->len;
            watched_free(key);
            continue;
        }
        transaction->keys[kept] = *key;
        transaction->versions[kept] = transaction->versions[i];
        table[slot] = (uint32_t)++kept;
    }
    free(table);
    transaction->watched = transaction->keys_count = kept;
}

/* Makes the arrays of keys as large as CAPACITY. false: no memory, and nothing has changed. */
static bool resize_keys(struct transaction *transaction, size_t capacity) {
    struct strobe_key *keys = realloc(transaction->keys, capacity * sizeof *keys);
    if (keys != NULL) transaction->keys = keys;
    uint64_t *versions = realloc(transaction->versions, capacity * sizeof *versions);
    if (versions != NULL) transaction->versions = versions;
    if (keys == NULL || versions == NULL) return false;
    transaction->memory += (capacity - transaction->keys_capacity) * (sizeof *keys + sizeof *versions);
    transaction->keys_capacity = capacity;
    return true;
}

/* Room for COUNT more keys. Results: OK, TOO_BIG (there may not be so many), NO_MEMORY. */
static enum strobe_status reserve_keys(struct transaction *transaction, size_t count) {
    if (transaction->keys_count + count <= transaction->keys_capacity) return STROBE_OK;
    if (!transaction->open) forget_twice_watched(transaction);
    size_t wanted = transaction->keys_count + count;
    if (wanted > STROBE_COMMAND_KEYS_MAX) return STROBE_TOO_BIG;
    /* Half of it stays free after the twice watched are gone, so that looking for them costs little a key. */
    size_t capacity = transaction->keys_capacity > 0 ? transaction->keys_capacity : KEYS_AT_FIRST;
    while (capacity < wanted + (transaction->open ? 0 : wanted / 2)) capacity *= 2;
    if (capacity > STROBE_COMMAND_KEYS_MAX) capacity = STROBE_COMMAND_KEYS_MAX;
    if (capacity <= transaction->keys_capacity) return STROBE_OK;
    return resize_keys(transaction, capacity) ? STROBE_OK : STROBE_NO_MEMORY;
}

static void error_keys(struct command_call *call, enum strobe_status status) {
    if (status != STROBE_TOO_BIG) {
        command_error_status(call, status);
    } else {
        strobe_reply_errorf(call->reply, "ERR", "too many keys in one transaction (%zu at most)",
                            STROBE_COMMAND_KEYS_MAX);
    }
}

/* ---- WATCH ---------------------------------------------------------------------------------------------- */

bool transaction_watch(struct transaction *transaction, struct command_call *call) {
    size_t words = command_argc(call), first;
    struct strobe_access access;
    struct strobe_key key;
    enum strobe_status status =
        words - 1 <= STROBE_COMMAND_KEYS_MAX ? reserve_keys(transaction, words - 1) : STROBE_TOO_BIG;
    if (status != STROBE_OK) {
        error_keys(call, status);
        return false;
    }
    first = transaction->watched;
    for (size_t i = 1; i < words; i++) {
        if (!command_key(call, i, &key)) continue; /* never in any map: nobody changes it */
        struct watched *watched = malloc(sizeof *watched + key.len);
        if (watched == NULL) {
            command_error_status(call, STROBE_NO_MEMORY);
            return false;
        }
        watched->vigil = (struct strobe_vigil){0};
        memcpy(watched->bytes, key.data, key.len);
        key.data = watched->bytes;
        transaction->memory += sizeof *watched + key.len;
        transaction->versions[transaction->watched] = 0; /* no version is 0: should WATCH fail now, EXEC will */
        transaction->keys[transaction->watched++] = key;
        transaction->keys_count = transaction->watched;
    }
    strobe_enter_many(call->map, transaction->keys + first, transaction->watched - first, &access);
    for (size_t i = first; i < transaction->watched; i++) {
        const struct strobe_key *watched = &transaction->keys[i];
        const struct strobe_entry *entry = strobe_find(&access, watched);
        transaction->versions[i] = entry == NULL ? 0 : strobe_entry_version(entry);
        if (entry == NULL) strobe_vigil_begin(&access, watched, &watched_of(watched)->vigil);
    }
    strobe_leave(&access);
    return true;
}

bool transaction_is_broken(const struct transaction *transaction, struct strobe_access *access) {
    for (size_t i = 0; i < transaction->watched; i++) {
        const struct strobe_entry *entry = strobe_find(access, &transaction->keys[i]);
        const struct strobe_vigil *vigil = &watched_of(&transaction->keys[i])->vigil;
        if (transaction->versions[i] != (entry == NULL ? 0 : strobe_entry_version(entry))) return true;
        if (entry == NULL && (vigil->shard == NULL || vigil->ended)) return true;
    }
    return false;
}

/* ---- commands that wait --------------------------------------------------------------------------------- */

/* The last word of CALL that may be a key. */
static size_t last_key(const struct command_call *call) {
    int last = call->command->last_key;
    size_t argc = command_argc(call);
    size_t at = last < 0 ? argc - (size_t)-last : (size_t)last;
    return at < argc ? at : argc - 1;
}

static size_t count_keys(const struct command_call *call) {
    const struct command *command = call->command;
    if (command->first_key == 0) return 0;
    size_t first = (size_t)command->first_key, last = last_key(call);
    return last < first ? 0 : (last - first) / (size_t)command->key_step + 1;
}

/* Word I of CALL in a blob: shared if it came in one, else copied. NULL without memory. */
static struct strobe_blob *blob_of_word(const struct command_call *call, size_t i) {
    struct strobe_slice word = command_arg(call, i);
    struct strobe_blob *blob = command_blob(call, i);
    if (blob != NULL) return strobe_blob_share(blob);
    blob = strobe_blob_new(call->map, word.len);
    if (blob != NULL) memcpy(strobe_blob_bytes(blob, NULL), word.data, word.len);
    return blob;
}

/* A copy of CALL's words: small ones behind the struct, large ones in blobs, which are not copied if they came so. NULL
 * without memory. */
static struct queued *queued_new(const struct command_call *call, size_t *memory) {
    size_t argc = command_argc(call), small = 0, large = 0;
    for (size_t i = 0; i < argc; i++) {
        size_t len = command_arg(call, i).len;
        if (len >= STROBE_BLOB_MIN) {
            large += len;
        } else {
            small += len;
        }
    }
    struct queued *queued = malloc(sizeof *queued + argc * sizeof(struct strobe_slice) + small);
    if (queued == NULL) return NULL;
    *queued = (struct queued){.command = call->command, .argc = argc};
    if (large > 0) queued->blobs = calloc(argc, sizeof(struct strobe_blob *));
    if (large > 0 && queued->blobs == NULL) goto failed;
    char *room = (char *)(queued->words + argc);
    for (size_t i = 0; i < argc; i++) {
        struct strobe_slice word = command_arg(call, i);
        char *bytes = room;
        if (word.len >= STROBE_BLOB_MIN) {
            assert(queued->blobs != NULL); /* this word made LARGE more than 0 */
            queued->blobs[i] = blob_of_word(call, i);
            if (queued->blobs[i] == NULL) goto failed;
            bytes = strobe_blob_bytes(queued->blobs[i], NULL);
        } else {
            if (word.len > 0) memcpy(bytes, word.data, word.len);
            room += word.len;
        }
        queued->words[i] = strobe_slice_make(bytes, word.len);
    }
    *memory = sizeof *queued + argc * (sizeof(struct strobe_slice) + (large > 0 ? sizeof(void *) : 0)) + small + large;
    return queued;

failed:
    queued_free(queued);
    return NULL;
}

/* Adds the keys of QUEUED, for which there is room. The hash of its first one is that of CALL's. */
static void add_keys(struct transaction *transaction, const struct command_call *call, struct queued *queued) {
    const struct command *command = queued->command;
    if (command->first_key == 0) return;
    size_t last = last_key(call), step = (size_t)command->key_step;
    for (size_t i = (size_t)command->first_key; i <= last; i += step) {
        struct strobe_key key;
        if (!command_key(call, i, &key)) continue;
        key.data = queued->words[i].data;
        if (i == (size_t)command->first_key) queued->key = key;
        transaction->keys[transaction->keys_count++] = key;
    }
}

bool transaction_queue(struct transaction *transaction, struct command_call *call) {
    size_t keys = count_keys(call), memory, limit = (size_t)services_config(call->services)->max_request;
    size_t cost = transaction->cost + (keys > 0 ? keys : 1);
    enum strobe_status status =
        transaction->watched + cost > STROBE_COMMAND_KEYS_MAX ? STROBE_TOO_BIG : reserve_keys(transaction, keys);
    if (status != STROBE_OK) {
        error_keys(call, status);
        return false;
    }
    if (call->command->run == cmd_flush && transaction->flushes >= STROBE_TRANSACTION_FLUSHES_MAX) {
        strobe_reply_error(call->reply, "ERR", "too many FLUSHALL in one transaction");
        return false;
    }
    if (call->request->size > limit || transaction->memory > limit - call->request->size) {
        strobe_reply_error(call->reply, "ERR", "the transaction is larger than max-request");
        return false;
    }
    struct queued *queued = queued_new(call, &memory);
    if (queued == NULL) {
        command_error_status(call, STROBE_NO_MEMORY);
        return false;
    }
    add_keys(transaction, call, queued);
    if (transaction->last != NULL) {
        transaction->last->next = queued;
    } else {
        transaction->first = queued;
    }
    transaction->last = queued;
    transaction->commands++;
    transaction->cost = cost;
    transaction->memory += memory;
    transaction->after += (call->command->flags & COMMAND_AFTER) != 0;
    transaction->whole += (call->command->flags & COMMAND_WHOLE) != 0;
    transaction->flushes += call->command->run == cmd_flush;
    transaction->writes |= (call->command->flags & COMMAND_WRITE) != 0;
    return true;
}
