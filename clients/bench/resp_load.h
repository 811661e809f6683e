/* resp_load.h - the load over Redis's protocol. */
#ifndef STROBE_CLIENTS_BENCH_RESP_LOAD_H
#define STROBE_CLIENTS_BENCH_RESP_LOAD_H

#include "clients/bench/load.h"

extern const struct door resp_door;

/* Are the replies to COMMAND (a template) the values of its keys? */
bool resp_command_reads(const char *command);

#endif
