/* resp_door.c - the text protocol: batches of requests in four passes over the same bytes.
 *
 *     input -> parse up to STROBE_BATCH_MAX -> look up rows, hash keys -> prefetch -> execute in order -> more input
 *
 * The memory misses of a batch overlap in the third pass; with a million keys that is where the time would go. All
 * passes work in the loop's struct resp_batch, so that a request in the steady state allocates nothing.
 * Large words come into blobs (large_words.c). Only the first request of an input can have them whole: whoever begins
 * in this input and is taken is not whole before the next.
 * Always: requests take effect in the order they came. Execution stops between two commands when the replies pass
 * the high-water mark, when a command leaves a job, or after a long one (COMMAND_LONG); what was parsed but not
 * executed goes back to the unparsed bytes. Whether anything is out of the ordinary (a monitor, a pause, CLIENT REPLY)
 * is asked once a batch; only then each command goes through run_carefully. A command that a pause holds stays unparsed
 * too, and the connection sleeps (hold.c). On failure: bytes that are no RESP get an error and the connection ends,
 * after the replies to what was whole before them. Not here: what commands do (command.c), sending (conn.c), the
 * grammar (protocol/resp_parser.c).
 */
#include "server/resp_door.h"

#include <stdlib.h>

#include "map/map.h"
#include "protocol/limits.h"
#include "protocol/request.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "server/attention.h"
#include "server/command.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/hold.h"
#include "server/large_words.h"
#include "server/log.h"
#include "server/monitors.h"
#include "server/services.h"
#include "server/session.h"
#include "server/timing.h"
#include "server/worker.h"

struct resp_batch {
    struct strobe_request requests[STROBE_BATCH_MAX];
    struct command_call calls[STROBE_BATCH_MAX];
    struct strobe_key keys[STROBE_BATCH_MAX]; /* of those calls that have one */
    size_t ends[STROBE_BATCH_MAX];            /* offset in the input behind each request */
};

/* The state of a connection. */
struct resp_conn {
    struct strobe_resp_parser parser;
    struct strobe_reply reply;
    struct session session;
    struct large_words large;
    struct command_job *job;  /* owned; NULL: none */
    struct timing_job timing; /* of the job */
    bool waits_for_peer;      /* the job: it wrote so much that this must go first */
};

struct resp_batch *resp_batch_new(void) {
    struct resp_batch *batch = calloc(1, sizeof *batch);

    if (batch == NULL) return NULL;
    for (size_t i = 0; i < STROBE_BATCH_MAX; i++) {
        strobe_request_init(&batch->requests[i]);
        batch->calls[i].request = &batch->requests[i];
    }
    return batch;
}

void resp_batch_free(struct resp_batch *batch) {
    if (batch == NULL) return;
    for (size_t i = 0; i < STROBE_BATCH_MAX; i++) strobe_request_fini(&batch->requests[i]);
    free(batch);
}

static bool resp_open(struct conn *conn, void *state) {
    struct resp_conn *resp = state;

    large_words_init(&resp->large, conn, worker_map(conn_worker(conn)));
    strobe_resp_parser_init(&resp->parser, worker_resp_options(conn_worker(conn)));
    strobe_resp_parser_set_taker(&resp->parser, &large_words_taker, &resp->large);
    strobe_resp_writer_init(&resp->reply, conn_out(conn), STROBE_RESP2);
    session_init(&resp->session, conn_client(conn));
    resp->session.conn = conn;
    return true;
}

static void resp_close(struct conn *conn, void *state) {
    struct resp_conn *resp = state;

    (void)conn;
    session_fini(&resp->session);
    strobe_resp_parser_fini(&resp->parser);
    large_words_fini(&resp->large);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static enum conn_step job_step(struct conn *conn, void *context) {
    struct resp_conn *resp = context;
    struct session *session = &resp->session;
    struct strobe_reply_mark mark = strobe_reply_mark(&resp->reply);
    struct timing_slice timed = timing_slice_begin(&resp->timing, conn, resp->waits_for_peer);
    enum command_slice slice = resp->job->slice(resp->job, &resp->reply);

    timing_slice_end(&resp->timing, conn, timed);
    if (session_is_silent(session)) strobe_reply_rewind(&resp->reply, mark);
    resp->waits_for_peer = strobe_out_pending(conn_out(conn)) > STROBE_REPLY_HIGH_WATER / 2;
    switch (slice) {
    case COMMAND_SLICE_MORE: return CONN_STEP_AGAIN;
    case COMMAND_SLICE_WAIT: return CONN_STEP_WAIT;
    case COMMAND_SLICE_DONE:
        session_next_reply(session);
        conn_why(conn, CONN_REASON_KILLED);
        return session->leaving ? CONN_STEP_CLOSE : CONN_STEP_DONE;
    default: break;
    }
    conn_why(conn, CONN_REASON_FAILED);
    return CONN_STEP_ABORT;
}

static void job_drop(struct conn *conn, void *context) {
    struct resp_conn *resp = context;

    conn_stall_timeout(conn, 0);
    timing_job_end(&resp->timing, conn);
    resp->job->release(resp->job);
    resp->job = NULL;
    if (resp->session.monitor != NULL) worker_deliver(conn_worker(conn)); /* what waited for the end of the reply */
}

static void start_job(struct timing *timing, struct resp_conn *resp, const struct command_call *call) {
    struct conn *conn = timing->conn;

    resp->job = call->job;
    resp->waits_for_peer = strobe_out_pending(conn_out(conn)) > STROBE_REPLY_HIGH_WATER / 2;
    timing_job_begin(timing, &resp->timing, call);
    conn_stall_timeout(conn, worker_config(conn_worker(conn))->scan_idle_timeout);
    conn_work(conn, &(struct conn_job){.step = job_step, .drop = job_drop, .context = resp});
}

/* ---- what is out of the ordinary ------------------------------------------------------------ */

/* Is there anything for which commands of this connection are not simply executed? */
static bool has_to_care(const struct conn *conn, const struct resp_conn *resp) {
    return attention_now(services_attention(worker_services(conn_worker(conn)))) != 0 || resp->session.replies != 0;
}

/* Does a pause hold CALL? Then the connection sleeps until it does not any more. The way to end a pause is open. */
static bool is_held(struct conn *conn, const struct resp_conn *resp, const struct command_call *call) {
    const struct session *session = &resp->session;

    if ((attention_now(services_attention(worker_services(conn_worker(conn)))) & ATTENTION_PAUSE) == 0) return false;
    if (session->monitor != NULL || call->command->run == cmd_client_unpause || call->large != NULL) return false;
    return hold_begin(conn,
                      (call->command->flags & COMMAND_WRITE) != 0 ||
                          (call->command->run == cmd_exec && session_waits(session) && session->transaction->writes));
}

/* Does a pause hold the request under way, of which large words have come? What was taken of it does not come again, so
 * that is asked before its end, and not when it is executed. */
static bool is_held_half_way(struct conn *conn, const struct resp_conn *resp) {
    struct services *services = worker_services(conn_worker(conn));

    if (!strobe_resp_parser_is_taking(&resp->parser)) return false;
    if ((attention_now(services_attention(services)) & ATTENTION_PAUSE) == 0 || resp->session.monitor != NULL) {
        return false;
    }
    const struct command *command = command_find(services_commands(services), strobe_resp_parser_name(&resp->parser));
    return command != NULL && hold_begin(conn, (command->flags & COMMAND_WRITE) != 0);
}

static void show(struct conn *conn, struct resp_conn *resp, const struct command_call *call) {
    struct worker *worker = conn_worker(conn);
    const struct strobe_request *request = call->request;

    monitors_show(services_monitors(worker_services(worker)), worker_index(worker),
                  (size_t)worker_config(worker)->max_reply_buffer, conn_client(conn), call->command, request->args,
                  request->argc);
    resp->session.shown = true;
}

static void publish(struct conn *conn, struct resp_conn *resp) {
    struct worker *worker = conn_worker(conn);

    resp->session.shown = false;
    monitors_publish(services_monitors(worker_services(worker)), worker_index(worker),
                     (size_t)worker_config(worker)->max_reply_buffer);
}

/* Executes CALL as command_execute does. false: a pause holds it. */
static bool run_carefully(struct conn *conn, struct resp_conn *resp, struct command_call *call,
                          enum command_outcome *outcome) {
    struct session *session = &resp->session;
    struct strobe_reply_mark mark = strobe_reply_mark(&resp->reply);
    bool was_silent = session_is_silent(session);
    bool fits = command_fits(call);

    if (fits && is_held(conn, resp, call)) return false;
    if (fits && session->monitor != NULL && (call->command->flags & (COMMAND_READONLY | COMMAND_WRITE)) != 0) {
        command_refuse(call, "Replica can't interact with the keyspace");
        *outcome = COMMAND_DONE;
    } else {
        *outcome = command_execute(call);
        if (call->ran && *outcome != COMMAND_CLOSE) show(conn, resp, call);
    }
    if (was_silent && session_is_silent(session)) strobe_reply_rewind(&resp->reply, mark);
    return true;
}

/* ---- the passes ----------------------------------------------------------------------------- */

/* Parses from *AT on, which it moves behind what was read. Gives the number of whole requests; *RESULT says why
 * there are not more (DONE: the batch is full). */
static size_t parse(struct resp_batch *batch, struct resp_conn *resp, struct strobe_slice input, size_t *at,
                    enum strobe_parse *result) {
    size_t count = 0;

    do {
        size_t used;
        *result = strobe_resp_parser_read(&resp->parser, strobe_slice_make(input.data + *at, input.len - *at),
                                          &batch->requests[count], &used);
        *at += used;
        if (*result != STROBE_PARSE_DONE) break;
        batch->ends[count++] = *at;
    } while (count < STROBE_BATCH_MAX);
    return count;
}

static void prepare(struct resp_batch *batch, struct conn *conn, struct resp_conn *resp, size_t count) {
    struct worker *worker = conn_worker(conn);
    struct strobe_map *map = worker_map(worker);
    size_t keys = 0;

    for (size_t i = 0; i < count; i++) {
        struct command_call *call = &batch->calls[i];
        call->reply = &resp->reply;
        call->map = map;
        call->session = &resp->session;
        call->services = worker_services(worker);
        call->metrics = worker_metrics(worker);
        call->access = NULL;
        call->exec = NULL;
        call->large = i == 0 && large_words_any(&resp->large) ? &resp->large : NULL;
        command_prepare(call);
        if (call->key.data != NULL) batch->keys[keys++] = call->key;
    }
    if (keys > 1) strobe_prefetch(map, batch->keys, keys);
    strobe_map_tick(map);
}

/* What the door does after CALL, of which LAST in the batch says that none follows. */
static enum conn_answer after_call(struct timing *timing, struct resp_conn *resp, const struct command_call *call,
                                   enum command_outcome outcome, bool last) {
    struct conn *conn = timing->conn;
    const struct strobe_out *out = conn_out(conn);

    if (outcome == COMMAND_CLOSE) return CONN_CLOSE;
    if (outcome == COMMAND_LATER) {
        start_job(timing, resp, call);
        return CONN_PAUSE;
    }
    if (strobe_out_status(out) != STROBE_BUF_OK) return CONN_PAUSE;
    if (!last && call->command != NULL && (call->command->flags & COMMAND_LONG) != 0) return CONN_PAUSE;
    if (strobe_out_pending(out) >= STROBE_REPLY_HIGH_WATER && conn_full(conn)) return CONN_PAUSE;
    return CONN_MORE;
}

static bool changes_mode(const struct command_call *call) {
    return call->command != NULL && (call->command->flags & COMMAND_MODE) != 0;
}

/* A command is done after which it is to be asked again whether to *CARE. ANSWER is the door's so far. */
static enum conn_answer look_again(struct conn *conn, struct resp_conn *resp, enum conn_answer answer, bool *care) {
    session_next_reply(&resp->session);
    *care = has_to_care(conn, resp);
    if (!resp->session.leaving) return answer;
    conn_why(conn, CONN_REASON_KILLED); /* it has killed itself, and got its reply */
    return CONN_CLOSE;
}

/* Executes the batch, or its first part. *DONE is how many, which may be none; MORE: all of them, and the next may
 * follow. */
static enum conn_answer execute(struct resp_batch *batch, struct timing *timing, struct resp_conn *resp, size_t count,
                                size_t *done) {
    enum conn_answer answer = CONN_MORE;
    size_t timed = 0; /* calls of which the time was taken */
    struct conn *conn = timing->conn;
    bool care = has_to_care(conn, resp);

    timing_start(timing);
    while (answer == CONN_MORE && *done < count) {
        struct command_call *call = &batch->calls[*done];
        bool alone = timing_is_alone(timing, call);
        if (alone) {
            timing_end(timing, &batch->calls[timed], *done - timed);
            timed = *done;
        }
        enum command_outcome outcome;
        if (!care) {
            outcome = command_execute(call);
        } else if (!run_carefully(conn, resp, call, &outcome)) {
            answer = CONN_PAUSE;
            break;
        }
        ++*done;
        if (alone && outcome != COMMAND_LATER) timing_end(timing, call, 1);
        if (alone) timed = *done;
        answer = after_call(timing, resp, call, outcome, *done == count);
        if (outcome == COMMAND_DONE && (care || changes_mode(call))) answer = look_again(conn, resp, answer, &care);
    }
    timing_end(timing, &batch->calls[timed], *done - timed);
    return answer;
}

/* The stream cannot be trusted any more. */
static enum conn_answer give_up(struct conn *conn, struct resp_conn *resp) {
    enum strobe_resp_fault fault = strobe_resp_parser_fault(&resp->parser);
    struct worker *worker = conn_worker(conn);
    char text[STROBE_RESP_ERROR_TEXT];

    log_info(worker_log(worker), "resp", "protocol error conn=%llu fault=%s peer=%s", (unsigned long long)conn_id(conn),
             strobe_resp_fault_name(fault), conn_client(conn)->peer);
    metrics_count(worker_metrics(worker), METRICS_PROTOCOL_ERRORS, 1);
    conn_why(conn, fault == STROBE_RESP_NO_MEMORY ? CONN_REASON_NO_MEMORY : CONN_REASON_PROTOCOL);
    if (fault != STROBE_RESP_HTTP) {
        strobe_reply_error(&resp->reply, "ERR", strobe_resp_parser_error(&resp->parser, text));
    }
    return CONN_LINGER;
}

static enum conn_answer resp_input(struct conn *conn, void *state, struct strobe_slice input, size_t *used) {
    struct resp_conn *resp = state;
    struct resp_batch *batch = worker_batch(conn_worker(conn));
    enum strobe_parse result;
    struct timing timing;
    size_t at = 0;

    *used = 0;
    if (is_held_half_way(conn, resp)) return CONN_PAUSE;
    timing_begin(&timing, conn);
    do {
        size_t from = at;
        size_t count = parse(batch, resp, input, &at, &result);
        if (count > 0) {
            size_t done = 0;
            prepare(batch, conn, resp, count);
            enum conn_answer answer = execute(batch, &timing, resp, count, &done);
            large_words_done(&resp->large);
            const struct command *last = done > 0 ? batch->calls[done - 1].command : NULL;
            if (done > 0) client_did(conn_client(conn), last != NULL ? last->name : NULL, done);
            if (resp->session.shown) publish(conn, resp);
            if (answer != CONN_MORE) {
                strobe_resp_parser_reset(&resp->parser);
                *used = done > 0 ? batch->ends[done - 1] : from;
                return answer;
            }
        }
    } while (result == STROBE_PARSE_DONE);
    *used = at;
    if (result == STROBE_PARSE_BAD) return give_up(conn, resp);
    conn_want(conn, strobe_resp_parser_want(&resp->parser));
    return CONN_MORE;
}

/* ---- the rest of the door ------------------------------------------------------------------- */

/* None while there is a pause, which may have what is read kept in the input, beside the room. */
static char *resp_room(struct conn *conn, void *state, size_t *len, size_t *behind) {
    struct resp_conn *resp = state;

    if ((attention_now(services_attention(worker_services(conn_worker(conn)))) & ATTENTION_PAUSE) != 0) return NULL;
    return large_words_room(&resp->large, len, behind);
}

static enum conn_half resp_half(const struct conn *conn, const void *state) {
    const struct resp_conn *resp = state;

    (void)conn;
    if (strobe_resp_parser_idle(&resp->parser)) return CONN_HALF_NONE;
    return resp->parser.left > 0 ? CONN_HALF_BODY : CONN_HALF_HEAD;
}

static void resp_refuse(struct conn *conn, void *state, enum conn_reason reason) {
    struct resp_conn *resp = state;

    (void)conn;
    if (reason == CONN_REASON_MAX_CLIENTS) {
        strobe_reply_error(&resp->reply, "ERR", "max number of clients reached");
    } else {
        strobe_reply_error(&resp->reply, "ERR", "request timed out: its rest did not come within request-timeout");
    }
}

static void resp_flushed(struct conn *conn, void *state) {
    (void)state;
    timing_flushed(conn);
}

static size_t resp_memory(const void *state) {
    const struct resp_conn *resp = state;

    return strobe_resp_parser_memory(&resp->parser) + session_memory(&resp->session) +
           large_words_memory(&resp->large) + (resp->job != NULL ? resp->job->memory : 0);
}

#define RESP_DOOR(text, counted)                                                                               \
    {                                                                                                          \
        .name = (text), .metric = (counted), .state_size = sizeof(struct resp_conn), .open = resp_open,        \
        .close = resp_close, .input = resp_input, .room = resp_room, .half = resp_half, .refuse = resp_refuse, \
        .flushed = resp_flushed, .memory = resp_memory                                                         \
    }

const struct door resp_door = RESP_DOOR("resp", METRICS_DOOR_RESP);
const struct door resp_unix_door = RESP_DOOR("unix", METRICS_DOOR_UNIX);
