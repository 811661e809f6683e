/* http_kv.h - the resource /kv/KEY: one entry of the map, read, written and removed (SPEC 6). */
#ifndef STROBE_SERVER_HTTP_KV_H
#define STROBE_SERVER_HTTP_KV_H

#include "server/http_routes.h"

/* Handlers of http_routes.c's table. */
void http_kv_get(struct http_call *call);
void http_kv_put(struct http_call *call);
void http_kv_delete(struct http_call *call);

/* What a head says against a write, so that a value that will be refused need not be sent. */
struct strobe_http_refusal http_kv_judge(const struct http_call *call);

/* Seconds until EXPIRY as seen at NOW (both in ms), rounded up: an entry that is alive never has 0 left. */
static inline uint64_t http_kv_ttl(uint64_t expiry, uint64_t now) {
    return (expiry - now + 999) / 1000;
}

#endif
