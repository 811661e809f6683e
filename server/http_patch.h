/* http_patch.h - a part of an entry changed over HTTP: PATCH /kv/KEY?incr=N and ?append (SPEC 6). */
#ifndef STROBE_SERVER_HTTP_PATCH_H
#define STROBE_SERVER_HTTP_PATCH_H

#include "server/http_routes.h"

/* Handler of http_routes.c's table, and what a head says against it. */
void http_patch(struct http_call *call);
struct strobe_http_refusal http_patch_judge(const struct http_call *call);

#endif
