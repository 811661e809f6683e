/* http_batch.h - commands of the text protocol over HTTP: POST /batch (SPEC 6). */
#ifndef STROBE_SERVER_HTTP_BATCH_H
#define STROBE_SERVER_HTTP_BATCH_H

#include "server/http_routes.h"

/* Handler of http_routes.c's table, and what a head says against it. */
void http_batch_post(struct http_call *call);
struct strobe_http_refusal http_batch_judge(const struct http_call *call);

#endif
