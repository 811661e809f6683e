/* text.c - a buffer with printf. Failure sticks, so that a page is written whole and looked at once. */
#include "server/text.h"

#include <stdarg.h>
#include <stdio.h>

void text_init(struct text *text) {
    strobe_buf_init(&text->buf, TEXT_MAX);
    text->failed = false;
}

void text_fini(struct text *text) {
    strobe_buf_fini(&text->buf);
}

void text_add(struct text *text, struct strobe_slice bytes) {
    if (!text->failed && strobe_buf_append(&text->buf, bytes) != STROBE_BUF_OK) text->failed = true;
}

void text_addf(struct text *text, const char *format, ...) {
    char piece[1024];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (len < 0) {
        text->failed = true;
        return;
    }
    size_t size = (size_t)len < sizeof piece ? (size_t)len : sizeof piece - 1;
    text_add(text, strobe_slice_make(piece, size));
}

struct strobe_slice text_slice(const struct text *text) {
    return strobe_buf_bytes(&text->buf);
}
