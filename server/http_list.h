/* http_list.h - the resource /kv/: the keys of one instant, in pages or as a stream (SPEC 5, 6). */
#ifndef STROBE_SERVER_HTTP_LIST_H
#define STROBE_SERVER_HTTP_LIST_H

#include "server/http_routes.h"

/* Handler of http_routes.c's table. */
void http_list_get(struct http_call *call);

#endif
