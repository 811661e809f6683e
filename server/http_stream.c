/* http_stream.c - a snapshot as NDJSON: one JSON object a line, as fast as the peer reads, and no faster.
 *
 *      step -> [rest of a large value] or [a slice of the snapshot -> lines] -> one chunk -> conn_out
 *                                                                    end -> {"done":true,"count":N}
 *
 * A job of the connection (conn.h): its steps come when the replies are below the low-water mark, so a stalled reader
 * stalls the stream, and after scan-idle-timeout the connection is cut, without the closing line, like an idle scan.
 * A reader that accepts gzip gets it (gzip.c), flushed at each step, so that it sees the lines at the same pace.
 * Always: no more than LINES_HIGH bytes and one line are made in a step. A value that lies in a blob is not turned into
 * JSON at once: the line is left open, the blob is shared, and its text follows in pieces; whether it is UTF-8 is found
 * out before, in pieces too. So memory does not depend on how much there is to tell.
 * On failure (no memory that stays so, the snapshot was closed to give its memory back) the stream is cut.
 * Not here: pages (http_list.c), what a snapshot is (map/).
 */
#include "server/http_stream.h"

#include <stdlib.h>

#include "protocol/buf.h"
#include "protocol/glob.h"
#include "server/config.h"
#include "server/conn.h"
#include "server/gzip.h"
#include "server/http_kv.h"
#include "server/metrics.h"
#include "server/services.h"
#include "server/worker.h"

enum {
    LINES_HIGH = 49152,    /* a step ends when so many bytes of lines are made */
    PACKED_HIGH = 16384,   /* the same when they are compressed, which takes three times as long */
    LINES_MAX = 2 << 20,   /* a key and a small value of nothing but escapes fit twice */
    STEP_PLACES = 4096,    /* of the map looked at in a step */
    STEP_GLOB = 1 << 18,   /* steps of matching in a step, at their worst */
    CHECK_PIECE = 262144,  /* bytes of a blob looked at for UTF-8 in a step */
    TEXT_PIECE = 3 * 8192, /* bytes of a blob turned into JSON in a step */
    FAILURES_MAX = 100     /* steps in a row that found no memory */
};

/* Where the value of a line that was left open stands. */
enum stream_value { VALUE_NONE, VALUE_CHECKED, VALUE_WRITTEN };

struct stream {
    struct http_list_query query; /* its memory is ours */
    struct strobe_http_reply reply;
    struct services *services;
    struct metrics_slot *metrics;
    struct strobe_snapshot *snapshot; /* owned */
    struct strobe_position position;
    struct strobe_out lines; /* made, not yet a chunk */
    struct strobe_json json; /* writes into lines */
    struct gzip *gzip;       /* owned; NULL: the reader did not ask for it */
    struct strobe_out packed;
    size_t high;       /* bytes of lines that end a step */
    uint64_t count;    /* lines with an entry */
    size_t glob_steps; /* in this step */
    unsigned failures;
    bool is_done;

    enum stream_value value;
    struct strobe_blob *blob; /* a share of the value under way */
    const char *bytes;        /* of it, LEN */
    size_t len;
    size_t at; /* bytes of it checked, or written */
    bool is_utf8;
    uint64_t version, expiry; /* of its entry */
};

void http_stream_facts(struct strobe_json *json, uint64_t version, uint64_t expiry, uint64_t now) {
    strobe_json_name(json, "version");
    strobe_json_version(json, version);
    strobe_json_name(json, "ttl");
    if (expiry == 0) {
        strobe_json_null(json);
    } else {
        strobe_json_u64(json, expiry > now ? http_kv_ttl(expiry, now) : 0);
    }
}

/* ---- lines -------------------------------------------------------------------------------------------------- */

static void end_line(struct stream *stream) {
    strobe_json_object_end(&stream->json);
    strobe_json_newline(&stream->json);
    stream->count++;
}

static void end_value(struct stream *stream, uint64_t version, uint64_t expiry) {
    http_stream_facts(&stream->json, version, expiry, strobe_snapshot_time(stream->snapshot));
    end_line(stream);
}

/* Is the entry of KEY asked for? */
static bool is_wanted(struct stream *stream, struct strobe_slice key) {
    const struct http_list_query *query = &stream->query;

    if (key.len < query->prefix.len ||
        (query->prefix.len != 0 && memcmp(key.data, query->prefix.data, query->prefix.len) != 0)) {
        return false;
    }
    if (!query->has_match) return true;
    stream->glob_steps += strobe_glob_steps(query->match, key);
    return strobe_glob_match(query->match, key);
}

/* Leaves the line open behind its key; the value follows in later steps. */
static void open_value(struct stream *stream, const struct strobe_entry *entry, struct strobe_blob *blob) {
    stream->value = VALUE_CHECKED;
    stream->blob = strobe_blob_share(blob);
    stream->bytes = strobe_entry_value(entry, &stream->len);
    stream->at = 0;
    stream->is_utf8 = true;
    stream->version = strobe_entry_version(entry);
    stream->expiry = strobe_entry_expiry(entry);
}

/* Visitor of the snapshot: makes the entry's line, or refuses it when there is no memory for it now. */
static enum strobe_visit take(void *context, const struct strobe_entry *entry) {
    struct stream *stream = context;
    struct strobe_out_mark before = strobe_out_mark(&stream->lines);
    struct strobe_json *json = &stream->json;
    struct strobe_blob *blob = stream->query.values ? strobe_entry_blob(entry) : NULL;
    size_t len;
    const char *bytes = strobe_entry_key(entry, &len);

    if (!is_wanted(stream, strobe_slice_make(bytes, len))) {
        return stream->glob_steps > STEP_GLOB ? STROBE_VISIT_STOP : STROBE_VISIT_NEXT;
    }
    strobe_json_init(json, &stream->lines);
    strobe_json_object_begin(json);
    strobe_json_name(json, "key");
    strobe_json_string(json, strobe_slice_make(bytes, len));
    if (stream->query.values && blob == NULL) {
        bytes = strobe_entry_value(entry, &len);
        strobe_json_name(json, "value");
        strobe_json_string(json, strobe_slice_make(bytes, len));
        end_value(stream, strobe_entry_version(entry), strobe_entry_expiry(entry));
    } else if (blob == NULL) {
        end_line(stream);
    }
    if (strobe_out_status(&stream->lines) != STROBE_BUF_OK) {
        strobe_out_rewind(&stream->lines, before);
        stream->count -= blob == NULL;
        return STROBE_VISIT_REFUSE;
    }
    if (blob != NULL) {
        open_value(stream, entry, blob);
        return STROBE_VISIT_STOP;
    }
    if (stream->glob_steps > STEP_GLOB) return STROBE_VISIT_STOP;
    return strobe_out_pending(&stream->lines) >= stream->high ? STROBE_VISIT_STOP : STROBE_VISIT_NEXT;
}

/* ---- large values ------------------------------------------------------------------------------------------- */

/* The next piece of the blob, of at most MAX bytes. */
static struct strobe_slice next_piece(const struct stream *stream, size_t max) {
    size_t len = stream->len - stream->at;

    return strobe_slice_make(stream->bytes + stream->at, len < max ? len : max);
}

static bool is_last(const struct stream *stream, struct strobe_slice piece) {
    return stream->at + piece.len == stream->len;
}

/* Looks at the next piece of the blob: is it UTF-8 still? When that is known of all of it, writing begins. */
static void check_value(struct stream *stream) {
    struct strobe_slice piece = next_piece(stream, CHECK_PIECE);
    bool is_end = is_last(stream, piece);
    size_t valid = strobe_utf8_valid(piece);

    /* The last character of a piece may be cut; it is looked at again at the start of the next. */
    stream->is_utf8 = valid == piece.len || (!is_end && piece.len - valid < 4);
    stream->at += valid;
    if (is_end || !stream->is_utf8) {
        stream->value = VALUE_WRITTEN;
        stream->at = 0;
        strobe_json_name(&stream->json, "value");
        strobe_json_pieces_begin(&stream->json, stream->is_utf8);
    }
}

/* Writes the next piece of the blob, and behind the last the rest of the line. */
static void write_value(struct stream *stream) {
    struct strobe_slice piece = next_piece(stream, TEXT_PIECE);
    bool is_end = is_last(stream, piece);

    if (stream->is_utf8) piece.len = strobe_utf8_valid(piece);
    strobe_json_piece(&stream->json, stream->is_utf8, piece);
    stream->at += piece.len;
    if (is_end) {
        strobe_json_pieces_end(&stream->json, stream->is_utf8);
        end_value(stream, stream->version, stream->expiry);
        strobe_blob_release(stream->blob);
        stream->blob = NULL;
        stream->value = VALUE_NONE;
    }
}

/* ---- the job ------------------------------------------------------------------------------------------------ */

/* Sends the lines that were made. */
static void send_lines(struct stream *stream, bool is_end) {
    if (stream->gzip == NULL) {
        strobe_http_reply_chunk_from(&stream->reply, &stream->lines);
    } else if (is_end || strobe_out_pending(&stream->lines) > 0) {
        gzip_pack(stream->gzip, &stream->lines, &stream->packed, is_end);
        strobe_http_reply_chunk_from(&stream->reply, &stream->packed);
    }
}

/* The last line, the end of the body, and what becomes of the connection. */
static enum conn_step finish(struct conn *conn, struct stream *stream) {
    struct strobe_json *json = &stream->json;

    strobe_json_init(json, &stream->lines);
    strobe_json_object_begin(json);
    strobe_json_name(json, "done");
    strobe_json_bool(json, true);
    strobe_json_name(json, "count");
    strobe_json_u64(json, stream->count);
    strobe_json_object_end(json);
    strobe_json_newline(json);
    if (strobe_out_status(&stream->lines) != STROBE_BUF_OK) {
        conn_why(conn, CONN_REASON_NO_MEMORY);
        return CONN_STEP_ABORT;
    }
    send_lines(stream, true);
    strobe_http_reply_last_chunk(&stream->reply);
    stream->is_done = true;
    if (stream->reply.keep_alive) return CONN_STEP_DONE;
    conn_why(conn, CONN_REASON_HTTP_DONE);
    return CONN_STEP_CLOSE;
}

/* Nothing could be made for lack of memory: tries again some times, then cuts the stream. */
static enum conn_step fail(struct conn *conn, struct stream *stream) {
    if (++stream->failures < FAILURES_MAX) return CONN_STEP_AGAIN;
    conn_why(conn, CONN_REASON_NO_MEMORY);
    return CONN_STEP_ABORT;
}

/* A slice of the snapshot. Results: STROBE_OK, or as strobe_snapshot_read. */
static enum strobe_status read_entries(struct stream *stream) {
    enum strobe_status status;

    stream->glob_steps = 0;
    status = strobe_snapshot_read(stream->snapshot, &stream->position, NULL, STEP_PLACES, take, stream);
    if (status == STROBE_OK) strobe_snapshot_forget(stream->snapshot, &stream->position);
    return status;
}

static enum conn_step stream_step(struct conn *conn, void *context) {
    struct stream *stream = context;
    struct strobe_position before = stream->position;
    enum strobe_status status = STROBE_OK;

    if (stream->value == VALUE_CHECKED) {
        check_value(stream);
    } else if (stream->value == VALUE_WRITTEN) {
        write_value(stream);
    } else {
        status = read_entries(stream);
    }
    if (status == STROBE_CLOSED) {
        conn_why(conn, CONN_REASON_FAILED);
        return CONN_STEP_ABORT;
    }
    if (strobe_out_status(&stream->lines) != STROBE_BUF_OK) {
        conn_why(conn, CONN_REASON_NO_MEMORY);
        return CONN_STEP_ABORT;
    }
    if (stream->value == VALUE_NONE && stream->position.end && status == STROBE_OK) return finish(conn, stream);
    if (strobe_out_pending(&stream->lines) == 0 && stream->value == VALUE_NONE &&
        memcmp(&before, &stream->position, sizeof before) == 0) {
        return fail(conn, stream);
    }
    stream->failures = 0;
    send_lines(stream, false);
    return CONN_STEP_AGAIN;
}

static void stream_drop(struct conn *conn, void *context) {
    struct stream *stream = context;

    conn_stall_timeout(conn, 0);
    if (!stream->is_done) metrics_count(stream->metrics, METRICS_STREAMS_CUT, 1);
    if (stream->blob != NULL) strobe_blob_release(stream->blob);
    services_close_snapshot(stream->services, stream->snapshot);
    strobe_out_fini(&stream->lines);
    strobe_out_fini(&stream->packed);
    gzip_free(stream->gzip);
    free(stream->query.memory);
    free(stream);
}

static size_t stream_memory(const void *context) {
    const struct stream *stream = context;

    return sizeof *stream + strobe_out_memory(&stream->lines) + (stream->gzip != NULL ? gzip_memory() : 0);
}

static bool wants_gzip(const struct http_call *call) {
    return strobe_http_request_accepts(call->request, STROBE_HTTP_FIELD_ACCEPT_ENCODING, "gzip");
}

static void begin_reply(struct http_call *call) {
    if (call->reply.is_http10) call->reply.keep_alive = false;
    strobe_http_reply_begin(&call->reply, 200);
    strobe_http_reply_lines(&call->reply, STROBE_SLICE("Content-Type: application/x-ndjson\r\n"
                                                       "X-Content-Type-Options: nosniff\r\n"
                                                       "Cache-Control: no-cache\r\n"
                                                       "Vary: Accept, Accept-Encoding\r\n"));
    if (wants_gzip(call)) strobe_http_reply_lines(&call->reply, STROBE_SLICE("Content-Encoding: gzip\r\n"));
    strobe_http_reply_chunked(&call->reply);
}

void http_stream_start(struct http_call *call, struct http_list_query *query) {
    struct stream *stream;
    enum strobe_status status;

    if (call->reply.is_head) {
        begin_reply(call);
        return;
    }
    stream = calloc(1, sizeof *stream);
    if (stream != NULL && wants_gzip(call)) stream->gzip = gzip_new();
    if (stream == NULL || (stream->gzip == NULL && wants_gzip(call))) {
        status = STROBE_NO_MEMORY;
    } else {
        status = strobe_snapshot_open(call->map, false, &stream->snapshot);
    }
    if (status != STROBE_OK) {
        if (stream != NULL) gzip_free(stream->gzip);
        free(stream);
        http_routes_refuse(call, http_no_snapshot(status));
        return;
    }
    begin_reply(call);
    stream->query = *query;
    query->memory = NULL;
    stream->reply = call->reply;
    stream->services = worker_services(call->worker);
    stream->metrics = call->metrics;
    strobe_out_init(&stream->lines, call->reply.out->pool, LINES_MAX);
    strobe_out_init(&stream->packed, call->reply.out->pool, LINES_MAX);
    stream->high = stream->gzip != NULL ? PACKED_HIGH : LINES_HIGH;
    metrics_count(stream->metrics, METRICS_STREAMS, 1);
    call->has_job = true;
    conn_stall_timeout(call->conn, worker_config(call->worker)->scan_idle_timeout);
    conn_work(call->conn,
              &(struct conn_job){.step = stream_step, .drop = stream_drop, .memory = stream_memory, .context = stream});
}
