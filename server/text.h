/* text.h - text for people that is put together piece by piece: INFO, CLIENT LIST, HELP. */
#ifndef STROBE_SERVER_TEXT_H
#define STROBE_SERVER_TEXT_H

#include <stdbool.h>

#include "protocol/buf.h"
#include "protocol/slice.h"

struct text {
    struct strobe_buf buf;
    bool failed; /* no memory, or over the maximum; sticks */
};

enum { TEXT_MAX = 1 << 26 };

/* Starts TEXT empty, at most TEXT_MAX bytes. Ends with text_fini(). */
void text_init(struct text *text);
void text_fini(struct text *text);

void text_add(struct text *text, struct strobe_slice bytes);

/* One piece of at most 1 KiB; what is longer is cut. */
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* All of it, borrowed until the next change. */
struct strobe_slice text_slice(const struct text *text);

#endif
