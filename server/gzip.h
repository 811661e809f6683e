/* gzip.h - a stream of bytes compressed as it comes (RFC 1952), for readers that accept it. */
#ifndef STROBE_SERVER_GZIP_H
#define STROBE_SERVER_GZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/buf.h"

struct gzip;

/* Owned by the caller; NULL without memory. One thread at a time. */
struct gzip *gzip_new(void);
void gzip_free(struct gzip *gzip); /* NULL is allowed */

/* Compresses all that FROM holds to the end of TO (failure is in TO's status), and so that the reader can have all of
 * it now; with IS_END the stream ends. FROM ends empty. */
void gzip_pack(struct gzip *gzip, struct strobe_out *from, struct strobe_out *to, bool is_end);

/* Bytes that it holds. */
size_t gzip_memory(void);

#endif
