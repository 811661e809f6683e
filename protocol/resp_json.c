/* resp_json.c - from RESP2 to JSON, item by item, and a long string piece by piece.
 *
 * The commands write RESP whoever asks, often inside of a lock, where a value is copied or shared at once; escapes are
 * for afterwards, and a value of 512 MiB is told as the reader takes it, without ever being there as JSON.
 *
 *      ITEM -> $n, long -> CHECK (all of it UTF-8?) -> TELL (a string, or base64) -> ITEM
 *
 * Always: FROM was written by resp_writer.c, so nothing is doubted: an item is whole, a line is short. A character or
 * three bytes of base64 may lie in two segments; then they are put together first.
 * On failure: TO's status says so. Not here: what is sent when (server/http_batch.c). */
#include "protocol/resp_json.h"

#include <assert.h>
#include <string.h>

#include "protocol/limits.h"
#include "protocol/number.h"

enum {
    LINE_MAX_BYTES = 2 * (int)STROBE_ERROR_TEXT_MAX + 8,
    SHORT_MAX = (int)STROBE_COPY_MAX, /* a string that is told in one go, if it is in one piece */
    TEXT_PIECE = 3 * 4096             /* bytes of a long one told at a time */
};

void strobe_resp_json_init(struct strobe_resp_json *told, struct strobe_out *from, struct strobe_out *to,
                           enum strobe_json_form form) {
    *told = (struct strobe_resp_json){.from = from, .to = to, .form = form};
}

/* Copies the first bytes of FROM behind OFFSET, at most SIZE; gives how many. */
static size_t copy(const struct strobe_out *from, size_t offset, char *bytes, size_t size) {
    size_t pending = strobe_out_pending(from), len = 0;

    while (len < size && offset + len < pending) {
        struct strobe_slice run = strobe_out_peek(from, offset + len);
        size_t part = run.len < size - len ? run.len : size - len;

        memcpy(bytes + len, run.data, part);
        len += part;
    }
    return len;
}

size_t strobe_resp_json_line(const struct strobe_out *from, char *text, size_t size) {
    size_t len = copy(from, 0, text, size);
    const char *end = len == 0 ? NULL : memchr(text, '\r', len);

    return end == NULL ? len : (size_t)(end - text);
}

/* ---- where an item begins and ends ---------------------------------------------------------------------- */

static void begin_item(struct strobe_resp_json *told, bool is_error) {
    struct strobe_json *json = &told->json;

    if (told->depth == 0) {
        if (told->form == STROBE_JSON_ARRAY) {
            strobe_out_append(told->to, told->replies == 0 ? STROBE_SLICE("[") : STROBE_SLICE(","));
        }
        strobe_json_init(json, told->to);
        strobe_json_object_begin(json);
        strobe_json_name(json, is_error ? "error" : "result");
    } else if (is_error) {
        strobe_json_object_begin(json);
        strobe_json_name(json, "error");
    }
}

static void end_reply(struct strobe_resp_json *told) {
    strobe_json_object_end(&told->json);
    if (told->form == STROBE_JSON_LINES) strobe_json_newline(&told->json);
    told->replies++;
}

static void end_item(struct strobe_resp_json *told) {
    while (told->depth > 0) {
        if (--told->left[told->depth - 1] > 0) return;
        strobe_json_array_end(&told->json);
        told->depth--;
    }
    end_reply(told);
}

void strobe_resp_json_finish(struct strobe_resp_json *told) {
    if (told->form != STROBE_JSON_ARRAY) return;
    strobe_out_append(told->to, told->replies == 0 ? STROBE_SLICE("[]\n") : STROBE_SLICE("]\n"));
}

/* ---- items ---------------------------------------------------------------------------------------------- */

static void tell_array(struct strobe_resp_json *told, uint64_t count) {
    if (told->unpack) {
        told->unpack = false;
        return;
    }
    begin_item(told, false);
    strobe_json_array_begin(&told->json);
    if (count == 0) {
        strobe_json_array_end(&told->json);
        end_item(told);
        return;
    }
    assert(told->depth < STROBE_RESP_JSON_DEPTH_MAX);
    told->left[told->depth++] = count;
}

static void tell_error(struct strobe_resp_json *told, struct strobe_slice text) {
    begin_item(told, true);
    strobe_json_string(&told->json, text);
    if (told->depth > 0) strobe_json_object_end(&told->json);
    end_item(told);
}

static void tell_null(struct strobe_resp_json *told) {
    begin_item(told, false);
    strobe_json_null(&told->json);
    end_item(told);
}

static void tell_integer(struct strobe_resp_json *told, struct strobe_slice text) {
    int64_t number = 0;

    (void)strobe_number_parse_int64(text, &number);
    begin_item(told, false);
    strobe_json_i64(&told->json, number);
    end_item(told);
}

static void tell_string(struct strobe_resp_json *told, struct strobe_slice text) {
    begin_item(told, false);
    strobe_json_string(&told->json, text);
    end_item(told);
}

/* A string of LEN bytes, which FROM begins with: at once, or piece by piece. */
static void begin_bulk(struct strobe_resp_json *told, size_t len) {
    struct strobe_slice run = strobe_out_peek(told->from, 0);

    if (len <= SHORT_MAX && run.len >= len) {
        tell_string(told, strobe_slice_make(run.data, len));
        strobe_out_consume(told->from, len + 2);
        return;
    }
    told->bulk = len;
    told->checked = 0;
    told->is_utf8 = true;
    told->state = STROBE_RESP_JSON_CHECK;
}

static void tell_item(struct strobe_resp_json *told) {
    char line[LINE_MAX_BYTES];
    size_t len = strobe_resp_json_line(told->from, line, sizeof line);
    struct strobe_slice text = {line + 1, len - 1};
    uint64_t number = 0;

    assert(len > 0 && len < sizeof line);
    strobe_out_consume(told->from, len + 2);
    switch (line[0]) {
    case '+': tell_string(told, text); return;
    case '-': tell_error(told, text); return;
    case ':': tell_integer(told, text); return;
    default: break;
    }
    assert(line[0] == '$' || line[0] == '*');
    if (!strobe_number_parse_uint64(text, &number)) {
        tell_null(told);
    } else if (line[0] == '*') {
        tell_array(told, number);
    } else {
        begin_bulk(told, (size_t)number);
    }
}

/* ---- long strings --------------------------------------------------------------------------------------- */

/* The next run of the string behind OFFSET, of MOST bytes at most. */
static struct strobe_slice next_run(const struct strobe_resp_json *told, size_t offset, size_t most) {
    struct strobe_slice run = strobe_out_peek(told->from, offset);
    size_t left = told->bulk - offset;

    if (run.len > left) run.len = left;
    if (run.len > most) run.len = most;
    return run;
}

/* Copies the LEN next bytes of the string behind OFFSET, or what is left of it; gives how many. */
static size_t next_bytes(const struct strobe_resp_json *told, size_t offset, char *bytes, size_t len) {
    size_t left = told->bulk - offset;

    return copy(told->from, offset, bytes, left < len ? left : len);
}

/* Looks at MOST bytes more: is the string UTF-8 still? Gives how many. */
static size_t check(struct strobe_resp_json *told, size_t most) {
    struct strobe_slice run = next_run(told, told->checked, most);
    size_t valid = strobe_utf8_valid(run);
    char few[4];

    if (valid < run.len && run.len - valid < sizeof few) {
        size_t len = next_bytes(told, told->checked + valid, few, sizeof few);
        size_t whole = strobe_utf8_valid(strobe_slice_make(few, len));

        told->is_utf8 = whole > 0;
        valid += whole;
    } else {
        told->is_utf8 = valid == run.len;
    }
    told->checked += valid;
    if (told->is_utf8 && told->checked < told->bulk) return run.len;
    told->state = STROBE_RESP_JSON_TELL;
    begin_item(told, false);
    strobe_json_pieces_begin(&told->json, told->is_utf8);
    return run.len;
}

/* Tells the next piece; behind the last the string is over. Gives its length. */
static size_t tell_piece(struct strobe_resp_json *told) {
    struct strobe_slice run = next_run(told, 0, TEXT_PIECE);
    size_t whole;
    char few[4];

    whole = told->is_utf8 ? strobe_utf8_valid(run) : run.len < told->bulk ? run.len - run.len % 3 : run.len;
    if (whole == 0) {
        run = strobe_slice_make(few, next_bytes(told, 0, few, told->is_utf8 ? 4 : 3));
        whole = told->is_utf8 ? strobe_utf8_valid(run) : run.len;
    }
    strobe_json_piece(&told->json, told->is_utf8, strobe_slice_make(run.data, whole));
    strobe_out_consume(told->from, whole);
    told->bulk -= whole;
    if (told->bulk == 0) {
        strobe_out_consume(told->from, 2);
        strobe_json_pieces_end(&told->json, told->is_utf8);
        end_item(told);
        told->state = STROBE_RESP_JSON_ITEM;
    }
    return whole;
}

bool strobe_resp_json_tell(struct strobe_resp_json *told, size_t high, size_t work) {
    size_t done = 0;

    while (strobe_out_pending(told->from) > 0) {
        if (done >= work || strobe_out_pending(told->to) >= high) return false;
        if (strobe_out_status(told->to) != STROBE_BUF_OK) return false;
        switch (told->state) {
        case STROBE_RESP_JSON_ITEM: {
            size_t before = strobe_out_pending(told->from);

            tell_item(told);
            done += before - strobe_out_pending(told->from);
            break;
        }
        case STROBE_RESP_JSON_CHECK: done += check(told, work - done); break;
        case STROBE_RESP_JSON_TELL: done += tell_piece(told); break;
        }
    }
    return true;
}
