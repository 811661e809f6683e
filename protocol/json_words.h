/* json_words.h - commands that come as JSON, ["SET","k","v"], read into words where they lie.
 *
 *      LINES   ["SET","k","v"]         a command a line; a line that is wrong is skipped, and the next is read
 *              ["GET","k"]
 *      ARRAY   [["SET","k","v"],       one text; what is wrong in it is wrong for all of it, so it is checked first
 *               ["GET","k"]]
 *
 * A word is a string (any UTF-8, escapes decoded; RFC 8259), {"base64":"..."} for other bytes, or a number, true or
 * false, which are taken as they are spelt. There is no tree and nothing is allocated but places for words. One thread
 * at a time. */
#ifndef STROBE_PROTOCOL_JSON_WORDS_H
#define STROBE_PROTOCOL_JSON_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/request.h"
#include "protocol/slice.h"

enum strobe_json_form { STROBE_JSON_LINES, STROBE_JSON_ARRAY };

/* Which of the two TEXT is: an array of arrays, or an empty one, is an ARRAY. */
enum strobe_json_form strobe_json_form_of(struct strobe_slice text);

struct strobe_json_words {
    char *data; /* borrowed; words are decoded in it, each before the place where it stood */
    size_t len;
    size_t at;    /* the first byte that was not read */
    size_t start; /* where the command under way begins */
    size_t line;  /* where its line does */
    size_t from;  /* the word under way: where its bytes begin, and where the next goes */
    size_t to;
    size_t words; /* of the command under way */
    enum strobe_json_form form;
    unsigned char state;
    bool is_check;  /* only looks: neither DATA nor a request is changed */
    bool is_base64; /* the string under way */
    unsigned char digits, pads;
    uint32_t bits;
    const char *fault; /* after BAD: what was expected, a sentence without its full stop */
};

/* Starts to read LEN bytes at DATA (borrowed, and changed unless IS_CHECK) of FORM. */
void strobe_json_words_init(struct strobe_json_words *words, char *data, size_t len, enum strobe_json_form form,
                            bool is_check);

enum strobe_json_next {
    STROBE_JSON_COMMAND,  /* REQUEST holds one; its words live until the next call */
    STROBE_JSON_MORE,     /* the budget is used up: call again */
    STROBE_JSON_END,      /* there is no more */
    STROBE_JSON_BAD,      /* see strobe_json_words_fault_at(); in LINES go on behind strobe_json_words_skip() */
    STROBE_JSON_NO_MEMORY /* for the words of a command: as BAD */
};

/* Reads the next command into REQUEST (NULL with IS_CHECK). *BUDGET bytes are looked at at most, or a few more, and
 * taken off it. */
enum strobe_json_next strobe_json_words_next(struct strobe_json_words *words, struct strobe_request *request,
                                             size_t *budget);

/* Goes behind the line that is BAD. Results: false when the budget is used up: call again. */
bool strobe_json_words_skip(struct strobe_json_words *words, size_t *budget);

/* How long the number is that TEXT begins with, as JSON has it: no zero before digits, no bare point. 0: none. */
size_t strobe_json_number_len(struct strobe_slice text);

/* Where what was expected is missing: bytes from the start of the line, or of the text of an ARRAY; from 1. */
size_t strobe_json_words_fault_at(const struct strobe_json_words *words);

#endif
