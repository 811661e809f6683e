/* resp_json.h - replies that were written for RESP2, told again as JSON: {"result":...} or {"error":"..."} for each.
 *
 *      :1   1       $2 ab   "ab", or {"base64":"..."} for what is not UTF-8       $-1 *-1   null
 *      +OK  "OK"    *2      [..., ...]                                            -ERR x    {"error":"ERR x"}
 *
 * In LINES each reply is a line, in ARRAY they are one array. Neither allocates but for the two chains. One thread at a
 * time. */
#ifndef STROBE_PROTOCOL_RESP_JSON_H
#define STROBE_PROTOCOL_RESP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/buf.h"
#include "protocol/json.h"
#include "protocol/json_words.h"

#define STROBE_RESP_JSON_DEPTH_MAX (STROBE_JSON_DEPTH_MAX - 2) /* arrays in each other, in one reply */

struct strobe_resp_json {
    struct strobe_out *from; /* borrowed: whole items as resp_writer.c writes them */
    struct strobe_out *to;   /* borrowed */
    struct strobe_json json; /* writes into TO */
    enum strobe_json_form form;
    bool unpack; /* the next item is an array, of which each member is told as a reply: EXEC's */

    /* inside */
    uint64_t replies;
    size_t depth;                              /* arrays that are open */
    uint64_t left[STROBE_RESP_JSON_DEPTH_MAX]; /* members of each that are missing */
    size_t bulk;                               /* bytes of a long string that were not told yet */
    size_t checked;                            /* of them known to be UTF-8 */
    enum { STROBE_RESP_JSON_ITEM, STROBE_RESP_JSON_CHECK, STROBE_RESP_JSON_TELL } state;
    bool is_utf8;
};

/* Starts with nothing told. */
void strobe_resp_json_init(struct strobe_resp_json *told, struct strobe_out *from, struct strobe_out *to,
                           enum strobe_json_form form);

/* Tells what is in FROM, and drops it there, until nothing is left, TO holds HIGH bytes or more, or WORK bytes were
 * looked at. Failure is in TO's status. Results: true when FROM is empty. */
bool strobe_resp_json_tell(struct strobe_resp_json *told, size_t high, size_t work);

/* The end of an ARRAY, behind the last reply. */
void strobe_resp_json_finish(struct strobe_resp_json *told);

/* Copies the line that FROM begins with, without its end, into TEXT (SIZE bytes at most); gives its length. */
size_t strobe_resp_json_line(const struct strobe_out *from, char *text, size_t size);

#endif
