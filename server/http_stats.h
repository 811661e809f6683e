/* http_stats.h - what INFO says, as JSON. */
#ifndef STROBE_SERVER_HTTP_STATS_H
#define STROBE_SERVER_HTTP_STATS_H

#include "server/http_routes.h"

/* Handler of http_routes.c's table: GET /stats. */
void http_stats_get(struct http_call *call);

#endif
