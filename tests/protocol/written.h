/* written.h - takes what a writer put into an output, as a string to compare. */
#ifndef STROBE_TESTS_PROTOCOL_WRITTEN_H
#define STROBE_TESTS_PROTOCOL_WRITTEN_H

#include <string.h>
#include <sys/uio.h>

#include "protocol/buf.h"

/* Moves all that OUT holds into TEXT (ROOM bytes, which must do), with a NUL behind it. Gives its length. */
static inline size_t take_written(struct strobe_out *out, char *text, size_t room) {
    struct iovec pieces[16];
    size_t len = 0, count;

    assert_int_equal(strobe_out_status(out), STROBE_BUF_OK);
    while ((count = strobe_out_gather(out, pieces, 16)) > 0) {
        size_t before = len;

        for (size_t i = 0; i < count; i++) {
            assert_true(len + pieces[i].iov_len < room);
            memcpy(text + len, pieces[i].iov_base, pieces[i].iov_len);
            len += pieces[i].iov_len;
        }
        strobe_out_consume(out, len - before);
    }
    text[len] = '\0';
    return len;
}

#endif
