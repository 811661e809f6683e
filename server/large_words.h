/* large_words.h - the large words of requests of one connection: received into the blobs that they may stay in.
 *
 * Those of two requests at most: the one under way, and the one that came whole before it and is being executed. One
 * thread at a time. All zero but MAP means that there are none. */
#ifndef STROBE_SERVER_LARGE_WORDS_H
#define STROBE_SERVER_LARGE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "map/map.h"
#include "protocol/resp_parser.h"

struct conn;
struct large_request;

struct large_words {
    struct strobe_map *map;       /* borrowed */
    const struct conn *conn;      /* borrowed; whose they are, or NULL */
    struct large_request *coming; /* owned; NULL: the request under way has none yet */
    struct large_request *whole;  /* owned; of the request that came whole, or NULL */
    bool coming_lost;             /* there was no memory for one of them: it is read over */
    bool whole_lost;
};

/* For strobe_resp_parser_set_taker, with the struct as context. */
extern const struct strobe_resp_taker large_words_taker;

/* Starts WORDS without any, of CONN for MAP (borrowed until fini). Without CONN (NULL) room is made for what came only.
 * Ends with fini. */
void large_words_init(struct large_words *words, const struct conn *conn, struct strobe_map *map);
void large_words_fini(struct large_words *words);

/* Where the next *LEN bytes of the connection shall go, so that they need no copy: those of a word. *BEHIND bytes more
 * may be read behind them, to be taken out of there before the *LEN are shown to the parser, until when the place is
 * borrowed. NULL: anywhere. */
char *large_words_room(struct large_words *words, size_t *len, size_t *behind);

/* Has the request that came whole any, or lost any? */
static inline bool large_words_any(const struct large_words *words) {
    return words->whole != NULL || words->whole_lost;
}

/* Did it lose one for lack of memory? Then it must not be executed. */
static inline bool large_words_lost(const struct large_words *words) {
    return words->whole_lost;
}

/* The blob that is its word I, borrowed until large_words_done, or NULL. */
struct strobe_blob *large_words_blob(const struct large_words *words, size_t i);

/* The request that came whole was executed: lets its words go. */
void large_words_done(struct large_words *words);

/* Bytes of memory held. */
size_t large_words_memory(const struct large_words *words);

#endif
