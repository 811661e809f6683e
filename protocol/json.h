/* json.h - JSON text, appended to an output chain; there is no tree and no parser.
 *
 * The writer keeps commas right by itself: begin, members, end. Strings are checked for UTF-8 in the same pass that
 * escapes them; bytes that are not UTF-8 become {"base64":"..."} in place of the string (SPEC 6).
 * Nothing here fails by itself: a lack of memory sticks to the chain (strobe_out_status). A page is best written into
 * a chain of its own, and given on with strobe_http_reply_body_from() or chunk_from(). Thread: that of the chain. */
#ifndef STROBE_PROTOCOL_JSON_H
#define STROBE_PROTOCOL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/buf.h"
#include "protocol/slice.h"

/* At most this many objects and arrays inside each other: ours, so more is asserted, not refused. */
#define STROBE_JSON_DEPTH_MAX 16

struct strobe_json {
    struct strobe_out *out; /* borrowed */
    uint32_t depth;
    uint32_t filled; /* bit d: the container at depth d has a member, so a comma is due */
    bool after_name; /* a member's name was written, its value is due */
};

/* Starts a text at the end of OUT (borrowed until the last call). */
void strobe_json_init(struct strobe_json *json, struct strobe_out *out);

void strobe_json_object_begin(struct strobe_json *json);
void strobe_json_object_end(struct strobe_json *json);
void strobe_json_array_begin(struct strobe_json *json);
void strobe_json_array_end(struct strobe_json *json);

/* A member's name: plain ASCII of ours that needs no escape (asserted in debug builds). */
void strobe_json_name(struct strobe_json *json, const char *name);

/* Values. STRING: any bytes. TEXT: a C string of ours, escaped like any other. */
void strobe_json_string(struct strobe_json *json, struct strobe_slice bytes);
void strobe_json_text(struct strobe_json *json, const char *text);
void strobe_json_i64(struct strobe_json *json, int64_t number);
void strobe_json_u64(struct strobe_json *json, uint64_t number);
void strobe_json_number(struct strobe_json *json, struct strobe_slice digits); /* as JSON writes it; not looked at */
void strobe_json_bool(struct strobe_json *json, bool yes);
void strobe_json_null(struct strobe_json *json);

/* A string too long to be written at once: begin, pieces, end, with IS_UTF8 (all of it, the caller has looked) the same
 * in each. Pieces of UTF-8 are whole characters; of other bytes each but the last has a multiple of 3. */
void strobe_json_pieces_begin(struct strobe_json *json, bool is_utf8);
void strobe_json_piece(struct strobe_json *json, bool is_utf8, struct strobe_slice piece);
void strobe_json_pieces_end(struct strobe_json *json, bool is_utf8);

/* A version: a string of decimal digits, because JavaScript's numbers end at 2^53. */
void strobe_json_version(struct strobe_json *json, uint64_t version);

/* A bare line end, to go between the lines of NDJSON; a new text may begin after it. */
void strobe_json_newline(struct strobe_json *json);

/* How many bytes at the start of TEXT are valid UTF-8 (RFC 3629: no surrogates, nothing overlong, nothing above
 * U+10FFFF) and complete. text.len when all is. */
size_t strobe_utf8_valid(struct strobe_slice text);

#endif
