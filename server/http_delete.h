/* http_delete.h - removing all keys of a prefix over HTTP (SPEC 6). */
#ifndef STROBE_SERVER_HTTP_DELETE_H
#define STROBE_SERVER_HTTP_DELETE_H

#include "server/http_routes.h"

/* Handler of http_routes.c's table: DELETE /kv/?prefix=P. */
void http_delete_prefix(struct http_call *call);

#endif
