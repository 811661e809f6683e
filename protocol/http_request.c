/* http_request.c - puts a request together: the guard lets a head through, http-parser splits it and counts the body.
 *
 *      stage    HEAD ---> SEEN --accept--> BODY ---> WHOLE --next--> HEAD
 *                 \__________\_______________\_________ BAD     \--> CLOSED (after Connection: close)
 *
 * A head that says nothing of a body and has an ordinary target (most GETs) is not shown to http-parser: nothing in it
 * says where the next request begins, so the two cannot see different requests, and its fields are read from the lines
 * that the guard has passed. Fields that are those of the connection's last request, word for word, are not read again:
 * http-parser goes on from where it stood behind them. The tests read every head both ways (limits.parse_all).
 *
 * Always: http-parser is given a head in one piece, so a name or a value is whole when it is used; it is given only
 * bytes that the guard has passed, so that the two must agree, and a request on which they do not is refused. Places in
 * the head are kept as offsets, so that the head can move from the caller's buffer to ours when the body is late.
 * A body that lies in one piece in the caller's buffer is borrowed; else it is gathered, each byte copied once but for
 * the buffer's growing. Trailers are checked and dropped: http-parser sees a body without any.
 * On failure: lack of memory is a refusal with 503 like any other, and the connection goes.
 * Not here: what a path or a field means (server/), and closing (server/). */
#include "protocol/http_request.h"

#include <assert.h>
#include <http_parser.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/limits.h"

enum { HEAD_STEP = 1024 };    /* bytes copied at a time while the end of a cut head is looked for */
enum { PARSER_SLACK = 1024 }; /* what http-parser's limit is larger than the guard's */

enum stage { HEAD, SEEN, BODY, WHOLE, CLOSED, BROKEN };

struct strobe_http_parts {
    struct strobe_http_limits limits;
    struct strobe_http_guard guard;
    struct http_parser parser;
    enum stage stage;

    const char *head; /* in the caller's buffer or in head_copy */
    size_t head_len;
    struct strobe_buf head_copy;
    struct strobe_http_memo memo; /* what `fields`, `repeated` and `open` hold is of its bytes, if it has any */
    struct strobe_http_span fields[STROBE_HTTP_FIELD_COUNT]; /* AT counts from guard.fields_from on; 0: not there */
    uint32_t repeated;                                       /* bit f: field f came more than once */
    bool open;                                               /* the connection may serve another request */
    struct http_parser behind;                               /* as it stood behind them, if they announce a body */
    enum strobe_http_field naming;                           /* the name that waits for its value */
    bool named;                                              /* a name waits */
    bool twice;                                              /* a singleton came again */

    struct strobe_http_chunks chunks;
    uint64_t left;             /* bytes of a body of known length that have not come */
    struct strobe_slice piece; /* of the body, borrowed from the caller's buffer; before it body_copy is empty */
    struct strobe_buf body_copy;
    strobe_http_take *take; /* who gets the body instead, or NULL */
    size_t take_from;
    bool is_taking;
    void *context;
    bool discard;
    bool no_memory;
    bool complete; /* http-parser has seen the end of the message */
};

const char strobe_http_disagreement[] = "The request could not be read.";

struct known_field {
    const char *name;
    uint8_t len;
    bool singleton;
};

static const struct known_field known_fields[] = {
#define KNOWN(name, text, singleton) {text, sizeof(text) - 1, singleton},
    STROBE_HTTP_FIELDS(KNOWN)
#undef KNOWN
};

static_assert(STROBE_HTTP_FIELD_COUNT <= 32, "a bit of `repeated` for each field");

/* ---- what http-parser says ---------------------------------------------------------------------- */

/* The list is in order of length, so a name is compared with two or three at most. */
static enum strobe_http_field field_of(struct strobe_slice name) {
    static const uint8_t first[] = {
        [3] = STROBE_HTTP_FIELD_TTL,
        [4] = STROBE_HTTP_FIELD_HOST,
        [5] = STROBE_HTTP_FIELD_RANGE,
        [6] = STROBE_HTTP_FIELD_ACCEPT,
        [8] = STROBE_HTTP_FIELD_IF_MATCH,
        [10] = STROBE_HTTP_FIELD_CONNECTION,
        [12] = STROBE_HTTP_FIELD_CONTENT_TYPE,
        [13] = STROBE_HTTP_FIELD_AUTHORIZATION,
        [14] = STROBE_HTTP_FIELD_SEC_FETCH_MODE,
        [15] = STROBE_HTTP_FIELD_ACCEPT_ENCODING,
        [16] = STROBE_HTTP_FIELD_CONTENT_ENCODING,
        [29] = STROBE_HTTP_FIELD_ACCESS_CONTROL_REQUEST_METHOD,
        [30] = STROBE_HTTP_FIELD_ACCESS_CONTROL_REQUEST_HEADERS,
    };

    if (name.len >= sizeof(first)) return STROBE_HTTP_FIELD_OTHER;
    for (unsigned f = first[name.len]; f < STROBE_HTTP_FIELD_COUNT && known_fields[f].len == name.len; f++) {
        if (strobe_http_text_is(name, known_fields[f].name)) return (enum strobe_http_field)f;
    }
    return STROBE_HTTP_FIELD_OTHER;
}

static int on_url(struct http_parser *parser, const char *at, size_t len) {
    struct strobe_http_parts *parts = parser->data;

    return at != parts->head + parts->guard.target.at || len != parts->guard.target.len;
}

/* http-parser takes a longer NAME that begins with Transfer-Encoding for that field: it forgets the coding that it has
 * read, and then misses one. So in a head with such a name last, the guard's word for the coding is the only one. */
static void forgive_name(struct http_parser *parser, struct strobe_slice name) {
    const struct strobe_http_parts *parts = parser->data;
    struct strobe_slice coding = STROBE_SLICE("transfer-encoding");

    if (name.len <= coding.len || !strobe_slice_starts_nocase(name, coding)) return;
    parser->uses_transfer_encoding = parts->guard.chunked;
    if (parts->guard.chunked) parser->flags |= F_CHUNKED;
}

static int on_header_field(struct http_parser *parser, const char *at, size_t len) {
    struct strobe_http_parts *parts = parser->data;
    struct strobe_slice name = strobe_slice_make(at, len);

    if (parts->named) return 1;
    parts->named = true;
    parts->naming = field_of(name);
    forgive_name(parser, name);
    return 0;
}

/* VALUE, without white space around, is that of a FIELD. */
static void note_field(struct strobe_http_parts *parts, enum strobe_http_field field, struct strobe_http_span value) {
    if (field == STROBE_HTTP_FIELD_OTHER) return;
    if (parts->fields[field].at != 0) {
        parts->repeated |= 1u << field;
        parts->twice = parts->twice || known_fields[field].singleton;
        return;
    }
    parts->fields[field] = (struct strobe_http_span){value.at - parts->guard.fields_from, value.len};
}

static int on_header_value(struct http_parser *parser, const char *at, size_t len) {
    struct strobe_http_parts *parts = parser->data;

    if (!parts->named) return 1;
    parts->named = false;
    while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t')) len--;
    note_field(parts, parts->naming, (struct strobe_http_span){(uint32_t)(at - parts->head), (uint32_t)len});
    return 0;
}

static int on_headers_complete(struct http_parser *parser) {
    const struct strobe_http_parts *parts = parser->data;
    const struct strobe_http_guard *guard = &parts->guard;
    bool has_length = (parser->flags & F_CONTENTLENGTH) != 0;
    bool chunked = (parser->flags & F_CHUNKED) != 0;

    parser->upgrade = 0; /* SPEC 6: Upgrade is ignored, and a refused CONNECT is a request like others */
    if (parts->named || parser->http_major != 1 || parser->http_minor != guard->minor) return -1;
    if (strcmp(http_method_str((enum http_method)parser->method), strobe_http_method_name(guard->method)) != 0)
        return -1;
    if (has_length != guard->has_length || (has_length && parser->content_length != guard->content_length)) return -1;
    return chunked == guard->chunked ? 0 : -1;
}

/* Moves the piece that is still the caller's into our buffer. */
static bool keep_piece(struct strobe_http_parts *parts) {
    struct strobe_slice piece = parts->piece;

    parts->piece = strobe_slice_make(NULL, 0);
    if (piece.len == 0) return true;
    /* Only as good as the bytes that came: expect() does not believe what was announced. */
    if (strobe_buf_expect(&parts->body_copy, piece.len + parts->left) == STROBE_BUF_NO_MEMORY) return false;
    return strobe_buf_append(&parts->body_copy, piece) == STROBE_BUF_OK;
}

/* The body is long enough to be taken: what was gathered of it goes first. */
static bool hand_over(struct strobe_http_parts *parts) {
    struct strobe_slice held = strobe_buf_bytes(&parts->body_copy), piece = parts->piece;
    bool is_taken =
        (held.len == 0 || parts->take(parts->context, held)) && (piece.len == 0 || parts->take(parts->context, piece));

    parts->is_taking = true;
    parts->piece = strobe_slice_make(NULL, 0);
    strobe_buf_consume(&parts->body_copy, held.len);
    strobe_buf_trim(&parts->body_copy);
    return is_taken;
}

static int on_body(struct http_parser *parser, const char *at, size_t len) {
    struct strobe_http_parts *parts = parser->data;
    size_t gathered = strobe_buf_len(&parts->body_copy) + parts->piece.len;
    bool first = gathered == 0;

    if (parts->discard) return 0;
    if (parts->take != NULL && !parts->is_taking && gathered + len >= parts->take_from) {
        parts->no_memory = !hand_over(parts);
        if (parts->no_memory) return 1;
    }
    if (parts->take != NULL && parts->is_taking) {
        parts->no_memory = !parts->take(parts->context, strobe_slice_make(at, len));
        return parts->no_memory;
    }
    if (!first && (parts->piece.len == 0 || parts->piece.data + parts->piece.len != at)) {
        parts->no_memory = !keep_piece(parts);
        if (parts->no_memory) return 1;
        if (strobe_buf_append(&parts->body_copy, strobe_slice_make(at, len)) == STROBE_BUF_OK) return 0;
        parts->no_memory = true;
        return 1;
    }
    if (first) parts->piece.data = at;
    parts->piece.len += len;
    return 0;
}

static int on_message_complete(struct http_parser *parser) {
    struct strobe_http_parts *parts = parser->data;

    parts->complete = true;
    return 0;
}

static const struct http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- results ------------------------------------------------------------------------------------ */

static enum strobe_http_step refuse(struct strobe_http_request *request, int status, const char *detail) {
    request->refusal = (struct strobe_http_refusal){.status = status, .detail = detail};
    request->keep_alive = false;
    request->inside->stage = BROKEN;
    return STROBE_HTTP_BAD;
}

static enum strobe_http_step refuse_memory(struct strobe_http_request *request) {
    return refuse(request, 503, "The server is out of memory for this request; try again later or send less.");
}

/* Gives http-parser bytes that the guard has passed. */
static bool parse(struct strobe_http_parts *parts, const char *data, size_t len) {
    return len == 0 || (http_parser_execute(&parts->parser, &settings, data, len) == len &&
                        HTTP_PARSER_ERRNO(&parts->parser) == HPE_OK);
}

static enum strobe_http_step refuse_parse(struct strobe_http_request *request) {
    return request->inside->no_memory ? refuse_memory(request) : refuse(request, 400, strobe_http_disagreement);
}

static struct strobe_slice slice_of(const struct strobe_http_parts *parts, struct strobe_http_span span) {
    return strobe_slice_make(parts->head + span.at, span.len);
}

/* Points the request's slices to where the head is now. */
static void publish(struct strobe_http_request *request) {
    const struct strobe_http_parts *parts = request->inside;
    const struct strobe_http_guard *guard = &parts->guard;
    bool elsewhere = guard->form == STROBE_HTTP_FORM_ABSOLUTE || guard->form == STROBE_HTTP_FORM_AUTHORITY;

    request->target = slice_of(parts, guard->target);
    request->path = slice_of(parts, guard->path);
    if (guard->form == STROBE_HTTP_FORM_ABSOLUTE && guard->path.len == 0) request->path = STROBE_SLICE("/");
    request->query = slice_of(parts, guard->query);
    request->authority = slice_of(parts, elsewhere ? guard->authority : guard->host);
}

/* Makes the head ours, before the caller's buffer goes. */
static bool keep_head(struct strobe_http_request *request) {
    struct strobe_http_parts *parts = request->inside;

    if (strobe_buf_len(&parts->head_copy) != 0) return true;
    if (strobe_buf_append(&parts->head_copy, strobe_slice_make(parts->head, parts->head_len)) != STROBE_BUF_OK) {
        return false;
    }
    parts->head = strobe_buf_bytes(&parts->head_copy).data;
    publish(request);
    return true;
}

/* ---- the head ----------------------------------------------------------------------------------- */

static bool stays_open(const struct strobe_http_request *request) {
    if (strobe_http_request_has(request, STROBE_HTTP_FIELD_CONNECTION, "close")) return false;
    return request->minor == 1 || strobe_http_request_has(request, STROBE_HTTP_FIELD_CONNECTION, "keep-alive");
}

/* Is there anything in the head that http-parser might see differently? */
static bool needs_parser(const struct strobe_http_guard *guard) {
    return guard->has_length || guard->has_coding || guard->form != STROBE_HTTP_FORM_ORIGIN || guard->limits.parse_all;
}

/* What http-parser would tell of a head without a body. */
static void read_fields(struct strobe_http_parts *parts) {
    size_t at = parts->guard.fields_from;
    struct strobe_http_span name, value;

    while (strobe_http_guard_next_field(parts->head, parts->head_len, &at, &name, &value)) {
        note_field(parts, field_of(slice_of(parts, name)), value);
    }
}

static void read_line(struct strobe_http_request *request) {
    const struct strobe_http_guard *guard = &request->inside->guard;

    request->method = guard->method;
    request->form = guard->form;
    request->minor = guard->fields_from == 0 ? 1 : guard->minor;
}

/* Reads the head that the guard has passed, with http-parser or without. Results: HEAD, or BAD. */
static enum strobe_http_step read_head(struct strobe_http_request *request, bool by_parser) {
    struct strobe_http_parts *parts = request->inside;
    const struct strobe_http_guard *guard = &parts->guard;

    memset(parts->fields, 0, sizeof(parts->fields));
    parts->repeated = 0;
    if (by_parser) {
        http_parser_init(&parts->parser, HTTP_REQUEST);
        parts->parser.data = parts;
        if (!parse(parts, parts->head + guard->start, parts->head_len - guard->start)) return refuse_parse(request);
    } else {
        read_fields(parts);
    }
    if (parts->twice) return refuse(request, 400, "A header field that has one value was sent twice; send it once.");
    parts->open = stays_open(request);
    if (!guard->limits.parse_all) strobe_http_guard_remember(guard, parts->head, &parts->memo);
    if (by_parser) parts->behind = parts->parser;
    return STROBE_HTTP_HEAD;
}

/* The head of HEAD_LEN bytes at HEAD has passed the guard. */
static enum strobe_http_step begin(struct strobe_http_request *request, const char *head, size_t head_len) {
    struct strobe_http_parts *parts = request->inside;
    const struct strobe_http_guard *guard = &parts->guard;
    bool by_parser = needs_parser(guard);

    parts->head = head;
    parts->head_len = head_len;
    parts->complete = !by_parser;
    read_line(request);
    if (!guard->repeats || (by_parser && guard->form != STROBE_HTTP_FORM_ORIGIN)) {
        if (read_head(request, by_parser) == STROBE_HTTP_BAD) return STROBE_HTTP_BAD;
    } else if (by_parser) { /* it announces a body as the one before: the parser stands where it stood then */
        parts->parser = parts->behind;
        parts->complete = guard->content_length == 0;
    }
    request->content_length = guard->content_length;
    request->has_query = guard->has_query;
    request->chunked = guard->chunked;
    request->has_length = guard->chunked || guard->has_length;
    request->has_body = guard->chunked || guard->content_length > 0;
    publish(request);
    parts->stage = SEEN;
    request->keep_alive = parts->open;
    return STROBE_HTTP_HEAD;
}

static enum strobe_http_step check_head(struct strobe_http_request *request, const char *head, size_t len,
                                        size_t *head_len) {
    switch (strobe_http_guard_check(&request->inside->guard, head, len, head_len)) {
    case STROBE_PARSE_MORE: return STROBE_HTTP_MORE;
    case STROBE_PARSE_DONE: return begin(request, head, *head_len);
    case STROBE_PARSE_BAD: break;
    }
    read_line(request);
    return refuse(request, request->inside->guard.refusal.status, request->inside->guard.refusal.detail);
}

/* The head has begun in an earlier feed: a little is copied at a time, so that little of what follows it is. */
static enum strobe_http_step resume_head(struct strobe_http_request *request, const char *data, size_t len,
                                         size_t *used) {
    struct strobe_http_parts *parts = request->inside;
    size_t before = strobe_buf_len(&parts->head_copy);
    enum strobe_http_step step = STROBE_HTTP_MORE;
    size_t copied = 0, head_len = 0;

    while (step == STROBE_HTTP_MORE && copied < len) {
        size_t piece = len - copied < HEAD_STEP ? len - copied : HEAD_STEP;
        struct strobe_slice held;

        if (strobe_buf_append(&parts->head_copy, strobe_slice_make(data + copied, piece)) != STROBE_BUF_OK) {
            return refuse_memory(request);
        }
        copied += piece;
        held = strobe_buf_bytes(&parts->head_copy);
        step = check_head(request, held.data, held.len, &head_len);
    }
    *used = step == STROBE_HTTP_HEAD ? head_len - before : copied;
    return step;
}

static enum strobe_http_step feed_head(struct strobe_http_request *request, const char *data, size_t len,
                                       size_t *used) {
    struct strobe_http_parts *parts = request->inside;
    enum strobe_http_step step;

    if (strobe_buf_len(&parts->head_copy) > 0) return resume_head(request, data, len, used);
    if (len == 0) return STROBE_HTTP_MORE;
    step = check_head(request, data, len, used);
    if (step != STROBE_HTTP_MORE) return step;
    *used = len;
    return strobe_buf_append(&parts->head_copy, strobe_slice_make(data, len)) == STROBE_BUF_OK ? step
                                                                                               : refuse_memory(request);
}

/* ---- the body ----------------------------------------------------------------------------------- */

static enum strobe_http_step finish(struct strobe_http_request *request) {
    struct strobe_http_parts *parts = request->inside;

    if (!parts->complete) return refuse_parse(request);
    if (strobe_buf_len(&parts->body_copy) > 0) {
        if (!keep_piece(parts)) return refuse_memory(request);
        request->body = strobe_buf_bytes(&parts->body_copy);
    } else {
        request->body = parts->piece;
    }
    parts->stage = WHOLE;
    return STROBE_HTTP_DONE;
}

static enum strobe_http_step feed_chunks(struct strobe_http_request *request, const char *data, size_t len,
                                         size_t *used) {
    static const char no_trailers[] = "\r\n";
    struct strobe_http_parts *parts = request->inside;
    size_t framed = 0;
    enum strobe_parse found = strobe_http_chunks_check(&parts->chunks, data, len, used, &framed);

    if (found == STROBE_PARSE_BAD) return refuse(request, parts->chunks.refusal.status, parts->chunks.refusal.detail);
    if (!parse(parts, data, framed)) return refuse_parse(request);
    if (found == STROBE_PARSE_MORE) return STROBE_HTTP_MORE;
    return parse(parts, no_trailers, 2) ? finish(request) : refuse_parse(request);
}

static enum strobe_http_step feed_counted(struct strobe_http_request *request, const char *data, size_t len,
                                          size_t *used) {
    struct strobe_http_parts *parts = request->inside;

    *used = len < parts->left ? len : (size_t)parts->left;
    parts->left -= *used;
    if (!parse(parts, data, *used)) return refuse_parse(request);
    return parts->left == 0 ? finish(request) : STROBE_HTTP_MORE;
}

static enum strobe_http_step feed_body(struct strobe_http_request *request, const char *data, size_t len,
                                       size_t *used) {
    struct strobe_http_parts *parts = request->inside;
    enum strobe_http_step step =
        request->chunked ? feed_chunks(request, data, len, used) : feed_counted(request, data, len, used);

    if (step != STROBE_HTTP_MORE) return step;
    return keep_head(request) && keep_piece(parts) ? step : refuse_memory(request);
}

enum strobe_http_step strobe_http_request_feed(struct strobe_http_request *request, const char *data, size_t len,
                                               size_t *used) {
    *used = 0;
    assert(request->inside->stage != SEEN && request->inside->stage != WHOLE); /* accept() and next() come between */
    switch (request->inside->stage) {
    case HEAD: return feed_head(request, data, len, used);
    case BODY: return feed_body(request, data, len, used);
    case CLOSED: return refuse(request, 400, "Nothing may follow a request with Connection: close.");
    case BROKEN: return STROBE_HTTP_BAD;
    case SEEN:
    case WHOLE: break;
    }
    return STROBE_HTTP_BAD; /* not reached: see the assertion */
}

/* ---- its life ----------------------------------------------------------------------------------- */

/* Ready for a head. Memory of the last request has been given back. */
static void start(struct strobe_http_request *request) {
    struct strobe_http_parts *parts = request->inside;

    *request = (struct strobe_http_request){.minor = 1, .inside = parts};
    parts->stage = HEAD;
    parts->head = NULL;
    parts->head_len = 0;
    parts->named = parts->twice = parts->discard = parts->no_memory = parts->complete = false;
    parts->take = NULL;
    parts->is_taking = false;
    parts->context = NULL;
    parts->left = 0;
    parts->piece = strobe_slice_make(NULL, 0);
    strobe_http_guard_init(&parts->guard, &parts->limits, &parts->memo);
}

void strobe_http_request_setup(uint32_t max_target) {
    size_t target = max_target == 0 ? STROBE_HTTP_TARGET_MAX : max_target;

    http_parser_set_max_header_size((uint32_t)(target + STROBE_HTTP_LINE_SLACK + STROBE_HTTP_HEAD_MAX + PARSER_SLACK));
}

bool strobe_http_request_init(struct strobe_http_request *request, const struct strobe_http_limits *limits) {
    struct strobe_http_parts *parts = malloc(sizeof(*parts));
    struct strobe_http_guard *guard;

    if (parts == NULL) return false;
    *parts = (struct strobe_http_parts){0};
    guard = &parts->guard;
    strobe_http_guard_init(guard, limits, NULL);
    parts->limits = guard->limits;
    strobe_buf_init(&parts->head_copy, (size_t)parts->limits.max_target + parts->limits.max_fields +
                                           2 * STROBE_HTTP_LINE_SLACK + HEAD_STEP);
    strobe_buf_init(&parts->body_copy, 0);
    request->inside = parts;
    start(request);
    return true;
}

void strobe_http_request_fini(struct strobe_http_request *request) {
    strobe_buf_fini(&request->inside->head_copy);
    strobe_buf_fini(&request->inside->body_copy);
    free(request->inside);
    *request = (struct strobe_http_request){0};
}

/* Asks for a 100, or says what it cannot do. A 1.0 client's expectations do not count (RFC 9110 section 10.1.1). */
static bool meet_expectations(struct strobe_http_request *request) {
    struct strobe_slice value, member;
    size_t at = 0;

    if (request->minor == 0 || strobe_http_request_field(request, STROBE_HTTP_FIELD_EXPECT).data == NULL) return true;
    while (strobe_http_request_next_value(request, STROBE_SLICE("expect"), &at, &value)) {
        while (strobe_http_next_member(&value, &member)) {
            if (!strobe_http_text_is(member, "100-continue")) {
                refuse(request, 417,
                       "The only expectation that can be met is 100-continue; leave out the Expect field.");
                return false;
            }
            request->send_continue = request->has_body;
        }
    }
    return true;
}

bool strobe_http_request_accept(struct strobe_http_request *request, const struct strobe_http_accept *accept) {
    struct strobe_http_parts *parts = request->inside;

    assert(parts->stage == SEEN);
    if (request->content_length > accept->max_body) {
        refuse(request, 413, "The body is larger than max-value allows, or max-request for a batch; send less.");
        return false;
    }
    if (!meet_expectations(request)) return false;
    parts->discard = accept->discard;
    parts->take = accept->take;
    parts->take_from = accept->take_from;
    parts->context = accept->context;
    parts->left = request->content_length;
    strobe_http_chunks_init(&parts->chunks, accept->max_body);
    strobe_buf_init(&parts->body_copy, request->chunked ? (size_t)accept->max_body : (size_t)parts->left);
    parts->stage = BODY;
    return true;
}

bool strobe_http_request_take_body(struct strobe_http_request *request, struct strobe_buf *body) {
    struct strobe_http_parts *parts = request->inside;

    assert(parts->stage == WHOLE);
    if (strobe_buf_len(&parts->body_copy) > 0) {
        *body = parts->body_copy;
        strobe_buf_init(&parts->body_copy, 0);
    } else {
        strobe_buf_init(body, request->body.len);
        if (strobe_buf_append(body, request->body) != STROBE_BUF_OK) return false;
    }
    request->body = strobe_slice_make(NULL, 0);
    return true;
}

bool strobe_http_request_keep(struct strobe_http_request *request) {
    struct strobe_http_parts *parts = request->inside;

    assert(parts->stage == WHOLE);
    if (!keep_head(request)) return false;
    if (parts->piece.len == 0) return true;
    if (strobe_buf_append(&parts->body_copy, parts->piece) != STROBE_BUF_OK) return false;
    parts->piece = strobe_slice_make(NULL, 0);
    request->body = strobe_buf_bytes(&parts->body_copy);
    return true;
}

void strobe_http_request_next(struct strobe_http_request *request) {
    struct strobe_http_parts *parts = request->inside;
    bool open = request->keep_alive;

    assert(parts->stage == WHOLE);
    strobe_buf_fini(&parts->head_copy);
    strobe_buf_fini(&parts->body_copy);
    start(request);
    if (!open) parts->stage = CLOSED;
}

bool strobe_http_request_is_idle(const struct strobe_http_request *request) {
    const struct strobe_http_parts *parts = request->inside;
    struct strobe_slice held = strobe_buf_bytes(&parts->head_copy);
    size_t start = parts->guard.start;

    if (parts->stage != HEAD) return false;
    return held.data == NULL || held.len <= start || (held.len == start + 1 && held.data[start] == '\r');
}

bool strobe_http_request_in_head(const struct strobe_http_request *request) {
    return request->inside->stage == HEAD;
}

size_t strobe_http_request_memory(const struct strobe_http_request *request) {
    return request->inside->head_copy.capacity + request->inside->body_copy.capacity;
}

struct strobe_slice strobe_http_request_field(const struct strobe_http_request *request, enum strobe_http_field field) {
    const struct strobe_http_parts *parts = request->inside;
    struct strobe_http_span value = parts->fields[field];

    if (parts->head == NULL || value.at == 0) return strobe_slice_make(NULL, 0);
    return strobe_slice_make(parts->head + parts->guard.fields_from + value.at, value.len);
}

bool strobe_http_request_next_value(const struct strobe_http_request *request, struct strobe_slice name, size_t *at,
                                    struct strobe_slice *value) {
    const struct strobe_http_parts *parts = request->inside;
    struct strobe_http_span found_name, found;

    if (parts->head == NULL) return false;
    if (*at == 0) *at = parts->guard.fields_from;
    while (strobe_http_guard_next_field(parts->head, parts->head_len, at, &found_name, &found)) {
        if (strobe_slice_equal_nocase(slice_of(parts, found_name), name)) {
            *value = slice_of(parts, found);
            return true;
        }
    }
    return false;
}

/* The next value of FIELD, of which most requests have one at most. *AT starts at 0. */
static bool next_of(const struct strobe_http_request *request, enum strobe_http_field field, size_t *at,
                    struct strobe_slice *value) {
    struct strobe_slice name = strobe_slice_make(known_fields[field].name, known_fields[field].len);

    if ((request->inside->repeated & 1u << field) != 0) {
        return strobe_http_request_next_value(request, name, at, value);
    }
    *value = strobe_http_request_field(request, field);
    return value->data != NULL && (*at)++ == 0;
}

bool strobe_http_request_has(const struct strobe_http_request *request, enum strobe_http_field field,
                             const char *token) {
    struct strobe_slice value;
    size_t at = 0;

    while (next_of(request, field, &at, &value)) {
        if (strobe_http_list_has(value, token)) return true;
    }
    return false;
}

bool strobe_http_request_accepts(const struct strobe_http_request *request, enum strobe_http_field field,
                                 const char *type) {
    struct strobe_slice value;
    size_t at = 0;

    while (next_of(request, field, &at, &value)) {
        if (strobe_http_accepts(value, type)) return true;
    }
    return false;
}

enum strobe_http_etag_match strobe_http_request_match_etag(const struct strobe_http_request *request,
                                                           enum strobe_http_field field, uint64_t version, bool exists,
                                                           bool strong) {
    enum strobe_http_etag_match result = STROBE_HTTP_ETAG_NO_MATCH;
    struct strobe_slice value;
    size_t at = 0;

    while (next_of(request, field, &at, &value)) {
        enum strobe_http_etag_match one = strobe_http_match_etag(value, version, exists, strong);

        if (one == STROBE_HTTP_ETAG_INVALID) return one;
        if (one == STROBE_HTTP_ETAG_MATCH) result = one;
    }
    return result;
}
