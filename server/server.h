/* server.h - the whole process put together: configuration, map, workers, listeners, signals. */
#ifndef STROBE_SERVER_SERVER_H
#define STROBE_SERVER_SERVER_H

#include "server/config.h"

/* Serves until SIGTERM or SIGINT with CONFIG (taken). ARGC and ARGV (borrowed) are read again on SIGHUP.
 * Returns the exit status of the process: 0 after an orderly stop, 1 when it could not start. */
int server_run(struct config *config, int argc, char *const *argv);

#endif
