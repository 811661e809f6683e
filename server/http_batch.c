/* http_batch.c - POST /batch: commands as JSON, executed in order by the table that the text door uses.
 *
 *      ARRAY            CHECK (all of it is JSON?) -> RUN
 *      LINES            RUN: a line that is none is told as an error -> SKIP -> RUN
 *      ?atomic, both    QUEUE, as between MULTI and EXEC -> EXEC, which RUN tells
 *
 *      body -> json_words -> command_execute -> RESP -> resp_json -> JSON, a chunk -> conn_out
 *
 * A job of the connection (conn.h) in steps of some hundred microseconds; the first is done at once, so a short batch
 * is answered with its length, and a longer one in chunks, at the pace of the reader: the next command waits until the
 * replies before it were told and the connection has room.
 * Always: an answer for each command, in order. Nothing is executed of an ARRAY or an atomic batch that is wrong
 * somewhere: 400 says where. A command about a connection of its own (MULTI, CLIENT, QUIT, MONITOR...) is an error. The
 * body is kept until its last command, since words lie in it; all that is held counts for max-buffers.
 * On failure: without memory a command answers so; a reply that passes max-reply-buffer is an error in its place, but
 * that of EXEC and of a long command (KEYS) cuts the answer.
 * Not here: JSON (protocol/json_words.c, protocol/resp_json.c), transactions (transaction.c, exec.c). */
#include "server/http_batch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json_words.h"
#include "protocol/limits.h"
#include "protocol/resp_json.h"
#include "protocol/resp_writer.h"
#include "server/command.h"
#include "server/config.h"
#include "server/conn.h"
#include "server/hold.h"
#include "server/http_entry.h"
#include "server/services.h"
#include "server/session.h"
#include "server/worker.h"

enum {
    STEP_COMMANDS = 64,   /* executed in a step */
    STEP_BYTES = 131072,  /* of the body looked at in a step, and of replies */
    TEXT_HIGH = 32768,    /* JSON is sent when there is so much */
    TEXT_SLACK = 2 << 20, /* JSON of one short reply may pass that: escapes, base64 */
    SHOWN_MAX = 64        /* bytes of a command's name that an error repeats */
};

enum stage { CHECK, QUEUE, RUN, SKIP, TELL, DONE };

/* What a step came to. */
enum batch_step { BATCH_AGAIN, BATCH_WAIT, BATCH_DONE, BATCH_REFUSED, BATCH_BROKEN };

struct batch {
    struct http_call call;  /* its reply; the request in it is gone by then */
    struct strobe_buf body; /* owned */
    struct strobe_json_words words;
    struct strobe_request request;
    struct session session;    /* for the transaction; no command may ask who is there */
    struct strobe_reply reply; /* writes to RAW */
    struct strobe_out raw;     /* replies as RESP */
    struct strobe_resp_json told;
    struct strobe_out text; /* replies as JSON */
    struct command_job *job;
    size_t commands; /* that were read */
    enum strobe_json_form form;
    enum stage stage;
    bool is_atomic;
    bool is_begun;                      /* the head was written */
    struct strobe_http_refusal refusal; /* after REFUSED */
    enum conn_reason why;               /* after BROKEN */
    char detail[STROBE_ERROR_TEXT_MAX];
};

/* ---- what a head asks for --------------------------------------------------------------------------------- */

static struct strobe_http_refusal plan_batch(const struct strobe_http_request *request, bool *is_atomic) {
    struct strobe_slice rest = request->query;
    struct strobe_slice name, value;

    *is_atomic = false;
    while (strobe_http_next_parameter(&rest, &name, &value)) {
        if (!strobe_slice_equal(name, STROBE_SLICE("atomic"))) {
            return http_refusal(400, "The query has a parameter that is not known here: a batch takes atomic.");
        }
        *is_atomic = strobe_http_is_yes(value);
    }
    return http_entry_body(request);
}

struct strobe_http_refusal http_batch_judge(const struct http_call *call) {
    bool is_atomic;

    return plan_batch(call->request, &is_atomic);
}

/* ---- refusals --------------------------------------------------------------------------------------------- */

static enum batch_step refuse(struct batch *batch, int status, const char *detail) {
    batch->refusal = http_refusal(status, detail);
    return BATCH_REFUSED;
}

/* The text is not what it should be: says where. */
static enum batch_step refuse_text(struct batch *batch) {
    size_t at = strobe_json_words_fault_at(&batch->words);

    snprintf(batch->detail, sizeof batch->detail, "Command %zu, byte %zu of %s: %s. Nothing was executed.",
             batch->commands + 1, at, batch->form == STROBE_JSON_ARRAY ? "the body" : "its line", batch->words.fault);
    return refuse(batch, 400, batch->detail);
}

/* A command was not taken into the transaction; RAW holds why. */
static enum batch_step refuse_command(struct batch *batch) {
    char text[STROBE_ERROR_TEXT_MAX / 2];
    size_t len = strobe_resp_json_line(&batch->raw, text, sizeof text);

    if (len > 4 && memcmp(text, "-OOM", 4) == 0) return refuse(batch, 503, http_no_memory.detail);
    snprintf(batch->detail, sizeof batch->detail, "Command %zu: %.*s. Nothing was executed.", batch->commands,
             len > 1 ? (int)len - 1 : 0, text + 1);
    return refuse(batch, 400, batch->detail);
}

static enum batch_step give_up(struct batch *batch, enum conn_reason why) {
    batch->why = why;
    return BATCH_BROKEN;
}

/* The replies have become too many, or there is no memory for them. */
static enum batch_step fail(struct batch *batch, const struct strobe_out *out) {
    bool is_full = strobe_out_status(out) == STROBE_BUF_FULL;

    if (batch->is_begun) return give_up(batch, is_full ? CONN_REASON_REPLY_LIMIT : CONN_REASON_NO_MEMORY);
    return refuse(batch, 507,
                  is_full ? "The commands were executed, but their replies pass max-reply-buffer."
                          : "Out of memory for the replies; some commands may have been executed.");
}

/* ---- commands --------------------------------------------------------------------------------------------- */

/* Is it about the connection that it comes over, which is none of the text protocol's? */
static bool is_of_connection(const struct command *command) {
    static const char *const fine[] = {"ping", "echo"}, *const others[] = {"monitor"};

    if (strcmp(command->group, "transactions") == 0) return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(command->name, others[i]) == 0) return true;
    }
    if (strcmp(command->group, "connection") != 0) return false;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        if (strcmp(command->name, fine[i]) == 0) return false;
    }
    return true;
}

static struct command_call call_of(struct batch *batch, const struct strobe_request *request) {
    return (struct command_call){.request = request,
                                 .reply = &batch->reply,
                                 .map = batch->call.map,
                                 .session = &batch->session,
                                 .services = worker_services(batch->call.worker),
                                 .metrics = batch->call.metrics};
}

/* Puts an error in place of a reply that found no room. */
static void mend_reply(struct batch *batch, struct strobe_reply_mark mark) {
    if (strobe_out_status(&batch->raw) == STROBE_BUF_OK) return;
    strobe_reply_rewind(&batch->reply, mark);
    strobe_reply_error(&batch->reply, "ERR", "the reply is larger than max-reply-buffer; the command was executed");
}

/* Runs the command that was read, or makes it wait for EXEC. Results: true when others shall have their turn now. */
static bool run_command(struct batch *batch) {
    struct strobe_reply_mark mark = strobe_reply_mark(&batch->reply);
    struct command_call call = call_of(batch, &batch->request);
    enum command_outcome outcome;

    batch->commands++;
    command_prepare(&call);
    if (call.command != NULL && is_of_connection(call.command)) {
        struct strobe_slice name = command_arg(&call, 0);

        strobe_reply_errorf(&batch->reply, "ERR",
                            "'%.*s' is about a connection of the text protocol; a batch has none, and ?atomic makes it "
                            "a transaction",
                            name.len < SHOWN_MAX ? (int)name.len : SHOWN_MAX, name.data);
        return false;
    }
    outcome = command_execute(&call);
    if (outcome == COMMAND_LATER) {
        batch->job = call.job;
        return true;
    }
    mend_reply(batch, mark);
    if (outcome == COMMAND_CLOSE && strobe_out_pending(&batch->raw) == mark.out.pending) {
        strobe_reply_ok(&batch->reply);
    }
    return call.command != NULL && (call.command->flags & COMMAND_LONG) != 0;
}

/* All commands wait: executes them. */
static enum batch_step run_transaction(struct batch *batch) {
    struct strobe_slice word = STROBE_SLICE("EXEC");
    const struct strobe_request request = {.args = &word, .argc = 1};
    struct command_call call = call_of(batch, &request);
    char first[1] = {0};

    command_prepare(&call);
    if (command_execute(&call) == COMMAND_LATER) batch->job = call.job;
    batch->told.unpack = true;
    batch->stage = TELL;
    if (strobe_out_status(&batch->raw) != STROBE_BUF_OK) return fail(batch, &batch->raw);
    if (strobe_resp_json_line(&batch->raw, first, sizeof first) == 1 && first[0] == '-') {
        return refuse(batch, 503, http_no_memory.detail);
    }
    return BATCH_AGAIN;
}

/* A slice of the command that goes on as a job. */
static enum batch_step run_job(struct batch *batch) {
    enum command_slice slice = batch->job->slice(batch->job, &batch->reply);

    if (strobe_out_status(&batch->raw) != STROBE_BUF_OK) return fail(batch, &batch->raw);
    if (slice == COMMAND_SLICE_BROKEN) return give_up(batch, CONN_REASON_FAILED);
    if (slice == COMMAND_SLICE_WAIT) return BATCH_WAIT;
    if (slice == COMMAND_SLICE_DONE) {
        batch->job->release(batch->job);
        batch->job = NULL;
    }
    return BATCH_AGAIN;
}

/* ---- stages ----------------------------------------------------------------------------------------------- */

/* Looks whether the whole array is one. */
static enum batch_step check(struct batch *batch, size_t *budget) {
    for (;;) {
        switch (strobe_json_words_next(&batch->words, NULL, budget)) {
        case STROBE_JSON_COMMAND: batch->commands++; break;
        case STROBE_JSON_MORE: return BATCH_AGAIN;
        case STROBE_JSON_END:
            strobe_json_words_init(&batch->words, batch->words.data, batch->words.len, batch->form, false);
            batch->commands = 0;
            batch->stage = RUN;
            return BATCH_AGAIN;
        default: return refuse_text(batch);
        }
    }
}

/* Reads commands into the transaction. */
static enum batch_step queue(struct batch *batch, size_t *budget, unsigned *commands) {
    struct strobe_reply_mark mark = strobe_reply_mark(&batch->reply);

    for (; *commands > 0; *commands -= 1) {
        switch (strobe_json_words_next(&batch->words, &batch->request, budget)) {
        case STROBE_JSON_COMMAND:
            (void)run_command(batch);
            if (batch->reply.errors != 0) return refuse_command(batch);
            strobe_reply_rewind(&batch->reply, mark); /* "QUEUED" */
            break;
        case STROBE_JSON_MORE: return BATCH_AGAIN;
        case STROBE_JSON_END: return run_transaction(batch);
        case STROBE_JSON_NO_MEMORY: return refuse(batch, 503, http_no_memory.detail);
        case STROBE_JSON_BAD: return refuse_text(batch);
        }
    }
    return BATCH_AGAIN;
}

/* Reads and runs commands until a reply waits that has to be told first, or the step is long enough. */
static enum batch_step run(struct batch *batch, size_t *budget, unsigned *commands) {
    switch (strobe_json_words_next(&batch->words, &batch->request, budget)) {
    case STROBE_JSON_COMMAND:
        *commands -= 1;
        if (run_command(batch)) *commands = 0;
        break;
    case STROBE_JSON_MORE: break;
    case STROBE_JSON_END: batch->stage = TELL; break;
    case STROBE_JSON_NO_MEMORY:
        batch->commands++;
        strobe_reply_error(&batch->reply, "OOM", "out of memory for the words of the command; it was not executed");
        batch->stage = batch->form == STROBE_JSON_LINES ? SKIP : TELL;
        break;
    case STROBE_JSON_BAD:
        assert(batch->form == STROBE_JSON_LINES); /* an array was checked */
        batch->commands++;
        strobe_reply_errorf(&batch->reply, "ERR", "byte %zu of the line: %s", strobe_json_words_fault_at(&batch->words),
                            batch->words.fault);
        batch->stage = SKIP;
        break;
    }
    return BATCH_AGAIN;
}

/* One step. Ends with DONE, REFUSED, BROKEN or WAIT, or when others shall have their turn. A pause that began meanwhile
 * holds the commands that are left. */
static enum batch_step work(struct batch *batch) {
    size_t budget = STEP_BYTES;
    unsigned commands = STEP_COMMANDS;
    enum batch_step step = BATCH_AGAIN;

    if (batch->job == NULL && hold_goes_on(batch->call.conn)) return BATCH_WAIT;
    strobe_map_tick(batch->call.map);
    while (step == BATCH_AGAIN && budget > 0 && commands > 0) {
        if (!strobe_resp_json_tell(&batch->told, TEXT_HIGH, STEP_BYTES)) {
            return strobe_out_status(&batch->text) == STROBE_BUF_OK ? BATCH_AGAIN : fail(batch, &batch->text);
        }
        if (batch->job != NULL) {
            commands = 0;
            step = run_job(batch);
            continue;
        }
        switch (batch->stage) {
        case CHECK: step = check(batch, &budget); break;
        case QUEUE: step = queue(batch, &budget, &commands); break;
        case RUN: step = run(batch, &budget, &commands); break;
        case SKIP:
            if (strobe_json_words_skip(&batch->words, &budget)) batch->stage = RUN;
            break;
        case TELL:
            strobe_resp_json_finish(&batch->told);
            batch->stage = DONE;
            break;
        case DONE: return strobe_out_status(&batch->text) == STROBE_BUF_OK ? BATCH_DONE : fail(batch, &batch->text);
        }
    }
    return step;
}

/* ---- the answer ------------------------------------------------------------------------------------------- */

static void write_head(struct batch *batch) {
    struct strobe_http_reply *reply = &batch->call.reply;

    reply->date = worker_http_date(batch->call.worker).data;
    strobe_http_reply_begin(reply, 200);
    strobe_http_reply_lines(reply, batch->form == STROBE_JSON_ARRAY
                                       ? STROBE_SLICE("Content-Type: application/json\r\n")
                                       : STROBE_SLICE("Content-Type: application/x-ndjson\r\n"));
    strobe_http_reply_lines(reply, STROBE_SLICE("X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"));
}

/* Sends what was told, if it is worth it. */
static void send_some(struct batch *batch) {
    struct strobe_http_reply *reply = &batch->call.reply;

    if (strobe_out_pending(&batch->text) < TEXT_HIGH) return;
    if (!batch->is_begun) {
        batch->is_begun = true;
        if (reply->is_http10) reply->keep_alive = false;
        write_head(batch);
        strobe_http_reply_chunked(reply);
    }
    strobe_http_reply_chunk_from(reply, &batch->text);
}

/* Writes the end of the answer that STEP stands for. */
static void finish(struct batch *batch, enum batch_step step) {
    struct strobe_http_reply *reply = &batch->call.reply;

    if (step == BATCH_REFUSED) {
        reply->date = worker_http_date(batch->call.worker).data;
        http_routes_refuse(&batch->call, batch->refusal);
    } else if (batch->is_begun) {
        strobe_http_reply_chunk_from(reply, &batch->text);
        strobe_http_reply_last_chunk(reply);
    } else {
        write_head(batch);
        strobe_http_reply_body_from(reply, &batch->text);
    }
}

/* ---- the job ---------------------------------------------------------------------------------------------- */

static enum conn_step batch_step(struct conn *conn, void *context) {
    struct batch *batch = context;
    enum batch_step step = work(batch);

    if (step == BATCH_AGAIN || step == BATCH_WAIT) {
        send_some(batch);
        return step == BATCH_AGAIN ? CONN_STEP_AGAIN : CONN_STEP_WAIT;
    }
    if (step == BATCH_BROKEN) {
        conn_why(conn, batch->why);
        return CONN_STEP_ABORT;
    }
    finish(batch, step);
    if (batch->call.reply.keep_alive) return CONN_STEP_DONE;
    conn_why(conn, CONN_REASON_HTTP_DONE);
    return CONN_STEP_CLOSE;
}

static void batch_free(struct batch *batch) {
    if (batch->job != NULL) batch->job->release(batch->job);
    session_fini(&batch->session);
    strobe_request_fini(&batch->request);
    strobe_out_fini(&batch->raw);
    strobe_out_fini(&batch->text);
    strobe_buf_fini(&batch->body);
    free(batch);
}

static void batch_drop(struct conn *conn, void *context) {
    conn_stall_timeout(conn, 0);
    batch_free(context);
}

static size_t batch_memory(const void *context) {
    const struct batch *batch = context;

    return sizeof *batch + batch->body.capacity + batch->request.capacity * sizeof *batch->request.args +
           strobe_out_memory(&batch->raw) + strobe_out_memory(&batch->text) + session_memory(&batch->session) +
           (batch->job != NULL ? batch->job->memory : 0);
}

/* Takes the body of CALL's request. NULL without memory. */
static struct batch *batch_new(struct http_call *call, bool is_atomic) {
    struct batch *batch = calloc(1, sizeof *batch);
    size_t max = call->reply.out->max;
    struct strobe_slice body;

    if (batch == NULL) return NULL;
    batch->call = *call;
    batch->call.request = NULL;
    batch->is_atomic = is_atomic;
    session_init(&batch->session, conn_client(call->conn));
    strobe_request_init(&batch->request);
    strobe_out_init(&batch->raw, call->reply.out->pool, max);
    strobe_out_init(&batch->text, call->reply.out->pool, TEXT_HIGH + TEXT_SLACK);
    strobe_resp_writer_init(&batch->reply, &batch->raw, STROBE_RESP2);
    batch->reply.texts = true;
    if (!strobe_http_request_take_body(call->request, &batch->body) || (is_atomic && !session_multi(&batch->session))) {
        batch_free(batch);
        return NULL;
    }
    body = strobe_buf_bytes(&batch->body);
    batch->form = strobe_json_form_of(body);
    batch->stage = is_atomic ? QUEUE : batch->form == STROBE_JSON_ARRAY ? CHECK : RUN;
    strobe_json_words_init(&batch->words, batch->body.data + batch->body.start, body.len, batch->form,
                           batch->stage == CHECK);
    strobe_resp_json_init(&batch->told, &batch->raw, &batch->text, batch->form);
    return batch;
}

/* Does the first step; if that is not all, a job does the others. */
static void start(struct http_call *call, struct batch *batch) {
    enum batch_step step = work(batch);

    call->was_long = true;
    if (step == BATCH_DONE || step == BATCH_REFUSED) {
        finish(batch, step);
        call->reply = batch->call.reply;
        batch_free(batch);
        return;
    }
    if (step == BATCH_AGAIN || step == BATCH_WAIT) send_some(batch);
    call->reply.status = 200;
    call->has_job = true;
    conn_stall_timeout(call->conn, worker_config(call->worker)->scan_idle_timeout);
    conn_work(call->conn,
              &(struct conn_job){.step = batch_step, .drop = batch_drop, .memory = batch_memory, .context = batch});
}

void http_batch_post(struct http_call *call) {
    bool is_atomic;
    struct strobe_http_refusal refused = plan_batch(call->request, &is_atomic);
    struct batch *batch;

    if (refused.status == 0 && call->request->body.len == 0) {
        refused = http_refusal(400, "A batch has its commands in the body: [\"SET\",\"k\",\"v\"] on a line each, or an "
                                    "array of such arrays.");
    }
    if (refused.status != 0) {
        http_routes_refuse(call, refused);
        return;
    }
    batch = batch_new(call, is_atomic);
    if (batch == NULL) {
        http_routes_refuse(call, http_no_memory);
    } else {
        start(call, batch);
    }
}
