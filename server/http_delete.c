/* http_delete.c - DELETE /kv/?prefix=P: the HTTP words around a removal (removal.c).
 *
 *      step -> a slice of the removal           end -> 200 {"deleted":N}
 *
 * A job of the connection (conn.h), so that other connections have their turns meanwhile. On failure the answer is 507
 * and says that keys may be left. Without a prefix the whole map would go, so ?all must say it.
 */
#include "server/http_delete.h"

#include <stdlib.h>

#include "protocol/buf.h"
#include "protocol/http_target.h"
#include "protocol/json.h"
#include "protocol/limits.h"
#include "server/conn.h"
#include "server/removal.h"
#include "server/services.h"
#include "server/worker.h"

struct deletion {
    struct http_call call;   /* its reply is written at the end; the request in it is gone by then */
    struct removal *removal; /* owned, or NULL */
};

/* ---- the query -------------------------------------------------------------------------------------------- */

/* Reads the query; the prefix is decoded into ROOM, which is as long as QUERY. */
static struct strobe_http_refusal read_query(struct strobe_slice query, char *room, struct strobe_slice *prefix) {
    struct strobe_slice name, value;
    bool all = false;

    *prefix = STROBE_SLICE("");
    while (strobe_http_next_parameter(&query, &name, &value)) {
        size_t len = 0;

        if (strobe_slice_equal(name, STROBE_SLICE("all"))) {
            all = strobe_http_is_yes(value);
        } else if (!strobe_slice_equal(name, STROBE_SLICE("prefix"))) {
            return http_refusal(400,
                                "The query has a parameter that is not known here: a removal takes prefix or all.");
        } else if (strobe_http_decode(value, STROBE_HTTP_PLUS_IS_SPACE, room, value.len, &len) != STROBE_HTTP_DECODED) {
            return http_bad_escape;
        } else {
            *prefix = strobe_slice_make(room, len);
        }
    }
    if (prefix->len == 0 && !all) {
        return http_refusal(400, "This would remove every key: say ?prefix=P for those of a prefix, or ?all.");
    }
    return http_fine;
}

/* Reads the query and opens what it asks for. */
static struct strobe_http_refusal open_removal(const struct http_call *call, struct removal **removal) {
    struct strobe_slice prefix, query = call->request->query;
    char *room = malloc(query.len + 1);

    if (room == NULL) return http_no_memory;
    struct strobe_http_refusal refused = read_query(query, room, &prefix);
    if (refused.status == 0) {
        enum strobe_status status = removal_open(worker_services(call->worker), prefix, removal);
        if (status != STROBE_OK) refused = http_no_snapshot(status);
    }
    free(room);
    return refused;
}

/* ---- the job ---------------------------------------------------------------------------------------------- */

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
    http_routes_send(call, STROBE_SLICE("Content-Type: application/json\r\n"), &body);
}

/* Writes the answer that REFUSED, or success, stands for, and says what becomes of the connection. */
static enum conn_step finish(struct conn *conn, struct deletion *deletion, struct strobe_http_refusal refused) {
    struct http_call *call = &deletion->call;

    call->reply.date = worker_http_date(call->worker).data;
    if (refused.status != 0) {
        http_routes_refuse(call, refused);
    } else {
        write_answer(call, removal_count(deletion->removal));
    }
    if (call->reply.keep_alive) return CONN_STEP_DONE;
    conn_why(conn, CONN_REASON_HTTP_DONE);
    return CONN_STEP_CLOSE;
}

static enum conn_step delete_step(struct conn *conn, void *context) {
    struct deletion *deletion = context;

    switch (removal_step(deletion->removal)) {
    case REMOVAL_MORE: return CONN_STEP_AGAIN;
    case REMOVAL_DONE: return finish(conn, deletion, http_fine);
    default: break;
    }
    return finish(conn, deletion, http_refusal(507, "Out of memory; some keys of the prefix are left, ask again."));
}

static void delete_drop(struct conn *conn, void *context) {
    struct deletion *deletion = context;

    (void)conn;
    removal_close(deletion->removal);
    free(deletion);
}

void http_delete_prefix(struct http_call *call) {
    struct deletion *deletion = calloc(1, sizeof *deletion);

    if (deletion == NULL) {
        http_routes_refuse(call, http_no_memory);
        return;
    }
    struct strobe_http_refusal refused = open_removal(call, &deletion->removal);
    if (refused.status != 0) {
        http_routes_refuse(call, refused);
        free(deletion);
        return;
    }
    deletion->call = *call;
    deletion->call.request = NULL;
    call->has_job = true;
    conn_work(call->conn, &(struct conn_job){.step = delete_step, .drop = delete_drop, .context = deletion});
}
