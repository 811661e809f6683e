/* http_delete.c - DELETE /kv/?prefix=P: removes what a snapshot of now holds, and nothing that was written since.
 *
 *      step -> a slice of the snapshot: each entry of the prefix is erased if it still has that version
 *       end -> 200 {"deleted":N}
 *
 * A job of the connection (conn.h), so that other connections have their turns meanwhile. The snapshot is one that is
 * never closed for its memory, since half a deletion helps nobody; it lets go of what was read as it goes.
 * Always: exactly the versions of one instant go; a later write of the same key survives and is not counted.
 * On failure (no memory to keep an entry for some other scan) the slice is tried again; when that does not help, the
 * answer is 507 and says that keys may be left. Without a prefix the whole map would go, so ?all must say it.
 */
#include "server/http_delete.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/http_target.h"
#include "protocol/json.h"
#include "protocol/limits.h"
#include "server/conn.h"
#include "server/services.h"
#include "server/worker.h"

enum {
    STEP_PLACES = 1024, /* of the map looked at in a step */
    FAILURES_MAX = 100  /* steps in a row that found no memory */
};

struct deletion {
    struct http_call call; /* its reply is written at the end; the request in it is gone by then */
    struct services *services;
    struct strobe_snapshot *snapshot; /* owned */
    struct strobe_position position;
    struct strobe_slice prefix; /* in MEMORY */
    char *memory;               /* owned, or NULL */
    uint64_t deleted;
    unsigned failures;
};

/* ---- the query -------------------------------------------------------------------------------------------- */

/* Reads the query; the prefix is decoded into deletion->memory. */
static struct strobe_http_refusal read_query(struct deletion *deletion, struct strobe_slice query) {
    struct strobe_slice name, value;
    bool all = false;

    if (query.len != 0) {
        deletion->memory = malloc(query.len);
        if (deletion->memory == NULL) return http_no_memory;
    }
    while (strobe_http_next_parameter(&query, &name, &value)) {
        size_t len = 0;

        if (strobe_slice_equal(name, STROBE_SLICE("all"))) {
            all = strobe_http_is_yes(value);
        } else if (!strobe_slice_equal(name, STROBE_SLICE("prefix"))) {
            return http_refusal(400,
                                "The query has a parameter that is not known here: a removal takes prefix or all.");
        } else if (strobe_http_decode(value, STROBE_HTTP_PLUS_IS_SPACE, deletion->memory, value.len, &len) !=
                   STROBE_HTTP_DECODED) {
            return http_bad_escape;
        } else {
            deletion->prefix = strobe_slice_make(deletion->memory, len);
        }
    }
    if (deletion->prefix.len == 0 && !all) {
        return http_refusal(400, "This would remove every key: say ?prefix=P for those of a prefix, or ?all.");
    }
    return http_fine;
}

/* ---- the job ---------------------------------------------------------------------------------------------- */

/* Visitor of the snapshot: erases the entry if it is still the one in the map. */
static enum strobe_visit erase(void *context, const struct strobe_entry *entry) {
    struct deletion *deletion = context;
    struct strobe_map *map = deletion->call.map;
    struct strobe_entry *old = NULL;
    enum strobe_status status = STROBE_MISSING;
    const struct strobe_entry *now;
    struct strobe_access access;
    struct strobe_key key;
    size_t len;
    const char *bytes = strobe_entry_key(entry, &len);
    size_t prefix = deletion->prefix.len;

    if (len < prefix || (prefix != 0 && memcmp(bytes, deletion->prefix.data, prefix) != 0)) return STROBE_VISIT_NEXT;
    key = strobe_key(map, bytes, len);
    strobe_enter(map, &key, &access);
    now = strobe_find(&access, &key);
    if (now != NULL && strobe_entry_version(now) == strobe_entry_version(entry)) {
        status = strobe_erase(&access, &key, &old);
    }
    strobe_leave(&access);
    strobe_entry_free(map, old);
    if (status == STROBE_NO_MEMORY) return STROBE_VISIT_REFUSE;
    deletion->deleted += status == STROBE_OK;
    return STROBE_VISIT_NEXT;
}

static void write_answer(struct http_call *call, uint64_t deleted) {
    struct strobe_out body;
    struct strobe_json json;

    strobe_out_init(&body, call->reply.out->pool, STROBE_OUT_CHUNK);
    strobe_json_init(&json, &body);
    strobe_json_object_begin(&json);
    strobe_json_name(&json, "deleted");
    strobe_json_u64(&json, deleted);
    strobe_json_object_end(&json);
    strobe_json_newline(&json);
    strobe_http_reply_begin(&call->reply, 200);
    strobe_http_reply_lines(&call->reply, STROBE_SLICE("Content-Type: application/json\r\n"));
    strobe_http_reply_body_from(&call->reply, &body);
    strobe_out_fini(&body);
}

/* Writes the answer that REFUSED, or success, stands for, and says what becomes of the connection. */
static enum conn_step finish(struct conn *conn, struct deletion *deletion, struct strobe_http_refusal refused) {
    struct http_call *call = &deletion->call;

    call->reply.date = worker_http_date(call->worker).data;
    if (refused.status != 0) {
        http_routes_refuse(call, refused);
    } else {
        write_answer(call, deletion->deleted);
    }
    if (call->reply.keep_alive) return CONN_STEP_DONE;
    conn_why(conn, CONN_REASON_HTTP_DONE);
    return CONN_STEP_CLOSE;
}

static enum conn_step delete_step(struct conn *conn, void *context) {
    struct deletion *deletion = context;
    struct strobe_position before = deletion->position;
    enum strobe_status status =
        strobe_snapshot_read(deletion->snapshot, &deletion->position, NULL, STEP_PLACES, erase, deletion);

    strobe_snapshot_forget(deletion->snapshot, &deletion->position);
    if (deletion->position.end && status == STROBE_OK) return finish(conn, deletion, http_fine);
    if (memcmp(&before, &deletion->position, sizeof before) != 0) {
        deletion->failures = 0;
    } else if (++deletion->failures == FAILURES_MAX) {
        return finish(conn, deletion, http_refusal(507, "Out of memory; some keys of the prefix are left, ask again."));
    }
    return CONN_STEP_AGAIN;
}

static void delete_drop(struct conn *conn, void *context) {
    struct deletion *deletion = context;

    (void)conn;
    if (deletion->snapshot != NULL) services_close_snapshot(deletion->services, deletion->snapshot);
    free(deletion->memory);
    free(deletion);
}

void http_delete_prefix(struct http_call *call) {
    struct deletion *deletion = calloc(1, sizeof *deletion);
    struct strobe_http_refusal refused = http_no_memory;

    if (deletion == NULL) {
        http_routes_refuse(call, refused);
        return;
    }
    deletion->services = worker_services(call->worker);
    refused = read_query(deletion, call->request->query);
    if (refused.status == 0) {
        enum strobe_status status = strobe_snapshot_open(call->map, true, &deletion->snapshot);

        if (status != STROBE_OK) refused = http_no_snapshot(status);
    }
    if (refused.status != 0) {
        deletion->snapshot = NULL;
        http_routes_refuse(call, refused);
        delete_drop(call->conn, deletion);
        return;
    }
    deletion->call = *call;
    deletion->call.request = NULL;
    call->has_job = true;
    conn_work(call->conn, &(struct conn_job){.step = delete_step, .drop = delete_drop, .context = deletion});
}
