/* http_entry.h - what every method of /kv/KEY needs: the key out of the path, conditions, the answers about them. */
#ifndef STROBE_SERVER_HTTP_ENTRY_H
#define STROBE_SERVER_HTTP_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "map/map.h"
#include "server/change.h"
#include "server/http_routes.h"

/* What keeps a stored page from acting as one of ours: no guessing of its type, no script, no stale copy. */
#define HTTP_ENTRY_GUARDS                  \
    "X-Content-Type-Options: nosniff\r\n"  \
    "Content-Security-Policy: sandbox\r\n" \
    "Cache-Control: no-cache\r\n"

enum { HTTP_KEY_ROOM = 256 };

/* A key taken out of a path. */
struct http_key {
    struct strobe_key key;
    char *owned; /* a long key's decoded bytes, or NULL */
    char room[HTTP_KEY_ROOM];
};

/* Makes *KEY of the request's path; ended with http_key_close whatever the result. */
struct strobe_http_refusal http_key_open(struct http_key *key, const struct http_call *call);
void http_key_close(struct http_key *key);

enum http_condition { HTTP_CONDITION_HOLDS, HTTP_CONDITION_NOT_MODIFIED, HTTP_CONDITION_FAILED, HTTP_CONDITION_BAD };

/* Are there If-Match or If-None-Match; and what do they say of SEEN (RFC 9110 section 13.2.2: If-Match first)? */
bool http_has_conditions(const struct strobe_http_request *request);
enum http_condition http_check_conditions(const struct strobe_http_request *request, const struct seen *seen);

/* The answers to a condition that does not hold of an entry of VERSION (0: there is none), to a key that is not there,
 * and to a write that the map refused for STATUS. */
void http_answer_condition(struct http_call *call, enum http_condition condition, uint64_t version);
void http_answer_missing(struct http_call *call);
void http_answer_status(struct http_call *call, enum strobe_status status);

/* What is wrong with the body of a write, which is stored as it comes: a coding, a part, a form with files. */
struct strobe_http_refusal http_entry_body(const struct strobe_http_request *request);

#endif
