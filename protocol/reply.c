/* reply.c - what all encoders share: formatted errors, and items put aside until they are counted.
 *
 * Items put aside go to a chain of their own with the same pool; array_from moves the chain. Its maximum is what
 * the reply has left, so a page cannot pass max-reply-buffer by being aside. */

#include "protocol/reply.h"

#include <stdarg.h>
#include <stdio.h>

#include "protocol/number.h"

void strobe_reply_error(struct strobe_reply *reply, const char *code, const char *text) {
    reply->errors++;
    reply->ops->error(reply, strobe_slice_make(code, strlen(code)), strobe_slice_make(text, strlen(text)));
}

void strobe_reply_errorf(struct strobe_reply *reply, const char *code, const char *format, ...) {
    char text[STROBE_ERROR_TEXT_MAX + 1];
    va_list list;

    va_start(list, format);
    if (vsnprintf(text, sizeof text, format, list) < 0) {
        text[0] = '\0';
    }
    va_end(list);
    strobe_reply_error(reply, code, text);
}

void strobe_reply_bulk_uint64(struct strobe_reply *reply, uint64_t value) {
    char text[STROBE_NUMBER_UINT64_TEXT];

    strobe_reply_bulk(reply, strobe_slice_make(text, strobe_number_format_uint64(text, value)));
}

void strobe_reply_version(struct strobe_reply *reply, uint64_t version) {
    if (reply->texts) {
        strobe_reply_bulk_uint64(reply, version);
    } else {
        strobe_reply_integer(reply, (int64_t)version);
    }
}

void strobe_reply_aside_begin(struct strobe_reply *reply, struct strobe_reply_aside *aside) {
    struct strobe_out *main = reply->out;

    strobe_out_init(&aside->out, main->pool, main->max - strobe_out_pending(main));
    aside->main = main;
    reply->out = &aside->out;
    reply->ops->aside(reply, true);
}

void strobe_reply_aside_end(struct strobe_reply *reply, struct strobe_reply_aside *aside) {
    reply->ops->aside(reply, false);
    reply->out = aside->main;
}

void strobe_reply_array_from(struct strobe_reply *reply, struct strobe_reply_aside *aside, size_t n) {
    strobe_reply_array(reply, n);
    strobe_reply_splice(reply, aside);
}

void strobe_reply_splice(struct strobe_reply *reply, struct strobe_reply_aside *aside) {
    strobe_out_splice(reply->out, &aside->out);
    strobe_reply_aside_drop(aside);
}

void strobe_reply_aside_drop(struct strobe_reply_aside *aside) {
    strobe_out_fini(&aside->out);
}
