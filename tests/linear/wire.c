/* wire.c - see wire.h. Buffers are as large as the largest batch of requests or replies of this test can be. */
#include "tests/linear/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BUFFER_MAX       (1u << 20)
#define PATIENCE_SECONDS 60

static _Noreturn void end_with(int status, const char *format, va_list arguments) {
    (void)fputs(status == 1 ? "linear: NOT linearizable: " : "linear: ", stdout);
    (void)vprintf(format, arguments);
    (void)putchar('\n');
    (void)fflush(stdout);
    _exit(status);
}

void wire_wrong(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    end_with(1, format, arguments);
}

void wire_failed(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    end_with(2, format, arguments);
}

void wire_open(struct wire *w, uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    const int on = 1;

    *w = (struct wire){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    w->in = malloc(BUFFER_MAX);
    w->out = malloc(BUFFER_MAX);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (w->fd < 0 || w->in == NULL || w->out == NULL) wire_failed("no socket or no memory");
    if (connect(w->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
        wire_failed("port %u: %s", port, strerror(errno));
    if (setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
        setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0)
        wire_failed("setsockopt: %s", strerror(errno));
}

void wire_close(struct wire *w) {
    (void)close(w->fd);
    free(w->in);
    free(w->out);
}

void wire_add(struct wire *w, const void *bytes, size_t len) {
    if (len > BUFFER_MAX - w->out_len) wire_failed("a batch of requests beyond %u bytes", BUFFER_MAX);
    memcpy(w->out + w->out_len, bytes, len);
    w->out_len += len;
}

void wire_addf(struct wire *w, const char *format, ...) {
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (len < 0 || (size_t)len >= sizeof(text)) wire_failed("a request line beyond %zu bytes", sizeof(text));
    wire_add(w, text, (size_t)len);
}

void wire_send(struct wire *w) {
    for (size_t sent = 0; sent < w->out_len;) {
        ssize_t got = send(w->fd, w->out + sent, w->out_len - sent, MSG_NOSIGNAL);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) wire_failed("send: %s", strerror(errno));
        sent += (size_t)got;
    }
    w->out_len = 0;
}

static void receive(struct wire *w) {
    ssize_t got;

    if (w->start > 0) {
        memmove(w->in, w->in + w->start, w->end - w->start);
        w->end -= w->start;
        w->start = 0;
    }
    do got = recv(w->fd, w->in + w->end, BUFFER_MAX - w->end, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        wire_failed("no reply: %s", got < 0 ? strerror(errno) : w->end == BUFFER_MAX ? "it is too long" : "closed");
    w->end += (size_t)got;
}

char *wire_line(struct wire *w) {
    for (size_t looked = 0;;) {
        char *line = w->in + w->start;
        size_t have = w->end - w->start;
        char *end = have > looked ? memchr(line + looked, '\n', have - looked) : NULL;

        if (end == NULL) {
            looked = have;
            receive(w);
            continue;
        }
        if (end == line || end[-1] != '\r') wire_wrong("a line of a reply does not end with CRLF");
        end[-1] = '\0';
        w->start += (size_t)(end + 1 - line);
        return line;
    }
}

char *wire_bytes(struct wire *w, size_t len) {
    while (w->end - w->start < len) receive(w);
    w->start += len;
    return w->in + w->start - len;
}
