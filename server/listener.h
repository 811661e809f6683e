/* listener.h - the sockets that connections come from.
 *
 * All listeners live on worker 0's loop; what they accept goes to the worker with the fewest connections, taken in
 * turn among equals. Worker 0's thread only, once its loop runs. */
#ifndef STROBE_SERVER_LISTENER_H
#define STROBE_SERVER_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct door;
struct listener;
struct services;

/* Room for a message. */
enum { LISTENER_ERROR_TEXT = 256 };

/* Binds ADDRESS (an IPv4 or IPv6 address) and PORT (CONFIG_PORT_AUTO: any) for DOOR, and logs the port. Owned by
 * the caller. On failure NULL, and ERROR says why. */
struct listener *listener_open_tcp(struct services *services, const struct door *door, const char *address,
                                   uint32_t port, char error[LISTENER_ERROR_TEXT]);

/* The same for a Unix socket at PATH with MODE. A socket file that nobody listens on any more is replaced. */
struct listener *listener_open_unix(struct services *services, const struct door *door, const char *path, uint32_t mode,
                                    char error[LISTENER_ERROR_TEXT]);

/* Starts accepting. Results: 0, or a uv error. */
int listener_start(struct listener *listener);

/* The port it got; 0 for a Unix socket. */
uint32_t listener_port(const struct listener *listener);

/* Stops accepting, removes the Unix socket's file; the memory goes when the loop has let go. */
void listener_close(struct listener *listener);

#endif
