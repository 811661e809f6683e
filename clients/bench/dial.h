/* dial.h - where the server is, and connections to it. */
#ifndef STROBE_CLIENTS_BENCH_DIAL_H
#define STROBE_CLIENTS_BENCH_DIAL_H

#include <stdbool.h>
#include <sys/socket.h>

#include "clients/bench/options.h"

struct address {
    struct sockaddr_storage bytes;
    socklen_t len;
};

/* Looks up where OPTIONS point, and connects once to see which of several addresses answers. False: ERROR
 * (OPTIONS_ERROR_TEXT) says why. Blocks. */
bool dial_find(const struct bench_options *options, struct address *address, char *error);

/* A connection to ADDRESS, or -1 and errno; blocks for at most TIMEOUT milliseconds. The socket itself blocks unless
 * dial_unblock() is called. */
int dial(const struct address *address, uint64_t timeout);
bool dial_unblock(int fd);

#endif
