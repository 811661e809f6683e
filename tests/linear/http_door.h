/* http_door.h - steps as HTTP requests, and their replies. */
#ifndef TESTS_LINEAR_HTTP_DOOR_H
#define TESTS_LINEAR_HTTP_DOOR_H

#include "tests/linear/player.h"

/* A single step as GET, PUT, PATCH or DELETE of its key: one whose verb is GETVER, SETVER, CAS, INCR, DEL, DELIFVER. */
void http_door_add(struct player *p, const struct history_step *step);
void http_door_read(struct player *p, struct history_step *step);

/* Any steps, at one instant, as POST /batch?atomic. */
void http_door_add_batch(struct player *p, const struct history_op *op);
void http_door_read_batch(struct player *p, struct history_op *op);

#endif
