/* cmd_strings.c - the commands that read and write values.
 *
 * Two shapes. Those that write a value given whole (SET and its kin) make the entry first, then look,
 * decide and put under one lock. Those that make the new value from the old (APPEND, INCR...) go through
 * change.h. Reading copies a small value into the reply under the lock, and shares a large one.
 * On failure nothing was changed, and what was already written of the reply is taken back. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/number.h"
#include "server/amend.h"
#include "server/change.h"
#include "server/commands.h"
#include "server/exec.h"
#include "server/hold.h"
#include "server/session.h"

enum { FEW = 64 /* keys that need no allocation */ };

/* ---- reading -------------------------------------------------------------------------------------------- */

/* Answers key 1's value, and its version beside it when asked. */
static enum command_outcome answer_value(struct command_call *call, bool with_version) {
    struct strobe_key key;
    bool found = false;
    if (!command_key(call, 1, &key)) {
        strobe_reply_null(call->reply);
    } else if (strobe_reply_prepare(call->reply)) {
        struct strobe_access own, *access = command_enter(call, &key, &own);
        const struct strobe_entry *entry = strobe_find(access, &key);
        found = entry != NULL;
        if (found && with_version) strobe_reply_array(call->reply, 2);
        command_value(call->reply, entry);
        if (found && with_version) strobe_reply_version(call->reply, strobe_entry_version(entry));
        command_leave(call, access);
    }
    command_looked(call, found, !found);
    return COMMAND_DONE;
}

enum command_outcome cmd_get(struct command_call *call) {
    return answer_value(call, false);
}

enum command_outcome cmd_getver(struct command_call *call) {
    return answer_value(call, true);
}

enum command_outcome cmd_strlen(struct command_call *call) {
    struct strobe_key key;
    size_t len = 0;
    bool found = false;
    if (command_key(call, 1, &key)) {
        struct strobe_access own, *access = command_enter(call, &key, &own);
        const struct strobe_entry *entry = strobe_find(access, &key);
        found = entry != NULL;
        if (found) (void)strobe_entry_value(entry, &len);
        command_leave(call, access);
    }
    command_looked(call, found, !found);
    strobe_reply_integer(call->reply, (int64_t)len);
    return COMMAND_DONE;
}

/* Bytes [*START, *START + return) of LEN are what Redis's START and END mean, which count from the end when
 * negative. */
static size_t range_of(int64_t start, int64_t end, size_t len, size_t *at) {
    int64_t all = (int64_t)len;
    *at = 0;
    if (start < 0 && end < 0 && start > end) return 0;
    if (start < 0) start = start + all < 0 ? 0 : start + all;
    if (end < 0) end = end + all < 0 ? 0 : end + all;
    if (end >= all) end = all - 1;
    if (start > end || all == 0) return 0;
    *at = (size_t)start;
    return (size_t)(end - start + 1);
}

enum command_outcome cmd_getrange(struct command_call *call) {
    struct strobe_key key;
    int64_t start, end;
    if (!command_integer(call, 2, &start) || !command_integer(call, 3, &end)) return COMMAND_DONE;
    const struct strobe_entry *entry = NULL;
    if (!command_key(call, 1, &key)) {
        strobe_reply_bulk(call->reply, STROBE_SLICE(""));
    } else if (strobe_reply_prepare(call->reply)) {
        struct strobe_access own, *access = command_enter(call, &key, &own);
        entry = strobe_find(access, &key);
        if (entry == NULL) {
            strobe_reply_bulk(call->reply, STROBE_SLICE(""));
        } else {
            size_t len, at;
            (void)strobe_entry_value(entry, &len);
            len = range_of(start, end, len, &at);
            command_value_part(call->reply, entry, at, len);
        }
        command_leave(call, access);
    }
    command_looked(call, entry != NULL, entry == NULL);
    return COMMAND_DONE;
}

/* Room for COUNT things of SIZE bytes: FEW_ROOM when they are few. NULL: no memory, and an error is
 * written. */
static void *room_for(struct command_call *call, size_t count, size_t size, void *few_room) {
    if (count <= FEW) return few_room;
    void *room = malloc(count * size);
    if (room == NULL) command_error_status(call, STROBE_NO_MEMORY);
    return room;
}

enum command_outcome cmd_mget(struct command_call *call) {
    struct strobe_key few[FEW], key;
    size_t words = command_argc(call), count = 0, found = 0;
    if (!command_keys_fit(call, words - 1)) return COMMAND_DONE;
    struct strobe_key *keys = room_for(call, words - 1, sizeof *keys, few);
    if (keys == NULL) return COMMAND_DONE;
    for (size_t i = 1; i < words; i++) {
        if (command_key(call, i, &key)) keys[count++] = key;
    }
    strobe_reply_array(call->reply, words - 1);
    if (count == 0) {
        for (size_t i = 1; i < words; i++) strobe_reply_null(call->reply);
    } else if (strobe_reply_prepare(call->reply)) {
        size_t next = 0;
        struct strobe_access own, *access = command_enter_many(call, keys, count, &own);
        for (size_t i = 1; i < words; i++) {
            bool valid = command_is_key(command_arg(call, i));
            const struct strobe_entry *entry = valid ? strobe_find(access, &keys[next++]) : NULL;
            found += entry != NULL;
            command_value(call->reply, entry);
        }
        command_leave(call, access);
    }
    if (keys != few) free(keys);
    command_looked(call, found, words - 1 - found);
    return COMMAND_DONE;
}

/* ---- writing a value given whole ------------------------------------------------------------------------ */

/* A time at which something shall expire, as words of a request say it. */
struct when {
    size_t word;   /* which word has the number; 0: none said */
    bool seconds;  /* else milliseconds */
    bool absolute; /* since 1970, else from now on */
};

/* Reads WHEN into *MS, milliseconds since 1970, always above 0. An error is written when it answers false. */
static bool when_read(struct command_call *call, struct when when, uint64_t *ms) {
    int64_t time;
    if (!command_integer(call, when.word, &time)) return false;
    int64_t now = when.absolute ? 0 : (int64_t)command_now(call);
    if (time <= 0 || (when.seconds && time > INT64_MAX / 1000)) {
        command_error_expire(call);
        return false;
    }
    if (when.seconds) time *= 1000;
    if (time > INT64_MAX - now) {
        command_error_expire(call);
        return false;
    }
    *ms = (uint64_t)(time + now);
    return true;
}

/* What SET, its kin and GETEX ask for. */
struct wishes {
    struct when when;
    bool nx, xx, get, keep_ttl, persist, return_version, if_version;
    uint64_t version;
};

/* Is word I one of the four ways to say a time? Two different ones in one command are not. */
static bool read_when_word(struct command_call *call, size_t i, struct wishes *wishes) {
    bool seconds = command_is(call, i, "EX") || command_is(call, i, "EXAT");
    bool milliseconds = command_is(call, i, "PX") || command_is(call, i, "PXAT");
    if ((!seconds && !milliseconds) || i + 1 >= command_argc(call)) return false;
    struct when when = {.word = i + 1, .seconds = seconds, .absolute = command_arg(call, i).len == 4};
    bool same = when.seconds == wishes->when.seconds && when.absolute == wishes->when.absolute;
    if (wishes->keep_ttl || wishes->persist || (wishes->when.word != 0 && !same)) return false;
    wishes->when = when;
    return true;
}

static bool read_if_version(struct command_call *call, size_t i, struct wishes *wishes) {
    if (!command_is(call, i, "IFVER") || i + 1 >= command_argc(call) || wishes->nx || wishes->xx) return false;
    wishes->if_version = true;
    return strobe_number_parse_uint64(command_arg(call, i + 1), &wishes->version);
}

/* Reads SET's options from word FROM on. An error is written when it answers false. */
static bool read_set_wishes(struct command_call *call, size_t from, struct wishes *wishes) {
    for (size_t i = from; i < command_argc(call); i++) {
        if (command_is(call, i, "NX") && !wishes->xx && !wishes->if_version) {
            wishes->nx = true;
        } else if (command_is(call, i, "XX") && !wishes->nx && !wishes->if_version) {
            wishes->xx = true;
        } else if (command_is(call, i, "GET") && !wishes->return_version) {
            wishes->get = true;
        } else if (command_is(call, i, "RETVER") && !wishes->get) {
            wishes->return_version = true;
        } else if (command_is(call, i, "KEEPTTL") && wishes->when.word == 0) {
            wishes->keep_ttl = true;
        } else if (read_when_word(call, i, wishes) || read_if_version(call, i, wishes)) {
            i++;
        } else {
            command_error_syntax(call);
            return false;
        }
    }
    return true;
}

static bool is_allowed(const struct wishes *wishes, const struct strobe_entry *old) {
    if (wishes->nx) return old == NULL;
    if (wishes->xx) return old != NULL;
    if (wishes->if_version) return wishes->version == (old == NULL ? 0 : strobe_entry_version(old));
    return true;
}

/* What became of a wish. */
struct set_result {
    enum strobe_status status;
    bool written;
    bool found;
    uint64_t version; /* of what was written, when asked for */
};

/* Puts *ENTRY if WISHES allow it, and writes the old value if they ask for it. With KEEPTTL: only if the
 * entry was made to expire when the old one does, else *KEPT is changed to that and false answered. *ENTRY
 * is then to be freed. */
static bool set_inside(struct command_call *call, const struct strobe_key *key, const struct wishes *wishes,
                       struct strobe_entry **entry, uint64_t *kept, struct set_result *result) {
    bool looks = wishes->nx || wishes->xx || wishes->get || wishes->keep_ttl || wishes->if_version;
    *result = (struct set_result){.status = STROBE_OK};
    struct strobe_access own, *access = command_enter(call, key, &own);
    const struct strobe_entry *old = looks ? strobe_find(access, key) : NULL;
    uint64_t expiry = old == NULL ? 0 : strobe_entry_expiry(old);
    if (wishes->keep_ttl && expiry != *kept) {
        *kept = expiry;
        command_leave(call, access);
        return false;
    }
    result->found = old != NULL;
    if (wishes->get) command_value(call->reply, old);
    if (is_allowed(wishes, old)) {
        result->status = strobe_put(access, key, entry);
        result->written = result->status == STROBE_OK;
        if (result->written && wishes->return_version) {
            const struct strobe_entry *now = strobe_find(access, key);
            result->version = now == NULL ? 0 : strobe_entry_version(now);
        }
    }
    command_leave(call, access);
    return true;
}

/* Sets word 1 to word VALUE_WORD as WISHES say. An error is written unless the status is OK. */
static struct set_result set_value(struct command_call *call, size_t value_word, uint64_t expiry,
                                   const struct wishes *wishes) {
    struct set_result result = {.status = STROBE_INVALID};
    struct strobe_key key;
    if (!command_new_key(call, 1, &key)) return result;
    struct strobe_slice value = command_arg(call, value_word);
    struct strobe_reply_mark mark = strobe_reply_mark(call->reply);
    bool done = false;
    while (!done) {
        struct strobe_entry_spec spec = {.key = &key, .value = value.data, .len = value.len, .expiry = expiry};
        spec.blob = command_blob(call, value_word);
        struct strobe_entry *entry = NULL;
        result.status =
            value.len > command_value_max(call) ? STROBE_TOO_BIG : strobe_entry_new(call->map, &spec, &entry);
        if (result.status != STROBE_OK) break;
        if (wishes->get && !strobe_reply_prepare(call->reply)) {
            command_free_entry(call, entry);
            result.status = STROBE_NO_MEMORY;
            break;
        }
        done = set_inside(call, &key, wishes, &entry, &expiry, &result);
        command_free_entry(call, entry);
    }
    if (result.status != STROBE_OK) {
        strobe_reply_rewind(call->reply, mark);
        command_error_status(call, result.status);
    }
    return result;
}

enum command_outcome cmd_set(struct command_call *call) {
    struct wishes wishes = {0};
    uint64_t expiry = 0;
    if (command_argc(call) > 3 && !read_set_wishes(call, 3, &wishes)) return COMMAND_DONE;
    if (wishes.when.word != 0 && !when_read(call, wishes.when, &expiry)) return COMMAND_DONE;
    struct set_result result = set_value(call, 2, expiry, &wishes);
    if (result.status != STROBE_OK) return COMMAND_DONE;
    if (wishes.get) {
        command_looked(call, result.found, !result.found);
    } else if (!result.written) {
        strobe_reply_null(call->reply);
    } else if (wishes.return_version) {
        strobe_reply_version(call->reply, result.version);
    } else {
        strobe_reply_ok(call->reply);
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_setnx(struct command_call *call) {
    struct wishes wishes = {.nx = true};
    struct set_result result = set_value(call, 2, 0, &wishes);
    if (result.status == STROBE_OK) strobe_reply_integer(call->reply, result.written);
    return COMMAND_DONE;
}

static enum command_outcome set_expiring(struct command_call *call, bool seconds) {
    struct wishes wishes = {.when = {.word = 2, .seconds = seconds}};
    uint64_t expiry;
    if (!when_read(call, wishes.when, &expiry)) return COMMAND_DONE;
    if (set_value(call, 3, expiry, &wishes).status == STROBE_OK) strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

enum command_outcome cmd_setex(struct command_call *call) {
    return set_expiring(call, true);
}

enum command_outcome cmd_psetex(struct command_call *call) {
    return set_expiring(call, false);
}

enum command_outcome cmd_getset(struct command_call *call) {
    struct wishes wishes = {.get = true};
    struct set_result result = set_value(call, 2, 0, &wishes);
    if (result.status == STROBE_OK) command_looked(call, result.found, !result.found);
    return COMMAND_DONE;
}

/* ---- many at once --------------------------------------------------------------------------------------- */

/* Makes the entries of MSET's pairs. Results: OK, or the first failure; all made so far are in ENTRIES,
 * others NULL. */
static enum strobe_status make_pairs(struct command_call *call, size_t count, struct strobe_key *keys,
                                     struct strobe_entry **entries) {
    memset(entries, 0, count * sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        struct strobe_slice value = command_arg(call, 2 * i + 2);
        struct strobe_entry_spec spec = {.key = &keys[i], .value = value.data, .len = value.len};
        spec.blob = command_blob(call, 2 * i + 2);
        if (value.len > command_value_max(call)) return STROBE_TOO_BIG;
        enum strobe_status status = strobe_entry_new(call->map, &spec, &entries[i]);
        if (status != STROBE_OK) return status;
    }
    return STROBE_OK;
}

/* Puts all pairs at one instant, with IF_NONE only if none of the keys exists. *WRITTEN tells. */
static enum strobe_status put_pairs(struct command_call *call, size_t count, const struct strobe_key *keys,
                                    struct strobe_entry **entries, bool if_none, bool *written) {
    enum strobe_status status = STROBE_OK;
    bool none = true;
    struct strobe_access own, *access = command_enter_many(call, keys, count, &own);
    for (size_t i = 0; if_none && none && i < count; i++) none = strobe_find(access, &keys[i]) == NULL;
    if (none) status = strobe_put_many(access, keys, entries, count);
    command_leave(call, access);
    *written = none && status == STROBE_OK;
    return status;
}

/* MSET and MSETNX. An error is written unless it answers OK. */
static enum strobe_status set_many(struct command_call *call, bool if_none, bool *written) {
    struct strobe_key few_keys[FEW];
    struct strobe_entry *few_entries[FEW];
    size_t count = (command_argc(call) - 1) / 2;
    if (command_argc(call) % 2 == 0) {
        command_error_arity(call);
        return STROBE_INVALID;
    }
    if (!command_keys_fit(call, count)) return STROBE_INVALID;
    struct strobe_key *keys = room_for(call, count, sizeof *keys, few_keys);
    if (keys == NULL) return STROBE_INVALID;
    struct strobe_entry **entries = room_for(call, count, sizeof *entries, few_entries);
    enum strobe_status status = STROBE_INVALID;
    if (entries == NULL) goto out;
    for (size_t i = 0; i < count; i++) {
        if (!command_new_key(call, 2 * i + 1, &keys[i])) goto out;
    }
    status = make_pairs(call, count, keys, entries);
    if (status == STROBE_OK) status = put_pairs(call, count, keys, entries, if_none, written);
    for (size_t i = 0; i < count; i++) command_free_entry(call, entries[i]);
    if (status != STROBE_OK) command_error_status(call, status);
out:
    if (entries != few_entries) free(entries);
    if (keys != few_keys) free(keys);
    return status;
}

enum command_outcome cmd_mset(struct command_call *call) {
    bool written;
    if (set_many(call, false, &written) == STROBE_OK) strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

enum command_outcome cmd_msetnx(struct command_call *call) {
    bool written;
    if (set_many(call, true, &written) == STROBE_OK) strobe_reply_integer(call->reply, written);
    return COMMAND_DONE;
}

/* ---- reading and writing in one ------------------------------------------------------------------------- */

enum command_outcome cmd_getdel(struct command_call *call) {
    struct strobe_key key;
    struct strobe_entry *old = NULL;
    bool found = false;
    if (!command_key(call, 1, &key)) {
        strobe_reply_null(call->reply);
    } else if (strobe_reply_prepare(call->reply)) {
        struct strobe_reply_mark mark = strobe_reply_mark(call->reply);
        enum strobe_status status = STROBE_OK;
        struct strobe_access own, *access = command_enter(call, &key, &own);
        const struct strobe_entry *entry = strobe_find(access, &key);
        found = entry != NULL;
        command_value(call->reply, entry);
        if (found) status = strobe_erase(access, &key, &old);
        command_leave(call, access);
        command_free_entry(call, old);
        if (status != STROBE_OK) {
            strobe_reply_rewind(call->reply, mark);
            command_error_status(call, status);
        }
    }
    command_looked(call, found, !found);
    return COMMAND_DONE;
}

enum command_outcome cmd_delifver(struct command_call *call) {
    struct strobe_key key;
    uint64_t version;
    if (!strobe_number_parse_uint64(command_arg(call, 2), &version)) {
        command_error_integer(call);
        return COMMAND_DONE;
    }
    enum strobe_status status = STROBE_MISSING;
    if (command_key(call, 1, &key)) {
        struct strobe_entry *old = NULL;
        struct strobe_access own, *access = command_enter(call, &key, &own);
        const struct strobe_entry *entry = strobe_find(access, &key);
        if (entry != NULL && strobe_entry_version(entry) == version) status = strobe_erase(access, &key, &old);
        command_leave(call, access);
        command_free_entry(call, old);
    }
    if (status == STROBE_NO_MEMORY) {
        command_error_status(call, status);
    } else {
        strobe_reply_integer(call->reply, status == STROBE_OK);
    }
    return COMMAND_DONE;
}

/* A change of one value by one command: what it needs, and what came of it. */
struct change {
    struct command_call *call;
    struct strobe_key key;
    struct strobe_slice bytes; /* APPEND, SETRANGE, INCRBYFLOAT: the word */
    size_t offset;
    int64_t amount;
    struct when when; /* GETEX */
    uint64_t expiry;
    bool persist;
    const char *complaint; /* the reason why nothing was changed, or NULL */
    int64_t number;        /* the reply */
    char *text;            /* INCRBYFLOAT: room for the new value, STROBE_NUMBER_LONG_DOUBLE_TEXT bytes */
    size_t text_len;
    struct strobe_reply_mark mark; /* GETEX: where its reply begins */
};

/* An entry like SEEN but with a value of LEN bytes, VALUE if that is not NULL. */
static enum strobe_status make_value(const struct change *change, const struct seen *seen, const char *value,
                                     size_t len, struct strobe_entry **entry) {
    struct strobe_entry_spec spec = seen_spec(seen, &change->key);
    spec.value = value;
    spec.len = len;
    return strobe_entry_new(change->call->map, &spec, entry);
}

/* What both doors need to know of CALL. */
static struct amendment amendment_of(const struct command_call *call, const struct strobe_key *key) {
    return (struct amendment){.map = call->map, .key = key, .max = command_value_max(call), .exec = call->exec};
}

static enum strobe_status make_added(void *context, const struct seen *seen, struct strobe_entry **entry) {
    struct change *change = context;
    struct amendment amendment = amendment_of(change->call, &change->key);
    amendment.amount = change->amount;
    enum strobe_status status = amend_add(&amendment, seen, entry);
    change->complaint = amend_fault_text(amendment.fault);
    change->number = amendment.number;
    return status;
}

static enum strobe_status make_added_float(void *context, const struct seen *seen, struct strobe_entry **entry) {
    struct change *change = context;
    long double value = 0, increment;
    bool valid =
        seen->version == 0 || strobe_number_parse_long_double(strobe_slice_make(seen->value, seen->len), &value);
    if (!valid || !strobe_number_parse_long_double(change->bytes, &increment)) {
        change->complaint = "value is not a valid float";
        return STROBE_OK;
    }
    value += increment;
    if (isnan(value) || isinf(value)) {
        change->complaint = "increment would produce NaN or Infinity";
        return STROBE_OK;
    }
    change->text_len = strobe_number_format_long_double(change->text, value);
    return make_value(change, seen, change->text, change->text_len, entry);
}

/* Runs MAKE on word 1. false: an error is written. */
static bool change_word(struct change *change, change_make *make) {
    struct command_call *call = change->call;
    if (!command_new_key(call, 1, &change->key)) return false;
    enum strobe_status status = change_entry(call, &change->key, make, change);
    if (status != STROBE_OK) {
        command_error_status(call, status);
    } else if (change->complaint != NULL) {
        strobe_reply_error(call->reply, "ERR", change->complaint);
    }
    return status == STROBE_OK && change->complaint == NULL;
}

/* ---- APPEND, SETRANGE -------------------------------------------------------------------------------------- */

/* A write of bytes into a value, the context of make_written; and the job that goes on with it when that is large. */
struct writing {
    struct command_job job; /* first, so that a job is a writing */
    struct command_call call;
    struct strobe_key key;
    struct amendment amendment;
    struct draft draft;
    change_make *make;
    struct strobe_blob *blob; /* a job's: owned, a share of the bytes' */
    char copied[];            /* a job's: the key, and the bytes if they are in no blob */
};

static enum strobe_status make_appended(void *context, const struct seen *seen, struct strobe_entry **entry) {
    return amend_append(context, seen, entry);
}

static enum strobe_status make_overwritten(void *context, const struct seen *seen, struct strobe_entry **entry) {
    return amend_overwrite(context, seen, entry);
}

/* In EXEC, inside, when the entry was put: puts the bytes in place, and says what blob nobody else has seen. */
static void own(struct exec *exec, const struct amendment *amendment) {
    const struct draft *draft = amendment->draft;
    if (amendment->own != NULL) {
        memcpy(strobe_blob_bytes(amendment->own, NULL) + amendment->offset, amendment->bytes.data,
               amendment->bytes.len);
        exec_own(exec, amendment->own);
    } else if (draft->blob != NULL && (!draft->is_extension || exec_owns(exec, draft->blob))) {
        exec_own(exec, draft->blob);
    }
}

/* Puts the value, unless it is not ready: false. Else the reply is written. */
static bool writing_put(struct writing *writing) {
    struct amendment *amendment = &writing->amendment;
    struct command_call *call = &writing->call;
    enum strobe_status status = change_entry(call, &writing->key, writing->make, amendment);
    if (status == STROBE_OK && amendment->is_later) return false;
    if (status == STROBE_OK && amendment->fault == AMEND_NONE && call->exec != NULL) own(call->exec, amendment);
    draft_end(&writing->draft, status == STROBE_OK);
    if (status != STROBE_OK) {
        command_error_status(call, status);
    } else if (amendment->fault != AMEND_NONE) {
        strobe_reply_error(call->reply, amendment->fault == AMEND_TOO_MUCH ? "OOM" : "ERR",
                           amend_fault_text(amendment->fault));
    } else {
        strobe_reply_integer(call->reply, amendment->number);
    }
    return true;
}

static enum command_slice writing_slice(struct command_job *job, struct strobe_reply *reply) {
    struct writing *writing = (struct writing *)job;
    if (!draft_step(&writing->draft, STROBE_CHANGE_SLICE)) return COMMAND_SLICE_MORE;
    struct conn *conn = writing->call.session->conn;
    if (conn != NULL && hold_goes_on(conn)) return COMMAND_SLICE_WAIT;
    writing->call.reply = reply;
    (void)strobe_map_tick(writing->call.map);
    return writing_put(writing) ? COMMAND_SLICE_DONE : COMMAND_SLICE_MORE;
}

static void writing_release(struct command_job *job) {
    struct writing *writing = (struct writing *)job;
    draft_end(&writing->draft, false);
    strobe_blob_release(writing->blob);
    free(writing);
}

/* A job that goes on with BEGUN, whose draft it takes. NULL without memory. */
static struct writing *writing_job(const struct writing *begun) {
    struct strobe_slice bytes = begun->amendment.bytes;
    size_t own = begun->blob == NULL ? bytes.len : 0;
    struct writing *writing = malloc(sizeof *writing + begun->key.len + own);
    if (writing == NULL) return NULL;
    *writing = *begun;
    writing->job = (struct command_job){writing_slice, writing_release,
                                        sizeof *writing + begun->key.len + own + draft_memory(&begun->draft)};
    memcpy(writing->copied, begun->key.data, begun->key.len);
    writing->key.data = writing->copied;
    if (begun->blob != NULL) {
        (void)strobe_blob_share(begun->blob);
    } else {
        bytes.data = memcpy(writing->copied + begun->key.len, bytes.data, bytes.len);
    }
    writing->amendment.bytes = writing->draft.bytes = bytes;
    writing->amendment.key = &writing->key;
    writing->amendment.draft = &writing->draft;
    writing->call.request = NULL;
    writing->call.large = NULL;
    return writing;
}

/* Writes word I of CALL into the value of word 1. */
static enum command_outcome write_word(struct command_call *call, size_t i, size_t offset, change_make *make) {
    struct writing writing = {.call = *call, .make = make, .blob = command_blob(call, i)};
    if (!command_new_key(call, 1, &writing.key)) return COMMAND_DONE;
    writing.amendment = amendment_of(call, &writing.key);
    writing.amendment.bytes = command_arg(call, i);
    writing.amendment.blob = writing.blob;
    writing.amendment.offset = offset;
    writing.amendment.draft = &writing.draft;
    writing.amendment.may_wait = call->access == NULL && call->session != NULL;
    if (writing_put(&writing)) return COMMAND_DONE;
    struct writing *job = writing_job(&writing);
    if (job == NULL) {
        draft_end(&writing.draft, false);
        command_error_status(call, STROBE_NO_MEMORY);
        return COMMAND_DONE;
    }
    call->job = &job->job;
    return COMMAND_LATER;
}

enum command_outcome cmd_append(struct command_call *call) {
    return write_word(call, 2, 0, make_appended);
}

enum command_outcome cmd_setrange(struct command_call *call) {
    int64_t offset;
    if (!command_integer(call, 2, &offset)) return COMMAND_DONE;
    if (offset < 0) {
        strobe_reply_error(call->reply, "ERR", "offset is out of range");
        return COMMAND_DONE;
    }
    return write_word(call, 3, (size_t)offset, make_overwritten);
}

/* ---- numbers ---------------------------------------------------------------------------------------------- */

static enum command_outcome add(struct command_call *call, int64_t amount) {
    struct change change = {.call = call, .amount = amount};
    if (change_word(&change, make_added)) strobe_reply_integer(call->reply, change.number);
    return COMMAND_DONE;
}

enum command_outcome cmd_incr(struct command_call *call) {
    return add(call, 1);
}

enum command_outcome cmd_decr(struct command_call *call) {
    return add(call, -1);
}

enum command_outcome cmd_incrby(struct command_call *call) {
    int64_t amount;
    return command_integer(call, 2, &amount) ? add(call, amount) : COMMAND_DONE;
}

enum command_outcome cmd_decrby(struct command_call *call) {
    int64_t amount;
    if (!command_integer(call, 2, &amount)) return COMMAND_DONE;
    if (amount == INT64_MIN) {
        strobe_reply_error(call->reply, "ERR", "decrement would overflow");
        return COMMAND_DONE;
    }
    return add(call, -amount);
}

enum command_outcome cmd_incrbyfloat(struct command_call *call) {
    char text[STROBE_NUMBER_LONG_DOUBLE_TEXT];
    struct change change = {.call = call, .bytes = command_arg(call, 2), .text = text};
    if (change_word(&change, make_added_float)) {
        strobe_reply_bulk(call->reply, strobe_slice_make(text, change.text_len));
    }
    return COMMAND_DONE;
}

/* ---- GETEX ---------------------------------------------------------------------------------------------- */

static bool read_getex_wishes(struct command_call *call, struct wishes *wishes) {
    for (size_t i = 2; i < command_argc(call); i++) {
        if (command_is(call, i, "PERSIST") && wishes->when.word == 0) {
            wishes->persist = true;
        } else if (read_when_word(call, i, wishes)) {
            i++;
        } else {
            command_error_syntax(call);
            return false;
        }
    }
    return true;
}

static void release_blob(void *owner) {
    strobe_blob_release(owner);
}

/* Writes what was seen, as GET would. */
static void reply_seen(struct strobe_reply *reply, const struct seen *seen) {
    struct strobe_slice value = strobe_slice_make(seen->value, seen->len);
    if (seen->blob != NULL) {
        strobe_reply_bulk_borrowed(reply, value, release_blob, strobe_blob_share(seen->blob));
    } else {
        strobe_reply_bulk(reply, value);
    }
}

static enum strobe_status make_expiring(void *context, const struct seen *seen, struct strobe_entry **entry) {
    struct change *change = context;
    struct strobe_reply *reply = change->call->reply;
    strobe_reply_rewind(reply, change->mark);
    change->number = seen->version != 0;
    if (seen->version == 0) return STROBE_OK;
    if (change->when.word != 0 && change->expiry == 0 && !when_read(change->call, change->when, &change->expiry)) {
        return STROBE_OK;
    }
    reply_seen(reply, seen);
    if (change->when.word == 0 && (!change->persist || seen->expiry == 0)) return STROBE_OK;
    if (change->when.word != 0 && change->when.absolute && change->expiry <= seen->now) return STROBE_MISSING;
    struct strobe_entry_spec spec = seen_spec(seen, &change->key);
    spec.value = seen->value;
    spec.len = seen->len;
    spec.blob = seen->blob;
    spec.expiry = change->expiry;
    return strobe_entry_new(change->call->map, &spec, entry);
}

enum command_outcome cmd_getex(struct command_call *call) {
    struct wishes wishes = {0};
    if (!read_getex_wishes(call, &wishes)) return COMMAND_DONE;
    struct change change = {.call = call, .when = wishes.when, .persist = wishes.persist};
    if (!command_key(call, 1, &change.key)) {
        command_looked(call, 0, 1);
        strobe_reply_null(call->reply);
        return COMMAND_DONE;
    }
    change.mark = strobe_reply_mark(call->reply);
    enum strobe_status status = change_entry(call, &change.key, make_expiring, &change);
    if (status != STROBE_OK) {
        strobe_reply_rewind(call->reply, change.mark);
        command_error_status(call, status);
    } else if (change.number == 0) {
        strobe_reply_null(call->reply);
    }
    command_looked(call, change.number != 0, change.number == 0);
    return COMMAND_DONE;
}
