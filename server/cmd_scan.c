/* cmd_scan.c - SCAN, a page of a snapshot for each call; KEYS, a whole snapshot in one reply; and DELPREFIX.
 *
 * SCAN only reads its words and writes what scans_page() shows it; the cursor and the number of keys are
 * known last, so the keys go aside first.
 * KEYS must say how many keys there are before the first: it reads its snapshot twice, first to count and
 * then to tell, and both are the same, because it is a snapshot. It works in slices, so that other
 * connections of the loop are served between them: small maps within the call, larger ones as a job.
 * Should the limit on snapshots' memory close it while it tells, the array cannot be finished, and the
 * connection closes.
 * DELPREFIX removes in such slices (removal.c). */
#include <stdlib.h>
#include <string.h>

#include "protocol/glob.h"
#include "protocol/limits.h"
#include "protocol/number.h"
#include "server/commands.h"
#include "server/exec.h"
#include "server/removal.h"
#include "server/scans.h"
#include "server/services.h"

/* ---- SCAN ----------------------------------------------------------------------------------------------- */

struct scan_page {
    struct strobe_reply *reply;
    size_t items;
    bool values;
};

static enum strobe_status take_entry(void *context, const struct strobe_entry *entry) {
    struct scan_page *page = context;
    struct strobe_slice key;
    key.data = strobe_entry_key(entry, &key.len);
    strobe_reply_bulk(page->reply, key);
    page->items++;
    if (page->values) {
        command_value(page->reply, entry);
        page->items++;
    }
    return strobe_out_status(page->reply->out) == STROBE_BUF_OK ? STROBE_OK : STROBE_NO_MEMORY;
}

/* A cursor is decimal digits; Redis reads "007" too. */
static bool read_cursor(struct strobe_slice word, uint64_t *cursor) {
    size_t zeros = 0;
    while (zeros + 1 < word.len && word.data[zeros] == '0') zeros++;
    return strobe_number_parse_uint64(strobe_slice_make(word.data + zeros, word.len - zeros), cursor);
}

/* Can PATTERN be matched with many keys? An error is written when not. */
static bool fits(struct command_call *call, struct strobe_slice pattern) {
    if (strobe_glob_is_bounded(pattern)) return true;
    strobe_reply_error(call->reply, "ERR", STROBE_GLOB_REFUSED);
    return false;
}

/* Reads SCAN's options. An error is written when it answers false. */
static bool read_scan_options(struct command_call *call, struct scans_query *query, struct scan_page *page) {
    for (size_t i = 2; i < command_argc(call); i++) {
        bool more = i + 1 < command_argc(call);
        int64_t count = 1;
        if (command_is(call, i, "WITHVALUES")) {
            page->values = query->values = true;
        } else if (more && command_is(call, i, "COUNT")) {
            if (!command_integer(call, ++i, &count)) return false;
            query->count = (uint64_t)count;
        } else if (more && command_is(call, i, "MATCH")) {
            query->match = command_arg(call, ++i);
            if (!fits(call, query->match)) return false;
            query->has_match = !strobe_slice_equal(query->match, STROBE_SLICE("*"));
        } else if (more && command_is(call, i, "TYPE")) {
            query->nothing = !command_is(call, ++i, "string");
        } else {
            count = 0;
        }
        if (count < 1) {
            command_error_syntax(call);
            return false;
        }
    }
    return true;
}

enum command_outcome cmd_scan(struct command_call *call) {
    struct strobe_reply *reply = call->reply;
    struct scan_page page = {.reply = reply};
    struct scans_query query = {.take = take_entry, .context = &page};
    uint64_t cursor, next;
    if (!read_cursor(command_arg(call, 1), &cursor)) {
        strobe_reply_error(reply, "ERR", "invalid cursor");
        return COMMAND_DONE;
    }
    if (!read_scan_options(call, &query, &page)) return COMMAND_DONE;
    struct strobe_reply_aside aside;
    strobe_reply_aside_begin(reply, &aside);
    enum strobe_status status = STROBE_OK;
    struct strobe_snapshot *snapshot = NULL;
    if (call->exec != NULL && cursor == 0) status = exec_snapshot(call->exec, &snapshot);
    if (status == STROBE_OK && snapshot != NULL) {
        status = scans_first_page(services_scans(call->services), snapshot, &query, &next);
    } else if (status == STROBE_OK) {
        status = scans_page(services_scans(call->services), cursor, &query, &next);
    }
    strobe_reply_aside_end(reply, &aside);
    if (status != STROBE_OK) {
        strobe_reply_aside_drop(&aside);
        if (status == STROBE_TOO_BIG) {
            strobe_reply_error(reply, "ERR",
                               "that pattern costs too much for a page that was given before; ask for it "
                               "with the pattern that it was given with");
        } else {
            command_error_status(call, status);
        }
        return COMMAND_DONE;
    }
    strobe_reply_array(reply, 2);
    strobe_reply_bulk_uint64(reply, next);
    strobe_reply_array_from(reply, &aside, page.items);
    return COMMAND_DONE;
}

/* ---- KEYS ----------------------------------------------------------------------------------------------- */

enum {
    SLICE_ENTRIES = 2048,       /* entries met in one slice: a fraction of a millisecond */
    SLICE_PLACES = 32768,       /* places of the map in one slice, empty ones included */
    SLICE_GLOB_STEPS = 1 << 22, /* of matching, at its worst */
    SLICES_IN_CALL = 4,         /* slices within the call, before it becomes a job */
    FAILURES_MAX = 100          /* slices in a row that found no memory */
};

struct keys {
    struct command_job job; /* first, so that a job is a keys */
    struct services *services;
    struct strobe_snapshot *snapshot;
    struct strobe_position position;
    bool tells; /* else it counts */
    size_t count;
    unsigned failures;
    struct strobe_reply *reply; /* during a slice */
    size_t met;
    uint64_t steps;
    size_t pattern_len;
    char pattern[];
};

static enum strobe_visit meet_key(void *context, const struct strobe_entry *entry) {
    struct keys *keys = context;
    struct strobe_slice key, pattern = strobe_slice_make(keys->pattern, keys->pattern_len);
    key.data = strobe_entry_key(entry, &key.len);
    keys->steps += strobe_glob_steps(pattern, key);
    if (strobe_glob_match(pattern, key)) {
        if (keys->tells) {
            strobe_reply_bulk(keys->reply, key);
        } else {
            keys->count++;
        }
    }
    bool full = ++keys->met >= SLICE_ENTRIES || keys->steps >= SLICE_GLOB_STEPS;
    if (keys->tells && strobe_out_pending(keys->reply->out) >= STROBE_REPLY_HIGH_WATER) full = true;
    return full ? STROBE_VISIT_STOP : STROBE_VISIT_NEXT;
}

/* The snapshot is gone, or there is no memory. */
static enum command_slice give_up(const struct keys *keys, struct strobe_reply *reply) {
    if (keys->tells) return COMMAND_SLICE_BROKEN;
    strobe_reply_error(reply, "OOM", "out of memory for a snapshot of the keys; try again, or use SCAN");
    return COMMAND_SLICE_DONE;
}

static enum command_slice read_keys(struct keys *keys, struct strobe_reply *reply) {
    enum strobe_status status =
        strobe_snapshot_read(keys->snapshot, &keys->position, NULL, SLICE_PLACES, meet_key, keys);
    keys->failures = status == STROBE_NO_MEMORY ? keys->failures + 1 : 0;
    if (status == STROBE_CLOSED || keys->failures > FAILURES_MAX) return give_up(keys, reply);
    if (keys->tells) strobe_snapshot_forget(keys->snapshot, &keys->position);
    if (keys->position.end == 0) return COMMAND_SLICE_MORE;
    if (keys->tells) return COMMAND_SLICE_DONE;
    keys->tells = true;
    keys->position = (struct strobe_position){0};
    strobe_reply_array(reply, keys->count);
    if (keys->count == 0) return COMMAND_SLICE_DONE;
    /* At once: a snapshot that was read to its end counts as finished, and those are the first to be closed. */
    return read_keys(keys, reply);
}

static enum command_slice keys_slice(struct command_job *job, struct strobe_reply *reply) {
    struct keys *keys = (struct keys *)job;
    keys->reply = reply;
    keys->met = 0;
    keys->steps = 0;
    return read_keys(keys, reply);
}

static void keys_free(void *argument) {
    struct keys *keys = argument;
    strobe_snapshot_close(keys->snapshot);
    free(keys);
}

/* What was written meanwhile may be a lot to give back, so that is done elsewhere. */
static void keys_release(struct command_job *job) {
    struct keys *keys = (struct keys *)job;
    services_defer(keys->services, keys_free, keys);
}

enum command_outcome cmd_keys(struct command_call *call) {
    struct strobe_slice pattern = command_arg(call, 1);
    if (!fits(call, pattern)) return COMMAND_DONE;
    struct keys *keys = calloc(1, sizeof *keys + pattern.len);
    enum strobe_status status = STROBE_NO_MEMORY;
    if (keys != NULL) status = command_snapshot(call, &keys->snapshot);
    if (status != STROBE_OK) {
        free(keys);
        command_error_status(call, status);
        return COMMAND_DONE;
    }
    keys->job = (struct command_job){keys_slice, keys_release, sizeof *keys + pattern.len};
    keys->services = call->services;
    keys->pattern_len = pattern.len;
    if (pattern.len > 0) memcpy(keys->pattern, pattern.data, pattern.len);
    enum command_slice slice = COMMAND_SLICE_MORE;
    for (unsigned i = 0; slice == COMMAND_SLICE_MORE && i < SLICES_IN_CALL; i++) {
        if (strobe_out_pending(call->reply->out) >= STROBE_REPLY_HIGH_WATER) break;
        if (keys->steps >= SLICE_GLOB_STEPS) break; /* those were as long as all of them may be */
        slice = keys_slice(&keys->job, call->reply);
    }
    if (slice == COMMAND_SLICE_DONE) {
        keys_free(keys);
        return COMMAND_DONE;
    }
    /* A broken one is the door's to find out: the next slice breaks again. */
    call->job = &keys->job;
    return COMMAND_LATER;
}

/* ---- DELPREFIX ------------------------------------------------------------------------------------------ */

struct delprefix {
    struct command_job job; /* first, so that a job is a delprefix */
    struct removal *removal;
};

static enum command_slice delprefix_slice(struct command_job *job, struct strobe_reply *reply) {
    struct delprefix *delprefix = (struct delprefix *)job;
    enum removal_step step = removal_step(delprefix->removal);
    if (step == REMOVAL_MORE) return COMMAND_SLICE_MORE;
    if (step == REMOVAL_DONE) {
        strobe_reply_integer(reply, (int64_t)removal_count(delprefix->removal));
    } else {
        strobe_reply_error(reply, "OOM", "out of memory; some keys of the prefix are left, ask again");
    }
    return COMMAND_SLICE_DONE;
}

static void delprefix_release(struct command_job *job) {
    struct delprefix *delprefix = (struct delprefix *)job;
    removal_close(delprefix->removal);
    free(delprefix);
}

enum command_outcome cmd_delprefix(struct command_call *call) {
    struct strobe_slice prefix = command_arg(call, 1);
    if (prefix.len == 0) {
        strobe_reply_error(call->reply, "ERR", "an empty prefix would remove every key: FLUSHALL does that");
        return COMMAND_DONE;
    }
    struct delprefix *delprefix = calloc(1, sizeof *delprefix);
    enum strobe_status status = STROBE_NO_MEMORY;
    if (delprefix != NULL) status = removal_open(call->services, prefix, &delprefix->removal);
    if (status != STROBE_OK) {
        free(delprefix);
        command_error_status(call, status);
        return COMMAND_DONE;
    }
    size_t memory = sizeof *delprefix + removal_memory(delprefix->removal);
    delprefix->job = (struct command_job){delprefix_slice, delprefix_release, memory};
    enum command_slice slice = delprefix_slice(&delprefix->job, call->reply);
    if (slice == COMMAND_SLICE_DONE) {
        delprefix_release(&delprefix->job);
        return COMMAND_DONE;
    }
    call->job = &delprefix->job;
    return COMMAND_LATER;
}
