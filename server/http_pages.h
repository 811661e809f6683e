/* http_pages.h - the fixed pages: what this is, whether it lives, what it counts. */
#ifndef STROBE_SERVER_HTTP_PAGES_H
#define STROBE_SERVER_HTTP_PAGES_H

#include "server/http_routes.h"

/* Handlers of http_routes.c's table: /, /healthz, /readyz, /metrics. */
void http_pages_root(struct http_call *call);
void http_pages_health(struct http_call *call);
void http_pages_ready(struct http_call *call);
void http_pages_metrics(struct http_call *call);

#endif
