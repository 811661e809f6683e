/* resp_writer.c - replies as RESP2 or RESP3.
 *
 * Every item is: a type byte, a number or a short text, CRLF; a bulk goes on with its bytes and CRLF. Room is
 * reserved once an item, at its longest, and told at its true length, so a small item costs one test and one copy.
 * RESP3's table of functions differs from RESP2's in the items that RESP2 has no word for.
 *
 * On failure: nothing more is appended, see strobe_out_status().
 * Not here: what a command answers (server/cmd_*.c). */

#include "protocol/resp_writer.h"

#include "protocol/number.h"

/* A type byte, the longest number, CRLF. */
#define WRITER_HEADER_MAX ((size_t)1 + STROBE_NUMBER_INT64_TEXT + 2)

/* A bulk this short is written with its header at one reservation; others in three appends. */
#define WRITER_SMALL_MAX ((size_t)4096)

static_assert(WRITER_HEADER_MAX + STROBE_COPY_MAX + 2 <= STROBE_OUT_RESERVE_MAX, "a copied value fits, framed");

/* Writes TYPE, N and CRLF at TO; gives the byte after. */
static char *writer_number(char *to, char type, uint64_t n) {
    *to++ = type;
    if (n < 10) {
        *to++ = (char)('0' + n);
    } else {
        to += strobe_number_format_uint64(to, n);
    }
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

static void writer_header(struct strobe_reply *reply, char type, uint64_t n) {
    char *to = strobe_out_reserve(reply->out, WRITER_HEADER_MAX);

    if (to != NULL) {
        strobe_out_commit(reply->out, (size_t)(writer_number(to, type, n) - to));
    }
}

static void writer_fixed(struct strobe_reply *reply, struct strobe_slice bytes) {
    char *to = strobe_out_reserve(reply->out, bytes.len);

    if (to != NULL) {
        memcpy(to, bytes.data, bytes.len);
        strobe_out_commit(reply->out, bytes.len);
    }
}

/* TEXT with what would end the line made spaces; cut to LEN_MAX. Gives the byte after. */
static char *writer_line(char *to, struct strobe_slice text, size_t len_max) {
    size_t len = text.len < len_max ? text.len : len_max;

    for (size_t i = 0; i < len; i++) {
        char c = text.data[i];

        *to++ = c == '\r' || c == '\n' ? ' ' : c;
    }
    return to;
}

static void writer_status(struct strobe_reply *reply, struct strobe_slice text) {
    size_t len = text.len < STROBE_ERROR_TEXT_MAX ? text.len : STROBE_ERROR_TEXT_MAX;
    char *start = strobe_out_reserve(reply->out, len + 3);
    char *to = start;

    if (to == NULL) {
        return;
    }
    *to++ = '+';
    to = writer_line(to, text, len);
    *to++ = '\r';
    *to++ = '\n';
    strobe_out_commit(reply->out, (size_t)(to - start));
}

static void writer_error(struct strobe_reply *reply, struct strobe_slice code, struct strobe_slice text) {
    char *start;
    char *to;

    /* Line ends at the end say nothing; Redis drops them too. */
    while (text.len > 0 && (text.data[text.len - 1] == '\r' || text.data[text.len - 1] == '\n')) {
        text.len--;
    }
    start = strobe_out_reserve(reply->out, 2 * STROBE_ERROR_TEXT_MAX + 4);
    to = start;
    if (to == NULL) {
        return;
    }
    *to++ = '-';
    to = writer_line(to, code, STROBE_ERROR_TEXT_MAX);
    *to++ = ' ';
    to = writer_line(to, text, STROBE_ERROR_TEXT_MAX);
    *to++ = '\r';
    *to++ = '\n';
    strobe_out_commit(reply->out, (size_t)(to - start));
}

static void writer_integer(struct strobe_reply *reply, int64_t value) {
    char *start = strobe_out_reserve(reply->out, WRITER_HEADER_MAX);
    char *to = start;

    if (to == NULL) {
        return;
    }
    *to++ = ':';
    to += strobe_number_format_int64(to, value);
    *to++ = '\r';
    *to++ = '\n';
    strobe_out_commit(reply->out, (size_t)(to - start));
}

static char *writer_bulk_begin(struct strobe_reply *reply, size_t len) {
    char *start;
    char *body;

    assert(len <= STROBE_COPY_MAX);
    start = strobe_out_reserve(reply->out, WRITER_HEADER_MAX + len + 2);
    if (start == NULL) {
        return NULL;
    }
    body = writer_number(start, '$', len);
    body[len] = '\r';
    body[len + 1] = '\n';
    strobe_out_commit(reply->out, (size_t)(body - start) + len + 2);
    return body;
}

/* All was written when the bulk began. */
static void writer_bulk_end(struct strobe_reply *reply) {
    (void)reply;
}

static void writer_bulk(struct strobe_reply *reply, struct strobe_slice bytes) {
    if (bytes.len <= WRITER_SMALL_MAX) {
        char *body = writer_bulk_begin(reply, bytes.len);

        if (body != NULL && bytes.len > 0) {
            memcpy(body, bytes.data, bytes.len);
        }
        return;
    }
    writer_header(reply, '$', bytes.len);
    strobe_out_append(reply->out, bytes);
    writer_fixed(reply, STROBE_SLICE("\r\n"));
}

static void writer_bulk_borrowed(struct strobe_reply *reply, struct strobe_slice bytes, strobe_release *release,
                                 void *owner) {
    writer_header(reply, '$', bytes.len);
    strobe_out_borrow(reply->out, bytes, release, owner);
    writer_fixed(reply, STROBE_SLICE("\r\n"));
}

/* Items are told apart by their bytes alone, wherever they go. */
static void writer_aside(struct strobe_reply *reply, bool begin) {
    (void)reply;
    (void)begin;
}

/* ---- what differs ----------------------------------------------------------------------------- */

static void resp2_real(struct strobe_reply *reply, double value) {
    char text[STROBE_NUMBER_DOUBLE_TEXT];

    writer_bulk(reply, strobe_slice_make(text, strobe_number_format_double(text, value)));
}

static void resp3_real(struct strobe_reply *reply, double value) {
    char *start = strobe_out_reserve(reply->out, STROBE_NUMBER_DOUBLE_TEXT + 3);
    char *to = start;

    if (to == NULL) {
        return;
    }
    *to++ = ',';
    to += strobe_number_format_double(to, value);
    *to++ = '\r';
    *to++ = '\n';
    strobe_out_commit(reply->out, (size_t)(to - start));
}

static void resp2_boolean(struct strobe_reply *reply, bool value) {
    writer_fixed(reply, value ? STROBE_SLICE(":1\r\n") : STROBE_SLICE(":0\r\n"));
}

static void resp3_boolean(struct strobe_reply *reply, bool value) {
    writer_fixed(reply, value ? STROBE_SLICE("#t\r\n") : STROBE_SLICE("#f\r\n"));
}

static void resp2_null(struct strobe_reply *reply) {
    writer_fixed(reply, STROBE_SLICE("$-1\r\n"));
}

static void resp2_null_array(struct strobe_reply *reply) {
    writer_fixed(reply, STROBE_SLICE("*-1\r\n"));
}

static void resp3_null(struct strobe_reply *reply) {
    writer_fixed(reply, STROBE_SLICE("_\r\n"));
}

static void resp2_verbatim(struct strobe_reply *reply, const char format[3], struct strobe_slice text) {
    (void)format;
    writer_bulk(reply, text);
}

static void resp3_verbatim(struct strobe_reply *reply, const char format[3], struct strobe_slice text) {
    char *to;

    writer_header(reply, '=', text.len + 4);
    to = strobe_out_reserve(reply->out, 4);
    if (to != NULL) {
        memcpy(to, format, 3);
        to[3] = ':';
        strobe_out_commit(reply->out, 4);
    }
    strobe_out_append(reply->out, text);
    writer_fixed(reply, STROBE_SLICE("\r\n"));
}

static void resp3_big_number(struct strobe_reply *reply, struct strobe_slice digits) {
    writer_fixed(reply, STROBE_SLICE("("));
    strobe_out_append(reply->out, digits);
    writer_fixed(reply, STROBE_SLICE("\r\n"));
}

static void resp2_header(struct strobe_reply *reply, enum strobe_reply_kind kind, size_t n) {
    writer_header(reply, '*', kind == STROBE_REPLY_MAP ? 2 * (uint64_t)n : n);
}

static void resp3_header(struct strobe_reply *reply, enum strobe_reply_kind kind, size_t n) {
    static const char types[] = {
        [STROBE_REPLY_ARRAY] = '*', [STROBE_REPLY_MAP] = '%', [STROBE_REPLY_SET] = '~', [STROBE_REPLY_PUSH] = '>'};

    writer_header(reply, types[kind], n);
}

#define WRITER_COMMON                                                                                    \
    .status = writer_status, .error = writer_error, .integer = writer_integer, .bulk = writer_bulk,      \
    .bulk_borrowed = writer_bulk_borrowed, .bulk_begin = writer_bulk_begin, .bulk_end = writer_bulk_end, \
    .aside = writer_aside

static const struct strobe_reply_ops resp2_ops = {
    WRITER_COMMON,
    .real = resp2_real,
    .boolean = resp2_boolean,
    .null = resp2_null,
    .null_array = resp2_null_array,
    .verbatim = resp2_verbatim,
    .big_number = writer_bulk,
    .header = resp2_header,
};

static const struct strobe_reply_ops resp3_ops = {
    WRITER_COMMON,
    .real = resp3_real,
    .boolean = resp3_boolean,
    .null = resp3_null,
    .null_array = resp3_null,
    .verbatim = resp3_verbatim,
    .big_number = resp3_big_number,
    .header = resp3_header,
};

void strobe_resp_writer_init(struct strobe_reply *reply, struct strobe_out *out, enum strobe_resp_version version) {
    *reply = (struct strobe_reply){.out = out};
    strobe_resp_writer_set_version(reply, version);
}

void strobe_resp_writer_set_version(struct strobe_reply *reply, enum strobe_resp_version version) {
    reply->ops = version == STROBE_RESP3 ? &resp3_ops : &resp2_ops;
}
