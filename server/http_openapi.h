/* http_openapi.h - what can be asked over HTTP, for programs: /openapi.json (OpenAPI 3.0). */
#ifndef STROBE_SERVER_HTTP_OPENAPI_H
#define STROBE_SERVER_HTTP_OPENAPI_H

#include <stddef.h>

#include "server/http_routes.h"

/* Handler of http_routes.c's table. */
void http_openapi_get(struct http_call *call);

/* What the page says of one method of one path. HEAD and OPTIONS follow from the others. Lists are separated by
 * blanks. */
struct http_operation {
    enum strobe_http_method method;
    const char *path; /* "/kv/{key}" */
    const char *id;
    const char *summary;
    const char *parameters; /* names of http_openapi.c's table */
    const char *body;       /* media type of the request's body; NULL: none */
    const char *answers;    /* media types of 200 and 206; empty: they have no body */
    const char *statuses;   /* besides those that every request may get */
};

/* All rows, for the test that holds them equal to the routes. Those of one path stand together. */
extern const struct http_operation http_operations[];
size_t http_operations_count(void);

#endif
