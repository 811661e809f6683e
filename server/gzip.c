/* gzip.c - zlib between two chains of bytes.
 *
 * Level 1 and small tables: tests/bench/stream_cost.py measures what they save and cost, DESIGN.md has the figures.
 * Always: what was packed can be unpacked at once (a sync flush), so a stream that pauses keeps nothing back. Memory is
 * that of zlib, allocated at the beginning and never more.
 * On failure: TO's status says so; zlib itself cannot fail on memory that it has. */
#include "server/gzip.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "protocol/limits.h"

enum {
    LEVEL = 1,
    WINDOW = 14,  /* bits: 16 KiB that repetitions are found in */
    GZIP = 16,    /* zlib's word for a gzip header */
    MEM_LEVEL = 7 /* 2^(MEM_LEVEL + 9) bytes of tables */
};

struct gzip {
    z_stream stream;
};

struct gzip *gzip_new(void) {
    struct gzip *gzip = calloc(1, sizeof *gzip);

    if (gzip == NULL) return NULL;
    if (deflateInit2(&gzip->stream, LEVEL, Z_DEFLATED, WINDOW + GZIP, MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return gzip;
    free(gzip);
    return NULL;
}

void gzip_free(struct gzip *gzip) {
    if (gzip == NULL) return;
    deflateEnd(&gzip->stream);
    free(gzip);
}

size_t gzip_memory(void) {
    return sizeof(struct gzip) + ((size_t)1 << (WINDOW + 2)) + ((size_t)1 << (MEM_LEVEL + 9)); /* zconf.h */
}

/* Gives zlib BYTES, and takes what it has to say until it has room left: then it is done with them. */
static void pack(struct gzip *gzip, struct strobe_slice bytes, struct strobe_out *to, int flush) {
    z_stream *stream = &gzip->stream;

    stream->next_in = (Bytef *)(uintptr_t)bytes.data; /* zlib reads it only */
    stream->avail_in = (uInt)bytes.len;
    do {
        char *room = strobe_out_reserve(to, STROBE_COPY_MAX);

        if (room == NULL) return;
        stream->next_out = (Bytef *)room;
        stream->avail_out = (uInt)STROBE_COPY_MAX;
        (void)deflate(stream, flush);
        strobe_out_commit(to, STROBE_COPY_MAX - stream->avail_out);
    } while (stream->avail_out == 0);
    assert(stream->avail_in == 0);
}

void gzip_pack(struct gzip *gzip, struct strobe_out *from, struct strobe_out *to, bool is_end) {
    while (strobe_out_pending(from) > 0) {
        struct strobe_slice run = strobe_out_peek(from, 0);

        if (run.len > STROBE_COPY_MAX) run.len = STROBE_COPY_MAX;
        pack(gzip, run, to, Z_NO_FLUSH);
        strobe_out_consume(from, run.len);
    }
    pack(gzip, strobe_slice_make("", 0), to, is_end ? Z_FINISH : Z_SYNC_FLUSH);
}
