/* http_guard.c - refuses what http-parser 2.9.4 would let through.
 *
 *      bytes -> guard (whole lines) -> http-parser -> request
 *               refuses               splits
 *
 * Always: a line is looked at once, when its LF has arrived, and every check is made on whole lines in their
 * order, so that the answer cannot depend on how the bytes were cut. What is too long is told by its length
 * alone, before anything in it is looked at, for the same reason. The one exception is the very first byte: one that
 * begins no method is refused at once (TLS on the plain port has no line end to wait for). Fields that have passed
 * before, word for word, pass again unread.
 * The head's grammar is RFC 9112 without its leniences: no obs-fold, no bare LF, no repeated Content-Length.
 * Framing fields are a little stricter than the RFC: no tab after their value and no empty list members, because
 * http-parser reads those otherwise than a proxy in front of us might.
 *
 * Not here: what fields mean (http_request.c), what is allowed to whom (server/). */
#include "protocol/http_guard.h"

#include <assert.h>
#include <string.h>

#include "protocol/http_target.h"
#include "protocol/limits.h"

enum { EMPTY_LINES_MAX = 4 }; /* before a request line; RFC 9112 section 2.2 asks for at least one */
enum { SIZE_DIGITS_MAX = 16 };

/* Classes of bytes. */
enum {
    TCHAR = 1,  /* RFC 9110 section 5.6.2 */
    VALUE = 2,  /* in a field's value or a chunk's extension: HTAB, SP, VCHAR, obs-text */
    TARGET = 4, /* 0x21 to 0x7e */
};

/* clang-format off */
static const uint8_t classes[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 7, 6, 7, 7, 7, 7, 7, 6, 6, 7, 7, 6, 7, 7, 6,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 6, 6, 6, 6,
    6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 6, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 7, 6, 7, 0,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
};
/* clang-format on */

static bool is(char c, uint8_t class) {
    return (classes[(unsigned char)c] & class) != 0;
}

/* The first place from AT on, before END, whose byte is not of CLASS. */
static uint32_t skip(const char *head, uint32_t at, uint32_t end, uint8_t class) {
    while (at < end && is(head[at], class)) at++;
    return at;
}

static struct strobe_slice slice_of(const char *head, struct strobe_http_span span) {
    return strobe_slice_make(head + span.at, span.len);
}

static struct strobe_http_span span_between(uint32_t from, uint32_t to) {
    return (struct strobe_http_span){.at = from, .len = to - from};
}

/* Always no, so that a check can end in `return refuse(...)`. */
static bool refuse(struct strobe_http_guard *guard, int status, const char *detail) {
    guard->refusal = (struct strobe_http_refusal){.status = status, .detail = detail};
    return false;
}

void strobe_http_guard_init(struct strobe_http_guard *guard, const struct strobe_http_limits *limits,
                            const struct strobe_http_memo *memo) {
    *guard = (struct strobe_http_guard){.memo = memo};
    if (limits != NULL) guard->limits = *limits;
    if (guard->limits.max_target == 0) guard->limits.max_target = (uint32_t)STROBE_HTTP_TARGET_MAX;
    if (guard->limits.max_fields == 0) guard->limits.max_fields = (uint32_t)STROBE_HTTP_HEAD_MAX;
    if (guard->limits.max_count == 0) guard->limits.max_count = (uint32_t)STROBE_HTTP_FIELDS_MAX;
}

static const struct strobe_slice method_names[] = {
#define NAME(name, text) {text, sizeof(text) - 1},
    STROBE_HTTP_METHODS(NAME)
#undef NAME
};

const char *strobe_http_method_name(enum strobe_http_method method) {
    return method_names[method].data;
}

/* ---- request line ------------------------------------------------------------------------------- */

static bool check_method(struct strobe_http_guard *guard, struct strobe_slice text) {
    for (int i = 0; i < STROBE_METHOD_COUNT; i++) {
        if (strobe_slice_equal(text, method_names[i])) {
            guard->method = (enum strobe_http_method)i;
            return true;
        }
    }
    return refuse(guard, 501, "This method is not known here; use GET, HEAD, PUT, POST, PATCH, DELETE or OPTIONS.");
}

static bool check_version(struct strobe_http_guard *guard, struct strobe_slice text) {
    const char *v = text.data;

    if (text.len != 8 || memcmp(v, "HTTP/", 5) != 0 || v[6] != '.' || v[5] < '0' || v[5] > '9' || v[7] < '0' ||
        v[7] > '9') {
        return refuse(guard, 400, "The request line must end in HTTP/1.1, after one space and with nothing behind it.");
    }
    if (v[5] == '0' && v[7] == '9') return refuse(guard, 400, "HTTP/0.9 is not served; use HTTP/1.1.");
    if (v[5] != '1' || v[7] > '1') return refuse(guard, 505, "Only HTTP/1.1 and HTTP/1.0 are served; use HTTP/1.1.");
    guard->minor = (uint8_t)(v[7] - '0');
    return true;
}

/* Path and query of the bytes from AT to END. */
static void split_path(struct strobe_http_guard *guard, const char *head, uint32_t at, uint32_t end) {
    const char *mark = at < end ? memchr(head + at, '?', end - at) : NULL;
    uint32_t path_end = mark == NULL ? end : (uint32_t)(mark - head);

    guard->path = span_between(at, path_end);
    guard->has_query = mark != NULL;
    if (guard->has_query) guard->query = span_between(path_end + 1, end);
}

static bool check_absolute(struct strobe_http_guard *guard, const char *head) {
    struct strobe_slice target = slice_of(head, guard->target);
    uint32_t end = guard->target.at + guard->target.len;
    uint32_t from, at;
    struct strobe_http_host host;

    if (!strobe_slice_starts_nocase(target, STROBE_SLICE("http://"))) { /* https:// wants TLS (RFC 9110, 7.4) */
        return refuse(guard, 400, "The target must begin with a slash, or be a whole http:// address.");
    }
    from = guard->target.at + 7;
    for (at = from; at < end && head[at] != '/' && head[at] != '?'; at++) {
    }
    guard->form = STROBE_HTTP_FORM_ABSOLUTE;
    guard->authority = span_between(from, at);
    if (!strobe_http_parse_host(slice_of(head, guard->authority), &host)) {
        return refuse(guard, 400, "The target's host must be a name or an address, with a port at most.");
    }
    split_path(guard, head, at, end);
    return true;
}

static bool check_target(struct strobe_http_guard *guard, const char *head) {
    struct strobe_slice target = slice_of(head, guard->target);
    struct strobe_http_host host;

    if (guard->method == STROBE_METHOD_CONNECT) {
        guard->form = STROBE_HTTP_FORM_AUTHORITY;
        guard->authority = guard->target;
        if (!strobe_http_parse_host(target, &host) || host.port < 0) {
            return refuse(guard, 400, "The target of CONNECT must be host:port.");
        }
        return true;
    }
    if (target.data[0] == '/') {
        guard->form = STROBE_HTTP_FORM_ORIGIN;
        split_path(guard, head, guard->target.at, guard->target.at + guard->target.len);
        return true;
    }
    if (target.len == 1 && target.data[0] == '*' && guard->method == STROBE_METHOD_OPTIONS) {
        guard->form = STROBE_HTTP_FORM_ASTERISK;
        guard->path = guard->target;
        return true;
    }
    return check_absolute(guard, head);
}

/* The line from AT to END, without its CRLF. */
static bool check_request_line(struct strobe_http_guard *guard, const char *head, uint32_t at, uint32_t end) {
    uint32_t method_end = skip(head, at, end, TCHAR);
    uint32_t target_end;

    if (method_end == at || method_end == end || head[method_end] != ' ') {
        return refuse(guard, 400,
                      "This is an HTTP port: begin with a line like GET /kv/name HTTP/1.1 (Redis clients use the text "
                      "port).");
    }
    target_end = skip(head, method_end + 1, end, TARGET);
    if (target_end == method_end + 1) return refuse(guard, 400, "Exactly one space must precede the target.");
    if (target_end == end) return refuse(guard, 400, "HTTP/0.9 is not served; end the request line with HTTP/1.1.");
    if (head[target_end] != ' ') {
        return refuse(guard, 400, "The target has a byte outside 0x21-0x7e; percent-encode it.");
    }
    guard->target = span_between(method_end + 1, target_end);
    if (!check_version(guard, strobe_slice_make(head + target_end + 1, end - target_end - 1))) return false;
    if (guard->target.len > guard->limits.max_target) return refuse(guard, 414, "The target is too long; shorten it.");
    return check_method(guard, strobe_slice_make(head + at, method_end - at)) && check_target(guard, head);
}

/* ---- fields ------------------------------------------------------------------------------------- */

static bool check_host(struct strobe_http_guard *guard, const char *head, struct strobe_http_span value) {
    struct strobe_http_host host;

    if (guard->host.len != 0) return refuse(guard, 400, "Send one Host field, not two.");
    if (!strobe_http_parse_host(slice_of(head, value), &host)) {
        return refuse(guard, 400, "The Host field must hold a name or an address, with a port at most.");
    }
    guard->host = value;
    return true;
}

static bool check_length(struct strobe_http_guard *guard, const char *head, struct strobe_http_span value) {
    uint64_t length = 0;

    if (guard->has_length) return refuse(guard, 400, "Send one Content-Length, not two.");
    if (guard->has_coding) return refuse(guard, 400, "Send Content-Length or Transfer-Encoding, not both.");
    if (value.len == 0) return refuse(guard, 400, "Content-Length must be a number.");
    for (uint32_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned char)head[value.at + i] - (unsigned)'0';

        if (digit > 9) return refuse(guard, 400, "Content-Length must be one number of decimal digits.");
        if (length > ((uint64_t)INT64_MAX - digit) / 10)
            return refuse(guard, 400, "Content-Length is beyond any number.");
        length = length * 10 + digit;
    }
    guard->has_length = true;
    guard->content_length = length;
    return true;
}

/* One coding of the list, without white space around. */
static bool check_coding(struct strobe_http_guard *guard, const char *head, struct strobe_http_span coding) {
    uint32_t end = coding.at + coding.len;
    uint32_t name_end = skip(head, coding.at, end, TCHAR);
    struct strobe_slice name = strobe_slice_make(head + coding.at, name_end - coding.at);

    if (name.len == 0 || (name_end < end && head[name_end] != ';')) {
        return refuse(guard, 400, "Transfer-Encoding must be chunked.");
    }
    if (!strobe_http_text_is(name, "chunked")) {
        return refuse(guard, 501, "The only transfer coding understood is chunked; send the body without others.");
    }
    if (name_end < end) return refuse(guard, 400, "The chunked coding takes no parameters.");
    if (guard->chunked) return refuse(guard, 400, "Send the chunked coding once.");
    guard->chunked = true;
    return true;
}

static bool check_codings(struct strobe_http_guard *guard, const char *head, struct strobe_http_span value) {
    uint32_t at = value.at;
    uint32_t end = value.at + value.len;

    if (guard->minor == 0) return refuse(guard, 400, "HTTP/1.0 has no Transfer-Encoding; use HTTP/1.1.");
    if (guard->has_length) return refuse(guard, 400, "Send Content-Length or Transfer-Encoding, not both.");
    guard->has_coding = true;
    for (;;) {
        const char *comma = at < end ? memchr(head + at, ',', end - at) : NULL;
        uint32_t to = comma == NULL ? end : (uint32_t)(comma - head);
        uint32_t last = to;

        while (at < last && (head[at] == ' ' || head[at] == '\t')) at++;
        while (last > at && (head[last - 1] == ' ' || head[last - 1] == '\t')) last--;
        if (!check_coding(guard, head, span_between(at, last))) return false;
        if (comma == NULL) return true;
        at = to + 1;
    }
}

/* The fields on which the framing and the addressee hang. TABBED: a tab stands behind the value. */
static bool check_meaning(struct strobe_http_guard *guard, const char *head, struct strobe_slice name,
                          struct strobe_http_span value, bool tabbed) {
    bool is_length, is_coding;

    if (name.len == 4 && strobe_http_text_is(name, "host")) return check_host(guard, head, value);
    is_length = name.len == 14 && strobe_http_text_is(name, "content-length");
    is_coding = name.len == 17 && strobe_http_text_is(name, "transfer-encoding");
    if (!is_length && !is_coding) return true;
    if (tabbed) return refuse(guard, 400, "No tab may follow the value of Content-Length or Transfer-Encoding.");
    return is_length ? check_length(guard, head, value) : check_codings(guard, head, value);
}

/* The line from AT to END, without its CRLF. */
static bool check_field(struct strobe_http_guard *guard, const char *head, uint32_t at, uint32_t end) {
    uint32_t colon = skip(head, at, end, TCHAR);
    uint32_t from, to;
    bool tabbed = false;

    if (++guard->count > guard->limits.max_count) return refuse(guard, 431, "Too many header fields; send fewer.");
    if (head[at] == ' ' || head[at] == '\t') {
        return refuse(guard, 400, "A header field is folded over two lines; send it in one.");
    }
    if (colon == end || head[colon] != ':') {
        return refuse(guard, 400, "A header line must be a name, a colon right after it, and a value.");
    }
    if (colon == at) return refuse(guard, 400, "A header field has no name.");
    from = colon + 1;
    if (skip(head, from, end, VALUE) != end) {
        return refuse(guard, 400, "A header value has a control character; remove it.");
    }
    for (to = end; from < to && (head[from] == ' ' || head[from] == '\t'); from++) {
    }
    for (; to > from && (head[to - 1] == ' ' || head[to - 1] == '\t'); to--) {
        if (head[to - 1] == '\t') tabbed = true;
    }
    return check_meaning(guard, head, strobe_slice_make(head + at, colon - at), span_between(from, to), tabbed);
}

/* ---- the head ----------------------------------------------------------------------------------- */

/* May what has arrived of the line under way, up to END, be that long? */
static bool check_room(struct strobe_http_guard *guard, const char *head, size_t end) {
    if (guard->fields_from != 0) {
        if (end - guard->fields_from <= guard->limits.max_fields) return true;
        return refuse(guard, 431, "The header fields are too long; send less.");
    }
    if (end > guard->line && !is(head[guard->line], TCHAR) && head[guard->line] != '\r' && head[guard->line] != '\n') {
        return refuse(guard, 400, "This is an HTTP port: begin with a line like GET /kv/name HTTP/1.1.");
    }
    if (end - guard->line <= guard->limits.max_target + STROBE_HTTP_LINE_SLACK) return true;
    if (skip(head, guard->line, guard->line + (uint32_t)STROBE_HTTP_LINE_SLACK, TCHAR) - guard->line ==
        STROBE_HTTP_LINE_SLACK) {
        return refuse(guard, 501, "No method is that long; use GET, HEAD, PUT, POST, PATCH, DELETE or OPTIONS.");
    }
    return refuse(guard, 414, "The target is too long; shorten it.");
}

/* The line from AT to END, without its CRLF, whichever it is. *DONE: it ended the head. */
static bool check_line(struct strobe_http_guard *guard, const char *head, uint32_t at, uint32_t end, bool *done) {
    if (guard->fields_from == 0) {
        if (at == end) {
            guard->start = end + 2;
            if (++guard->empty_lines <= EMPTY_LINES_MAX) return true;
            return refuse(guard, 400, "Too many empty lines before the request line.");
        }
        guard->fields_from = end + 2;
        return check_request_line(guard, head, at, end);
    }
    if (at < end) return check_field(guard, head, at, end);
    *done = true;
    if (guard->minor == 1 && guard->host.len == 0) return refuse(guard, 400, "HTTP/1.1 needs a Host field.");
    return true;
}

/* Are the fields, which begin at the line under way, those of the memo? Then they are behind us. */
static bool skip_repeated(struct strobe_http_guard *guard, const char *head, size_t len) {
    const struct strobe_http_memo *memo = guard->memo;
    uint32_t from = guard->fields_from;

    if (memo == NULL || guard->line != from || memo->len == 0 || memo->minor != guard->minor ||
        memo->len > len - from || memcmp(head + from, memo->bytes, memo->len) != 0) {
        return false;
    }
    guard->host = (struct strobe_http_span){.at = from + memo->host.at, .len = memo->host.len};
    guard->has_length = memo->has_length;
    guard->content_length = memo->content_length;
    guard->line = guard->scanned = from + memo->len;
    guard->repeats = true;
    return true;
}

static_assert(sizeof(struct strobe_http_memo) == 256, "what each HTTP connection pays for it");

void strobe_http_guard_remember(const struct strobe_http_guard *guard, const char *head,
                                struct strobe_http_memo *memo) {
    uint32_t len = guard->line - guard->fields_from;

    memo->len = 0;
    if (len > sizeof memo->bytes || guard->has_coding || guard->content_length > UINT32_MAX) return;
    memo->len = (uint16_t)len;
    memo->minor = guard->minor;
    memo->has_length = guard->has_length;
    memo->content_length = (uint32_t)guard->content_length;
    memo->host.at = guard->host.len > 0 ? guard->host.at - guard->fields_from : 0;
    memo->host.len = guard->host.len;
    memcpy(memo->bytes, head + guard->fields_from, len);
}

enum strobe_parse strobe_http_guard_check(struct strobe_http_guard *guard, const char *head, size_t len,
                                          size_t *head_len) {
    bool done = false;

    while (!done) {
        const char *lf = guard->scanned < len ? memchr(head + guard->scanned, '\n', len - guard->scanned) : NULL;
        size_t end = lf == NULL ? len : (size_t)(lf - head) + 1;
        uint32_t line = guard->line;

        if (!check_room(guard, head, end)) return STROBE_PARSE_BAD;
        guard->scanned = (uint32_t)end; /* in range: check_room has bounded it */
        if (lf == NULL) return STROBE_PARSE_MORE;
        if (end - line < 2 || lf[-1] != '\r') {
            refuse(guard, 400, "A line ends in a bare LF; end lines with CRLF.");
            return STROBE_PARSE_BAD;
        }
        guard->line = guard->scanned;
        if (!check_line(guard, head, line, guard->line - 2, &done)) return STROBE_PARSE_BAD;
        done = done || skip_repeated(guard, head, len);
    }
    *head_len = guard->scanned;
    return STROBE_PARSE_DONE;
}

bool strobe_http_guard_next_field(const char *head, size_t head_len, size_t *at, struct strobe_http_span *name,
                                  struct strobe_http_span *value) {
    const char *line = head + *at;
    const char *lf, *colon, *from, *to;

    if (*at >= head_len || *line == '\r') return false;
    lf = memchr(line, '\n', head_len - *at);
    colon = memchr(line, ':', (size_t)(lf - line));
    for (from = colon + 1, to = lf - 1; from < to && (*from == ' ' || *from == '\t'); from++) {
    }
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
    *name = span_between((uint32_t)*at, (uint32_t)(colon - head));
    *value = span_between((uint32_t)(from - head), (uint32_t)(to - head));
    *at = (size_t)(lf - head) + 1;
    return true;
}

/* ---- chunked bodies ----------------------------------------------------------------------------- */

/*      SIZE_FIRST -> SIZE -> EXTENSION -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE_FIRST
 *                                           |
 *                                           +- size 0 -> TRAILER_FIRST -> TRAILER_NAME -> TRAILER_VALUE -> TRAILER_LF
 *                                                        ^    |                                               |
 *                                                        |    +-> END_LF -> end                               |
 *                                                        +----------------------------------------------------+ */
enum chunk_state {
    SIZE_FIRST,
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    FINISHED
};

void strobe_http_chunks_init(struct strobe_http_chunks *chunks, uint64_t max_body) {
    *chunks = (struct strobe_http_chunks){.max_body = max_body, .state = SIZE_FIRST};
}

static bool refuse_chunk(struct strobe_http_chunks *chunks, int status, const char *detail) {
    chunks->refusal = (struct strobe_http_refusal){.status = status, .detail = detail};
    return false;
}

/* 0 to 15, or 16 for what is no hex digit. */
static unsigned hex_digit(char c) {
    if (c >= '0' && c <= '9') return (unsigned)(c - '0');
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* The byte after at least one digit of a size. */
static bool step_size(struct strobe_http_chunks *chunks, char c) {
    unsigned digit = hex_digit(c);

    if (digit < 16) {
        if (++chunks->extent > SIZE_DIGITS_MAX || chunks->left > INT64_MAX >> 4) {
            return refuse_chunk(chunks, 400, "A chunk's size is beyond any number.");
        }
        chunks->left = chunks->left << 4 | digit;
        chunks->state = SIZE;
        return true;
    }
    if (chunks->state == SIZE_FIRST || (c != '\r' && c != ';')) {
        return refuse_chunk(chunks, 400, "A chunk's size must be hex digits alone, followed by CRLF.");
    }
    if (chunks->left > chunks->max_body - chunks->total) {
        return refuse_chunk(chunks, 413,
                            "The body is larger than max-value allows, or max-request for a batch; send less.");
    }
    chunks->total += chunks->left;
    chunks->extent = 1;
    chunks->state = c == '\r' ? SIZE_LF : EXTENSION;
    return true;
}

static bool step_extension(struct strobe_http_chunks *chunks, char c) {
    if (c == '\r') {
        chunks->state = SIZE_LF;
        return true;
    }
    if (!is(c, VALUE)) return refuse_chunk(chunks, 400, "A chunk extension has a control character; remove it.");
    if (++chunks->extent > STROBE_HTTP_CHUNK_EXTENSION_MAX) {
        return refuse_chunk(chunks, 400, "A chunk extension is too long; send less.");
    }
    return true;
}

static bool count_trailer(struct strobe_http_chunks *chunks) {
    if (++chunks->extent <= STROBE_HTTP_TRAILERS_MAX) return true;
    return refuse_chunk(chunks, 400, "The trailers are too long; send less.");
}

static bool step_trailer(struct strobe_http_chunks *chunks, char c) {
    if (chunks->state == TRAILER_FIRST && c == '\r') {
        chunks->state = END_LF;
        return true;
    }
    if (!count_trailer(chunks)) return false;
    if (chunks->state == TRAILER_VALUE) {
        if (c == '\r') {
            chunks->state = TRAILER_LF;
        } else if (!is(c, VALUE)) {
            return refuse_chunk(chunks, 400, "A trailer has a control character; remove it.");
        }
        return true;
    }
    if (is(c, TCHAR)) {
        chunks->state = TRAILER_NAME;
        return true;
    }
    if (c != ':' || chunks->state == TRAILER_FIRST) {
        return refuse_chunk(chunks, 400, "A trailer must be a name, a colon right after it, and a value.");
    }
    chunks->state = TRAILER_VALUE;
    return true;
}

/* The byte where only one is right: EXPECTED, and then comes NEXT. */
static bool step_fixed(struct strobe_http_chunks *chunks, char c, char expected, enum chunk_state next) {
    if (c != expected) {
        return refuse_chunk(chunks, 400, "A chunk's size, its data and each trailer must end in CRLF, exactly there.");
    }
    chunks->state = (uint8_t)next;
    return true;
}

static bool end_of_size(struct strobe_http_chunks *chunks, char c) {
    chunks->extent = 0;
    if (chunks->left > 0) return step_fixed(chunks, c, '\n', DATA);
    chunks->in_trailers = c == '\n';
    return step_fixed(chunks, c, '\n', TRAILER_FIRST);
}

static bool step_chunk(struct strobe_http_chunks *chunks, char c) {
    switch ((enum chunk_state)chunks->state) {
    case SIZE_FIRST:
    case SIZE: return step_size(chunks, c);
    case EXTENSION: return step_extension(chunks, c);
    case SIZE_LF: return end_of_size(chunks, c);
    case DATA_CR: return step_fixed(chunks, c, '\r', DATA_LF);
    case DATA_LF: return step_fixed(chunks, c, '\n', SIZE_FIRST);
    case TRAILER_FIRST:
    case TRAILER_NAME:
    case TRAILER_VALUE: return step_trailer(chunks, c);
    case TRAILER_LF: return count_trailer(chunks) && step_fixed(chunks, c, '\n', TRAILER_FIRST);
    case END_LF: return step_fixed(chunks, c, '\n', FINISHED);
    case DATA:
    case FINISHED: break;
    }
    return false; /* not reached: the loop below handles both */
}

enum strobe_parse strobe_http_chunks_check(struct strobe_http_chunks *chunks, const char *data, size_t len,
                                           size_t *used, size_t *framed) {
    size_t at = 0;

    *framed = 0;
    while (at < len && chunks->state != FINISHED) {
        if (chunks->state == DATA) {
            size_t run = len - at < chunks->left ? len - at : (size_t)chunks->left;

            at += run;
            chunks->left -= run;
            if (chunks->left == 0) chunks->state = DATA_CR;
        } else {
            bool before = !chunks->in_trailers;

            if (!step_chunk(chunks, data[at])) {
                *used = at;
                return STROBE_PARSE_BAD;
            }
            at++;
            if (before && chunks->in_trailers) *framed = at;
        }
    }
    if (!chunks->in_trailers) *framed = at;
    *used = at;
    return chunks->state == FINISHED ? STROBE_PARSE_DONE : STROBE_PARSE_MORE;
}
