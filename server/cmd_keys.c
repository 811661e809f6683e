/* cmd_keys.c - the commands about keys: whether they are, when they expire, how they go, where they move.
 *
 * Expiry times are milliseconds since 1970 in the map, 0 for never; the replies of TTL and its kin say -1
 * for never and -2 for no key. Commands on several keys hold all their locks at once. A move (RENAME) puts
 * the entry under its new key and an already expired one under its old key in one step that cannot half
 * fail, and then removes the latter. */
#include <limits.h>
#include <stdlib.h>
#include <sys/random.h>

#include "server/change.h"
#include "server/commands.h"
#include "server/exec.h"
#include "server/services.h"

enum { FEW = 64 /* keys that need no allocation */ };

/* ---- being there ---------------------------------------------------------------------------------------- */

enum command_outcome cmd_type(struct command_call *call) {
    struct strobe_key key;
    bool found = false;
    if (command_key(call, 1, &key)) {
        struct strobe_access own, *access = command_enter(call, &key, &own);
        found = strobe_find(access, &key) != NULL;
        command_leave(call, access);
    }
    strobe_reply_status(call->reply, found ? STROBE_SLICE("string") : STROBE_SLICE("none"));
    return COMMAND_DONE;
}

/* The words that may be keys, hashed: *COUNT of them, in FEW or in memory that the caller frees. NULL: an
 * error is written. */
static struct strobe_key *read_keys(struct command_call *call, struct strobe_key few[FEW], size_t *count) {
    size_t words = command_argc(call);
    struct strobe_key *keys = few;
    if (!command_keys_fit(call, words - 1)) return NULL;
    if (words - 1 > FEW) keys = malloc((words - 1) * sizeof *keys);
    if (keys == NULL) {
        command_error_status(call, STROBE_NO_MEMORY);
        return NULL;
    }
    *count = 0;
    for (size_t i = 1; i < words; i++) *count += command_key(call, i, &keys[*count]);
    return keys;
}

enum command_outcome cmd_exists(struct command_call *call) {
    struct strobe_key few[FEW];
    size_t count, found = 0;
    struct strobe_key *keys = read_keys(call, few, &count);
    if (keys == NULL) return COMMAND_DONE;
    if (count > 0) {
        struct strobe_access own, *access = command_enter_many(call, keys, count, &own);
        for (size_t i = 0; i < count; i++) found += strobe_find(access, &keys[i]) != NULL;
        command_leave(call, access);
    }
    if (keys != few) free(keys);
    command_looked(call, found, command_argc(call) - 1 - found);
    strobe_reply_integer(call->reply, (int64_t)found);
    return COMMAND_DONE;
}

/* Erases COUNT keys at one instant; what is to be freed is left in OLD, COUNT places. Returns how many
 * there were. */
static size_t erase_keys(struct command_call *call, const struct strobe_key *keys, size_t count,
                         struct strobe_entry **old, enum strobe_status *status) {
    size_t erased = 0;
    *status = STROBE_OK;
    struct strobe_access own, *access = command_enter_many(call, keys, count, &own);
    for (size_t i = 0; i < count; i++) {
        enum strobe_status one = *status == STROBE_OK ? strobe_erase(access, &keys[i], &old[i]) : STROBE_MISSING;
        erased += one == STROBE_OK;
        if (one == STROBE_NO_MEMORY) *status = one;
    }
    command_leave(call, access);
    return erased;
}

enum command_outcome cmd_del(struct command_call *call) {
    struct strobe_key few[FEW];
    struct strobe_entry *few_old[FEW];
    size_t count, erased = 0;
    struct strobe_key *keys = read_keys(call, few, &count);
    if (keys == NULL) return COMMAND_DONE;
    struct strobe_entry **old = count > FEW ? malloc(count * sizeof *old) : few_old;
    enum strobe_status status = old == NULL ? STROBE_NO_MEMORY : STROBE_OK;
    if (status == STROBE_OK && count > 0) {
        for (size_t i = 0; i < count; i++) old[i] = NULL;
        erased = erase_keys(call, keys, count, old, &status);
        for (size_t i = 0; i < count; i++) command_free_entry(call, old[i]);
    }
    if (status == STROBE_NO_MEMORY && erased > 0) {
        strobe_reply_errorf(call->reply, "OOM", "out of memory after %zu keys were removed; try again", erased);
    } else if (status != STROBE_OK) {
        command_error_status(call, status);
    } else {
        strobe_reply_integer(call->reply, (int64_t)erased);
    }
    if (old != few_old) free(old);
    if (keys != few) free(keys);
    return COMMAND_DONE;
}

/* ---- expiring ------------------------------------------------------------------------------------------- */

/* When word 1 expires: -2 no such key, -1 never, else milliseconds since 1970, or with REMAINING until
 * then. */
static int64_t expiry_of(struct command_call *call, bool remaining) {
    struct strobe_key key;
    int64_t expiry = -2;
    if (command_key(call, 1, &key)) {
        struct strobe_access own, *access = command_enter(call, &key, &own);
        const struct strobe_entry *entry = strobe_find(access, &key);
        if (entry != NULL) expiry = (int64_t)strobe_entry_expiry(entry);
        if (expiry > 0 && remaining) expiry -= (int64_t)strobe_access_now(access);
        if (expiry == 0) expiry = -1;
        command_leave(call, access);
    }
    command_looked(call, expiry != -2, expiry == -2);
    return expiry;
}

static enum command_outcome reply_expiry(struct command_call *call, bool remaining, bool seconds) {
    int64_t expiry = expiry_of(call, remaining);
    strobe_reply_integer(call->reply, expiry > 0 && seconds ? expiry / 1000 + (expiry % 1000 >= 500) : expiry);
    return COMMAND_DONE;
}

enum command_outcome cmd_ttl(struct command_call *call) {
    return reply_expiry(call, true, true);
}

enum command_outcome cmd_pttl(struct command_call *call) {
    return reply_expiry(call, true, false);
}

enum command_outcome cmd_expiretime(struct command_call *call) {
    return reply_expiry(call, false, true);
}

enum command_outcome cmd_pexpiretime(struct command_call *call) {
    return reply_expiry(call, false, false);
}

/* A change of an expiry time. */
struct expiring {
    struct command_call *call;
    struct strobe_key key;
    int64_t when; /* milliseconds since 1970, also long ago; 0 with PERSIST */
    bool persist, nx, xx, gt, lt;
    bool changed;
};

static bool applies(const struct expiring *expiring, uint64_t old) {
    if (expiring->persist) return old != 0;
    int64_t now = (int64_t)old;
    if (expiring->nx && now != 0) return false;
    if (expiring->xx && now == 0) return false;
    if (expiring->gt && (now == 0 || expiring->when <= now)) return false;
    if (expiring->lt && now != 0 && expiring->when >= now) return false;
    return true;
}

static enum strobe_status make_expiring(void *context, const struct seen *seen, struct strobe_entry **entry) {
    struct expiring *expiring = context;
    expiring->changed = seen->version != 0 && applies(expiring, seen->expiry);
    if (!expiring->changed) return STROBE_OK;
    if (!expiring->persist && expiring->when <= (int64_t)seen->now) return STROBE_MISSING;
    struct strobe_entry_spec spec = seen_spec(seen, &expiring->key);
    spec.value = seen->value;
    spec.len = seen->len;
    spec.blob = seen->blob;
    spec.expiry = (uint64_t)expiring->when;
    return strobe_entry_new(expiring->call->map, &spec, entry);
}

static enum command_outcome change_expiry(struct command_call *call, struct expiring *expiring) {
    enum strobe_status status = STROBE_OK;
    if (command_key(call, 1, &expiring->key)) {
        status = change_entry(call, &expiring->key, make_expiring, expiring);
    }
    if (status != STROBE_OK) {
        command_error_status(call, status);
    } else {
        strobe_reply_integer(call->reply, expiring->changed);
    }
    return COMMAND_DONE;
}

/* Reads NX, XX, GT and LT from word 3 on. An error is written when it answers false. */
static bool read_conditions(struct command_call *call, struct expiring *expiring) {
    for (size_t i = 3; i < command_argc(call); i++) {
        if (command_is(call, i, "NX")) {
            expiring->nx = true;
        } else if (command_is(call, i, "XX")) {
            expiring->xx = true;
        } else if (command_is(call, i, "GT")) {
            expiring->gt = true;
        } else if (command_is(call, i, "LT")) {
            expiring->lt = true;
        } else {
            struct strobe_slice word = command_arg(call, i);
            strobe_reply_errorf(call->reply, "ERR", "Unsupported option %.*s", (int)(word.len > 128 ? 128 : word.len),
                                word.data);
            return false;
        }
    }
    const char *complaint = NULL;
    if (expiring->nx && (expiring->xx || expiring->gt || expiring->lt)) {
        complaint = "NX and XX, GT or LT options at the same time are not compatible";
    } else if (expiring->gt && expiring->lt) {
        complaint = "GT and LT options at the same time are not compatible";
    }
    if (complaint != NULL) strobe_reply_error(call->reply, "ERR", complaint);
    return complaint == NULL;
}

static enum command_outcome expire(struct command_call *call, bool seconds, bool absolute) {
    struct expiring expiring = {.call = call};
    int64_t when;
    if (!read_conditions(call, &expiring) || !command_integer(call, 2, &when)) return COMMAND_DONE;
    int64_t base = absolute ? 0 : (int64_t)command_now(call);
    if ((seconds && (when > INT64_MAX / 1000 || when < INT64_MIN / 1000)) ||
        when * (seconds ? 1000 : 1) > INT64_MAX - base) {
        command_error_expire(call);
        return COMMAND_DONE;
    }
    expiring.when = when * (seconds ? 1000 : 1) + base;
    return change_expiry(call, &expiring);
}

enum command_outcome cmd_expire(struct command_call *call) {
    return expire(call, true, false);
}

enum command_outcome cmd_pexpire(struct command_call *call) {
    return expire(call, false, false);
}

enum command_outcome cmd_expireat(struct command_call *call) {
    return expire(call, true, true);
}

enum command_outcome cmd_pexpireat(struct command_call *call) {
    return expire(call, false, true);
}

enum command_outcome cmd_persist(struct command_call *call) {
    struct expiring expiring = {.call = call, .persist = true};
    return change_expiry(call, &expiring);
}

/* ---- moving --------------------------------------------------------------------------------------------- */

enum move_result { MOVE_DONE, MOVE_NO_SOURCE, MOVE_TARGET_EXISTS, MOVE_AGAIN, MOVE_FAILED };

struct move {
    struct command_call *call;
    struct strobe_key keys[2];       /* to, from */
    struct strobe_entry *entries[2]; /* for them; the second, when the source shall go, is one that has expired */
    bool keeps_source, keeps_target;
    enum strobe_status status; /* with FAILED */
};

/* The two entries, from what was SEEN of the source. */
static enum strobe_status make_move(struct move *move, const struct seen *seen) {
    struct strobe_entry_spec spec = seen_spec(seen, &move->keys[0]);
    spec.value = seen->value;
    spec.len = seen->len;
    spec.blob = seen->blob;
    enum strobe_status status = strobe_entry_new(move->call->map, &spec, &move->entries[0]);
    if (status != STROBE_OK || move->keeps_source) return status;
    struct strobe_entry_spec gone = {.key = &move->keys[1], .expiry = 1};
    return strobe_entry_new(move->call->map, &gone, &move->entries[1]);
}

/* Puts both if the source is still what was seen. *OLD is to be freed afterwards, as are the entries. */
static enum move_result put_move(struct move *move, uint64_t version, struct strobe_entry **old) {
    enum move_result result = MOVE_DONE;
    struct strobe_access own, *access = command_enter_many(move->call, move->keys, 2, &own);
    const struct strobe_entry *source = strobe_find(access, &move->keys[1]);
    if (source == NULL) {
        result = MOVE_NO_SOURCE;
    } else if (strobe_entry_version(source) != version) {
        result = MOVE_AGAIN;
    } else if (move->keeps_target && strobe_find(access, &move->keys[0]) != NULL) {
        result = MOVE_TARGET_EXISTS;
    } else {
        move->status = strobe_put_many(access, move->keys, move->entries, move->keeps_source ? 1 : 2);
        if (move->status != STROBE_OK) result = MOVE_FAILED;
        /* Its place was just made safe to change; should this fail, the sweep will find an expired entry. */
        if (result == MOVE_DONE && !move->keeps_source) (void)strobe_erase(access, &move->keys[1], old);
    }
    command_leave(move->call, access);
    return result;
}

static void look(const struct command_call *call, const struct strobe_key *key, struct seen *seen) {
    struct strobe_access own, *access = command_enter(call, key, &own);
    seen_look_inside(access, key, seen);
    command_leave(call, access);
}

/* Moves or copies the entry of one key to another one. */
static enum move_result move_entry(struct move *move) {
    const struct command_call *call = move->call;
    enum move_result result = MOVE_AGAIN;
    struct seen seen;
    while (result == MOVE_AGAIN) {
        struct strobe_entry *old = NULL;
        move->entries[0] = move->entries[1] = NULL;
        look(call, &move->keys[1], &seen);
        if (seen.version == 0) return MOVE_NO_SOURCE;
        move->status = make_move(move, &seen);
        result = move->status == STROBE_OK ? put_move(move, seen.version, &old) : MOVE_FAILED;
        command_free_entry(call, move->entries[0]);
        command_free_entry(call, move->entries[1]);
        command_free_entry(call, old);
        seen_fini(&seen);
    }
    return result;
}

static enum command_outcome rename_entry(struct command_call *call, bool if_none) {
    struct move move = {.call = call, .keeps_target = if_none};
    enum move_result result = MOVE_NO_SOURCE;
    bool same = strobe_slice_equal(command_arg(call, 1), command_arg(call, 2));
    if (command_key(call, 1, &move.keys[1])) {
        struct seen seen;
        if (!same) {
            if (!command_new_key(call, 2, &move.keys[0])) return COMMAND_DONE;
            result = move_entry(&move);
        } else {
            look(call, &move.keys[1], &seen);
            if (seen.version != 0) result = if_none ? MOVE_TARGET_EXISTS : MOVE_DONE;
            seen_fini(&seen);
        }
    }
    if (result == MOVE_NO_SOURCE) {
        strobe_reply_error(call->reply, "ERR", "no such key");
    } else if (result == MOVE_FAILED) {
        command_error_status(call, move.status);
    } else if (if_none) {
        strobe_reply_integer(call->reply, result == MOVE_DONE);
    } else {
        strobe_reply_ok(call->reply);
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_rename(struct command_call *call) {
    return rename_entry(call, false);
}

enum command_outcome cmd_renamenx(struct command_call *call) {
    return rename_entry(call, true);
}

/* COPY's options: REPLACE, and DB with the only number there is. An error is written when it answers
 * false. */
static bool read_copy_options(struct command_call *call, bool *replace) {
    for (size_t i = 3; i < command_argc(call); i++) {
        int64_t database;
        if (command_is(call, i, "REPLACE")) {
            *replace = true;
        } else if (command_is(call, i, "DB") && i + 1 < command_argc(call)) {
            i++;
            if (!command_integer(call, i, &database)) return false;
            if (database != 0) {
                strobe_reply_error(call->reply, "ERR", "DB index is out of range");
                return false;
            }
        } else {
            command_error_syntax(call);
            return false;
        }
    }
    return true;
}

enum command_outcome cmd_copy(struct command_call *call) {
    struct move move = {.call = call, .keeps_source = true};
    bool replace = false;
    if (!read_copy_options(call, &replace)) return COMMAND_DONE;
    move.keeps_target = !replace;
    if (strobe_slice_equal(command_arg(call, 1), command_arg(call, 2))) {
        strobe_reply_error(call->reply, "ERR", "source and destination objects are the same");
        return COMMAND_DONE;
    }
    enum move_result result = MOVE_NO_SOURCE;
    if (command_key(call, 1, &move.keys[1])) {
        if (!command_new_key(call, 2, &move.keys[0])) return COMMAND_DONE;
        result = move_entry(&move);
    }
    if (result == MOVE_FAILED) {
        command_error_status(call, move.status);
    } else {
        strobe_reply_integer(call->reply, result == MOVE_DONE);
    }
    return COMMAND_DONE;
}

/* ---- all of them ---------------------------------------------------------------------------------------- */

/* EXEC holds the whole map for these, which the compiler cannot see: COMMAND_UNCHECKED. */

COMMAND_UNCHECKED static uint64_t count_keys(const struct command_call *call) {
    return call->access != NULL ? strobe_count_inside(call->access) : strobe_count(call->map);
}

enum command_outcome cmd_dbsize(struct command_call *call) {
    strobe_reply_integer(call->reply, (int64_t)count_keys(call));
    return COMMAND_DONE;
}

static void show_key(void *context, const struct strobe_entry *entry) {
    struct strobe_slice key;
    key.data = strobe_entry_key(entry, &key.len);
    strobe_reply_bulk(context, key);
}

COMMAND_UNCHECKED static enum strobe_status show_random(struct command_call *call, uint64_t random) {
    return call->access != NULL ? strobe_random_inside(call->access, random, show_key, call->reply)
                                : strobe_random(call->map, random, show_key, call->reply);
}

enum command_outcome cmd_randomkey(struct command_call *call) {
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random) random = command_now(call);
    if (show_random(call, random) != STROBE_OK) strobe_reply_null(call->reply);
    return COMMAND_DONE;
}

static void free_garbage(void *argument) {
    strobe_garbage_free(argument);
}

/* Flushes the map for all, and gives its memory back: elsewhere, or with SYNC before the reply. */
static enum strobe_status flush_alone(struct command_call *call, bool sync) {
    struct strobe_garbage *garbage = NULL;
    enum strobe_status status = strobe_flush(call->map, &garbage);
    if (status == STROBE_OK && sync) {
        strobe_garbage_free(garbage);
    } else if (status == STROBE_OK) {
        services_defer(call->services, free_garbage, garbage);
    }
    return status;
}

/* The same inside EXEC, which gives the memory back. */
COMMAND_UNCHECKED static enum strobe_status flush_inside(struct command_call *call) {
    struct strobe_garbage *garbage = exec_garbage(call->exec);
    if (garbage == NULL) return STROBE_NO_MEMORY;
    strobe_flush_inside(call->access, garbage);
    return STROBE_OK;
}

/* FLUSHALL and FLUSHDB. */
enum command_outcome cmd_flush(struct command_call *call) {
    bool sync = command_argc(call) == 2 && command_is(call, 1, "SYNC");
    if (command_argc(call) > 2 || (command_argc(call) == 2 && !sync && !command_is(call, 1, "ASYNC"))) {
        command_error_syntax(call);
        return COMMAND_DONE;
    }
    enum strobe_status status = call->access != NULL ? flush_inside(call) : flush_alone(call, sync);
    if (status != STROBE_OK) {
        command_error_status(call, status);
    } else {
        strobe_reply_ok(call->reply);
    }
    return COMMAND_DONE;
}
