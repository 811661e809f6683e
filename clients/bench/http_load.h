/* http_load.h - the load over HTTP/1.1: GET and PUT of a path that ends in the key. */
#ifndef STROBE_CLIENTS_BENCH_HTTP_LOAD_H
#define STROBE_CLIENTS_BENCH_HTTP_LOAD_H

#include "clients/bench/load.h"

extern const struct door http_door;

/* Adds TEXT to RECIPE as it stands in a path: what may not stand there as %XX. */
void http_add_path(struct recipe *recipe, struct strobe_slice text);

/* Adds the Host field, without its line end. */
void http_add_host(struct recipe *recipe, const struct bench_options *options);

/* The length of the head that begins at DATA, its blank line included; 0: it goes on beyond LEN. */
size_t http_head_len(const char *data, size_t len);

/* What matters of a head. */
struct http_head {
    unsigned status;
    uint64_t length; /* of the body */
    bool has_length, chunked;
    bool last; /* the connection ends behind it */
};

/* Reads a whole head. False: it is none. */
bool http_read_head(struct strobe_slice head, struct http_head *out);

/* Reads a chunk's size line, without its end. False: it is none. */
bool http_read_chunk(struct strobe_slice line, uint64_t *size);

#endif
