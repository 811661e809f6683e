/* wire.h - a connection of a client that waits: bytes out, lines and counted bytes in. What cannot go on ends the
 * program. */
#ifndef TESTS_LINEAR_WIRE_H
#define TESTS_LINEAR_WIRE_H

#include <stddef.h>
#include <stdint.h>

struct wire {
    int fd;
    char *in; /* owned; [start, end) is what was received and not read yet */
    size_t start;
    size_t end;
    char *out; /* owned; what waits for wire_send */
    size_t out_len;
};

/* Ends of the program: the server gave what no store gives (1), or the test cannot go on (2). */
_Noreturn void wire_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void wire_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Connects to PORT of 127.0.0.1. */
void wire_open(struct wire *w, uint16_t port);
void wire_close(struct wire *w);

void wire_add(struct wire *w, const void *bytes, size_t len);
void wire_addf(struct wire *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void wire_send(struct wire *w);

/* The next line, without its CRLF, with a NUL in its place; valid until the next call. */
char *wire_line(struct wire *w);

/* The next LEN bytes; valid until the next call. */
char *wire_bytes(struct wire *w, size_t len);

#endif
