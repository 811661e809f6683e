/* request.h - a command as it was read: its words, whoever read them.
 *
 * A request is used again and again without allocating; only more than STROBE_REQUEST_FEW words, or
 * escapes in an inline line, make it allocate, and it keeps up to STROBE_SCRATCH_KEEP of that. It points
 * into itself: do not copy or move one. One thread at a time. */
#ifndef STROBE_PROTOCOL_REQUEST_H
#define STROBE_PROTOCOL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/buf.h"
#include "protocol/limits.h"
#include "protocol/slice.h"

struct strobe_request {
    struct strobe_slice *args; /* args[0] is the command; valid until the input they were read from is consumed */
    size_t argc;
    size_t size;     /* bytes the request took on the wire */
    bool is_inline;  /* typed by a person rather than framed by a client */
    size_t capacity; /* of args */
    char *scratch;   /* owned: the text of words with escapes */
    size_t scratch_capacity;
    struct strobe_slice few[STROBE_REQUEST_FEW];
};

/* Starts REQUEST empty, allocating nothing. Ends with strobe_request_fini(). */
void strobe_request_init(struct strobe_request *request);
void strobe_request_fini(struct strobe_request *request);

/* Empties REQUEST for the next command; gives back memory beyond STROBE_SCRATCH_KEEP. */
void strobe_request_reset(struct strobe_request *request);

/* Room for one more word. Results: OK, NO_MEMORY; the words stay in every case. */
enum strobe_buf_status strobe_request_grow(struct strobe_request *request);

/* Adds a word (its bytes borrowed until the request is reset). Results: OK, NO_MEMORY. */
static inline enum strobe_buf_status strobe_request_add(struct strobe_request *request, struct strobe_slice word) {
    if (request->argc == request->capacity && strobe_request_grow(request) != STROBE_BUF_OK) {
        return STROBE_BUF_NO_MEMORY;
    }
    request->args[request->argc++] = word;
    return STROBE_BUF_OK;
}

/* At least LEN bytes of text that live until the reset; one piece a request. NULL: no memory. */
char *strobe_request_scratch(struct strobe_request *request, size_t len);

/* Makes BUF's memory the text of REQUEST, which has none yet and lives until the reset. BUF ends empty. */
void strobe_request_adopt(struct strobe_request *request, struct strobe_buf *buf);

/* The words of an unfinished request, put away while its REQUEST serves others. */
struct strobe_request_words {
    struct strobe_slice *args; /* owned */
    size_t argc, capacity;
};

/* Moves REQUEST's words to WORDS (which must be empty) and empties REQUEST. Results: OK, NO_MEMORY,
 * which leaves both as they were. */
enum strobe_buf_status strobe_request_put_away(struct strobe_request *request, struct strobe_request_words *words);

/* Moves WORDS back to REQUEST, whose own words are dropped. Cannot fail. */
void strobe_request_bring_back(struct strobe_request *request, struct strobe_request_words *words);

#endif
