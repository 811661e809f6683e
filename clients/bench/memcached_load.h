/* memcached_load.h - the load over memcached's text protocol: get and set, for the figures beside ours. */
#ifndef STROBE_CLIENTS_BENCH_MEMCACHED_LOAD_H
#define STROBE_CLIENTS_BENCH_MEMCACHED_LOAD_H

#include "clients/bench/load.h"

extern const struct door memcached_door;

#endif
