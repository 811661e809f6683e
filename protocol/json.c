/* json.c - writes JSON as fast as clean ASCII can be copied.
 *
 * A string is worked in blocks: room for a block whose every byte needs an escape is taken once, then eight clean
 * bytes are copied at a step; only a step that holds a quote, a backslash, a control or a byte above 0x7f is looked at
 * byte by byte. The first byte that is not UTF-8 takes the string back (strobe_out_rewind) and writes base64 instead.
 * Always: output is valid JSON whatever the bytes.
 * Not here: reading JSON. */
#include "protocol/json.h"

#include <assert.h>
#include <string.h>

#include "protocol/limits.h"
#include "protocol/number.h"

enum {
    BLOCK = 512,      /* input bytes of a string at a time */
    ESCAPE_MAX = 6,   /* \u00HH */
    SEQUENCE_MAX = 4, /* bytes of one UTF-8 character: how far a block may reach beyond its end */
    BASE64_BLOCK = 3 * 512
};

static_assert((BLOCK + SEQUENCE_MAX) * ESCAPE_MAX <= STROBE_OUT_RESERVE_MAX, "a block's room is contiguous");

void strobe_json_init(struct strobe_json *json, struct strobe_out *out) {
    *json = (struct strobe_json){.out = out};
}

/* ---- structure ---------------------------------------------------------------------------------- */

static void put(struct strobe_json *json, char c) {
    char *room = strobe_out_reserve(json->out, 1);

    if (room == NULL) return;
    *room = c;
    strobe_out_commit(json->out, 1);
}

/* Before a member: the comma, if one is due. */
static void separate(struct strobe_json *json) {
    uint32_t bit = 1u << json->depth;

    if (json->after_name) {
        json->after_name = false;
    } else if (json->depth > 0) {
        if ((json->filled & bit) != 0) put(json, ',');
        json->filled |= bit;
    }
}

static void begin(struct strobe_json *json, char c) {
    separate(json);
    put(json, c);
    json->depth++;
    assert(json->depth <= STROBE_JSON_DEPTH_MAX);
    json->filled &= ~(1u << json->depth);
}

static void end(struct strobe_json *json, char c) {
    assert(json->depth > 0 && !json->after_name);
    json->depth--;
    put(json, c);
}

void strobe_json_object_begin(struct strobe_json *json) {
    begin(json, '{');
}

void strobe_json_object_end(struct strobe_json *json) {
    end(json, '}');
}

void strobe_json_array_begin(struct strobe_json *json) {
    begin(json, '[');
}

void strobe_json_array_end(struct strobe_json *json) {
    end(json, ']');
}

void strobe_json_name(struct strobe_json *json, const char *name) {
    size_t len = strlen(name);
    char *room;

    assert(!json->after_name && strpbrk(name, "\"\\") == NULL);
    separate(json);
    json->after_name = true;
    room = strobe_out_reserve(json->out, len + 3);
    if (room == NULL) return;
    room[0] = '"';
    memcpy(room + 1, name, len);
    room[len + 1] = '"';
    room[len + 2] = ':';
    strobe_out_commit(json->out, len + 3);
}

void strobe_json_newline(struct strobe_json *json) {
    assert(json->depth == 0);
    put(json, '\n');
}

/* The lowest bit of each of eight bytes, and the highest. */
#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* ---- UTF-8 -------------------------------------------------------------------------------------- */

static bool is_tail(unsigned char c) {
    return (c & 0xc0) == 0x80;
}

/* Length of the valid sequence of two to four bytes at AT, of which LEFT (at least one) are there; 0 when there is
 * none. The bounds are those of RFC 3629 section 4. */
static size_t sequence(const unsigned char *at, size_t left) {
    unsigned char lead = at[0];
    unsigned char low = 0x80, high = 0xbf;

    if (left < 2 || lead < 0xc2 || lead > 0xf4) return 0;
    if (lead < 0xe0) return is_tail(at[1]) ? 2 : 0;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
    if (at[1] < low || at[1] > high || left < 3 || !is_tail(at[2])) return 0;
    if (lead < 0xf0) return 3;
    return left >= 4 && is_tail(at[3]) ? 4 : 0;
}

size_t strobe_utf8_valid(struct strobe_slice text) {
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t i = 0;

    while (i < text.len) {
        uint64_t word;
        size_t len;

        if (text.len - i >= sizeof(word)) {
            memcpy(&word, bytes + i, sizeof(word));
            if ((word & HIGHS) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        len = bytes[i] < 0x80 ? 1 : sequence(bytes + i, text.len - i);
        if (len == 0) break;
        i += len;
    }
    return i;
}

/* ---- strings ------------------------------------------------------------------------------------ */

/* Does none of the eight bytes need a look: no control, no quote, no backslash, none above 0x7f? Each term sets the
 * high bit of a byte that it is about; a borrow can only set one above a byte that was set rightly. */
static bool is_clean(uint64_t word) {
    uint64_t quote = word ^ (ONES * '"');
    uint64_t slash = word ^ (ONES * '\\');

    return ((word | (word - ONES * 0x20) | (quote - ONES) | (slash - ONES)) & HIGHS) == 0;
}

/* One byte below 0x80 as it stands in a string. */
static char *put_ascii(char *at, unsigned char c) {
    static const char digits[] = "0123456789abcdef";
    static const char letters[] = "btnvfr"; /* from 8 on; JSON has no \v */

    if (c >= 0x20 && c != '"' && c != '\\') {
        *at++ = (char)c;
        return at;
    }
    *at++ = '\\';
    if (c >= 0x20) {
        *at++ = (char)c;
    } else if (c >= 8 && c <= 13 && c != 11) {
        *at++ = letters[c - 8];
    } else {
        memcpy(at, "u00", 3);
        at[3] = digits[c >> 4];
        at[4] = digits[c & 15];
        at += 5;
    }
    return at;
}

/* Writes the bytes from *I on, up to END or a little beyond (LEN bounds it), to AT; *I becomes what was read. Stops
 * early at a byte that is not UTF-8. */
static char *put_block(char *at, const unsigned char *bytes, size_t *i, size_t end, size_t len) {
    size_t n = *i;

    while (n < end) {
        uint64_t word;
        size_t size;

        if (end - n >= 8) {
            memcpy(&word, bytes + n, 8);
            if (is_clean(word)) {
                memcpy(at, &word, 8);
                at += 8;
                n += 8;
                continue;
            }
        }
        if (bytes[n] < 0x80) {
            at = put_ascii(at, bytes[n++]);
            continue;
        }
        size = sequence(bytes + n, len - n);
        if (size == 0) break;
        memcpy(at, bytes + n, size);
        at += size;
        n += size;
    }
    *i = n;
    return at;
}

/* The inside of a string. Results: no when the bytes are not UTF-8; then something has been written. */
static bool put_escaped(struct strobe_json *json, struct strobe_slice text) {
    size_t i = 0;

    while (i < text.len) {
        size_t end = text.len - i > BLOCK ? i + BLOCK : text.len;
        char *room = strobe_out_reserve(json->out, (end - i + SEQUENCE_MAX) * ESCAPE_MAX);
        char *at;

        if (room == NULL) return true;
        at = put_block(room, (const unsigned char *)text.data, &i, end, text.len);
        strobe_out_commit(json->out, (size_t)(at - room));
        if (i < end) return false;
    }
    return true;
}

static bool put_string(struct strobe_json *json, struct strobe_slice text) {
    put(json, '"');
    if (!put_escaped(json, text)) return false;
    put(json, '"');
    return true;
}

static char *put_triple(char *at, unsigned bits, unsigned count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    at[0] = digits[bits >> 18 & 63];
    at[1] = digits[bits >> 12 & 63];
    at[2] = count > 1 ? digits[bits >> 6 & 63] : '=';
    at[3] = count > 2 ? digits[bits & 63] : '=';
    return at + 4;
}

/* RFC 4648 section 4. */
static void put_digits(struct strobe_json *json, struct strobe_slice text) {
    const unsigned char *bytes = (const unsigned char *)text.data;

    for (size_t i = 0; i < text.len;) {
        size_t end = text.len - i > BASE64_BLOCK ? i + BASE64_BLOCK : text.len;
        char *room = strobe_out_reserve(json->out, (end - i + 2) / 3 * 4);
        char *at = room;

        if (room == NULL) return;
        for (; end - i >= 3; i += 3) {
            at = put_triple(at, (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2], 3);
        }
        if (end - i == 1) at = put_triple(at, (unsigned)bytes[i] << 16, 1);
        if (end - i == 2) at = put_triple(at, (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8, 2);
        i = end;
        strobe_out_commit(json->out, (size_t)(at - room));
    }
}

static void put_base64(struct strobe_json *json, struct strobe_slice text) {
    strobe_out_append(json->out, STROBE_SLICE("{\"base64\":\""));
    put_digits(json, text);
    strobe_out_append(json->out, STROBE_SLICE("\"}"));
}

void strobe_json_pieces_begin(struct strobe_json *json, bool is_utf8) {
    separate(json);
    strobe_out_append(json->out, is_utf8 ? STROBE_SLICE("\"") : STROBE_SLICE("{\"base64\":\""));
}

void strobe_json_piece(struct strobe_json *json, bool is_utf8, struct strobe_slice piece) {
    if (is_utf8) {
        bool is_valid = put_escaped(json, piece);

        assert(is_valid);
        (void)is_valid;
    } else {
        put_digits(json, piece);
    }
}

void strobe_json_pieces_end(struct strobe_json *json, bool is_utf8) {
    strobe_out_append(json->out, is_utf8 ? STROBE_SLICE("\"") : STROBE_SLICE("\"}"));
}

void strobe_json_string(struct strobe_json *json, struct strobe_slice bytes) {
    struct strobe_out_mark before;

    separate(json);
    before = strobe_out_mark(json->out);
    if (put_string(json, bytes)) return;
    strobe_out_rewind(json->out, before);
    put_base64(json, bytes);
}

void strobe_json_text(struct strobe_json *json, const char *text) {
    strobe_json_string(json, strobe_slice_make(text, strlen(text)));
}

/* ---- other values ------------------------------------------------------------------------------- */

void strobe_json_i64(struct strobe_json *json, int64_t number) {
    char *room;

    separate(json);
    room = strobe_out_reserve(json->out, STROBE_NUMBER_INT64_TEXT);
    if (room != NULL) strobe_out_commit(json->out, strobe_number_format_int64(room, number));
}

void strobe_json_u64(struct strobe_json *json, uint64_t number) {
    char *room;

    separate(json);
    room = strobe_out_reserve(json->out, STROBE_NUMBER_INT64_TEXT);
    if (room != NULL) strobe_out_commit(json->out, strobe_number_format_uint64(room, number));
}

void strobe_json_number(struct strobe_json *json, struct strobe_slice digits) {
    separate(json);
    strobe_out_append(json->out, digits);
}

void strobe_json_version(struct strobe_json *json, uint64_t version) {
    separate(json);
    put(json, '"');
    json->after_name = true; /* the number stands inside the quotes: no comma */
    strobe_json_u64(json, version);
    put(json, '"');
}

void strobe_json_bool(struct strobe_json *json, bool yes) {
    separate(json);
    strobe_out_append(json->out, yes ? STROBE_SLICE("true") : STROBE_SLICE("false"));
}

void strobe_json_null(struct strobe_json *json) {
    separate(json);
    strobe_out_append(json->out, STROBE_SLICE("null"));
}
