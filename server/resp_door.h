/* resp_door.h - the text protocol on a connection: parse a batch, look its keys up ahead, execute, answer. */
#ifndef STROBE_SERVER_RESP_DOOR_H
#define STROBE_SERVER_RESP_DOOR_H

#include <stddef.h>

#include "server/conn.h"

extern const struct door resp_door;      /* over TCP */
extern const struct door resp_unix_door; /* over a Unix socket */

/* What a loop parses batches into; one for all its connections. Owned by the caller; NULL without memory. */
struct resp_batch;
struct resp_batch *resp_batch_new(void);
void resp_batch_free(struct resp_batch *batch);

#endif
