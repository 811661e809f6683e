/* text_door.h - steps as commands of the text protocol, and their replies. Any reply that Redis would not give ends the
 * program. */
#ifndef TESTS_LINEAR_TEXT_DOOR_H
#define TESTS_LINEAR_TEXT_DOOR_H

#include "tests/linear/player.h"

/* Requests, added to what will be sent. WORDS end with NULL. */
void text_door_add_words(struct player *p, ...) __attribute__((sentinel));
void text_door_add_watch(struct player *p, uint32_t key);
void text_door_add_step(struct player *p, const struct history_step *step);
void text_door_add_exec(struct player *p, const struct history_op *op, unsigned first); /* MULTI, steps, EXEC */
void text_door_add_many(struct player *p, const struct history_op *op, bool writes);    /* MGET, MSET */
void text_door_add_scan(struct player *p, const char *cursor);

/* Replies. read_exec: false is nil. read_scan reads all pages, and draws the operation's end after the first: what it
 * shows is of an instant before that. */
void text_door_expect_text(struct player *p, const char *text);
void text_door_expect_array(struct player *p, int64_t count, const char *what);
void text_door_read_step(struct player *p, struct history_step *step);
bool text_door_read_exec(struct player *p, struct history_op *op, unsigned first);
void text_door_read_scan(struct player *p, struct history_op *op);

/* Speaks RESP3 from now on. */
void text_door_hello(struct player *p);

#endif
