/* http_stream.h - a listing of keys: what it asks for, one entry of it in JSON, and the whole as a stream. */
#ifndef STROBE_SERVER_HTTP_STREAM_H
#define STROBE_SERVER_HTTP_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/json.h"
#include "protocol/slice.h"
#include "server/http_routes.h"

/* What a listing asks for. The texts are decoded, in MEMORY. */
struct http_list_query {
    struct strobe_slice prefix; /* empty: any */
    struct strobe_slice match;  /* a glob that strobe_glob_is_bounded */
    bool has_match;
    bool values;
    bool is_stream;
    bool has_cursor;
    bool has_limit;
    uint64_t cursor;
    uint64_t limit;
    char *memory; /* owned, or NULL */
};

/* Answers CALL with the snapshot of now as NDJSON, in slices, as the peer takes them. Takes query->memory. */
void http_stream_start(struct http_call *call, struct http_list_query *query);

/* The members that follow a value: its version as text, and in how many seconds it was to expire at NOW, or null. */
void http_stream_facts(struct strobe_json *json, uint64_t version, uint64_t expiry, uint64_t now);

#endif
