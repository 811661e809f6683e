/* http_door.h - the door that understands HTTP: requests in, answers of http_routes.c out. */
#ifndef STROBE_SERVER_HTTP_DOOR_H
#define STROBE_SERVER_HTTP_DOOR_H

#include "server/conn.h"

/* For conn_new(). */
extern const struct door http_door;

/* Called once in a process, before the first connection and the first thread. */
void http_door_setup(void);

#endif
