/* dial.c - from a name and a port, or a path, to connections. */
#include "clients/bench/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

int dial(const struct address *address, uint64_t timeout) {
    const struct timeval patience = {.tv_sec = (time_t)(timeout / 1000),
                                     .tv_usec = (suseconds_t)(timeout % 1000 * 1000)};
    const int family = address->bytes.ss_family, one = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) return -1;
    /* The patience for sending is that for connecting, too (socket(7)). */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (family != AF_UNIX) (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)&address->bytes, address->len) == 0) return fd;
    int why = errno == EINPROGRESS ? ETIMEDOUT : errno;
    close(fd);
    errno = why;
    return -1;
}

bool dial_unblock(int fd) {
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Does somebody answer at ADDRESS? */
static bool answers(const struct address *address, uint64_t timeout) {
    int fd = dial(address, timeout);

    if (fd < 0) return false;
    close(fd);
    return true;
}

static bool find_unix(const struct bench_options *options, struct address *address, char *error) {
    struct sockaddr_un *path = (struct sockaddr_un *)&address->bytes;

    memset(address, 0, sizeof *address);
    path->sun_family = AF_UNIX;
    strncpy(path->sun_path, options->unix_socket, sizeof path->sun_path - 1);
    address->len = sizeof *path;
    if (answers(address, options->timeout)) return true;
    snprintf(error, OPTIONS_ERROR_TEXT, "cannot connect to %.100s: %s", options->unix_socket, strerror(errno));
    return false;
}

bool dial_find(const struct bench_options *options, struct address *address, char *error) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char port[24];
    bool good = false;

    if (options->unix_socket != NULL) return find_unix(options, address, error);
    snprintf(port, sizeof port, "%" PRIu64, options->port);
    int status = getaddrinfo(options->host, port, &hints, &found);
    if (status != 0) {
        snprintf(error, OPTIONS_ERROR_TEXT, "cannot find %.100s: %s", options->host, gai_strerror(status));
        return false;
    }
    for (const struct addrinfo *one = found; one != NULL && !good; one = one->ai_next) {
        memset(address, 0, sizeof *address);
        memcpy(&address->bytes, one->ai_addr, one->ai_addrlen);
        address->len = one->ai_addrlen;
        good = answers(address, options->timeout);
    }
    if (!good)
        snprintf(error, OPTIONS_ERROR_TEXT, "cannot connect to %.100s port %s: %s", options->host, port,
                 strerror(errno));
    freeaddrinfo(found);
    return good;
}
