/* pool.h - libuv's threads for work that no loop should do: started before they are needed. */
#ifndef STROBE_SERVER_POOL_H
#define STROBE_SERVER_POOL_H

#include <stdbool.h>

/* Starts all threads of libuv's pool (UV_THREADPOOL_SIZE of them, 4 unless it says otherwise) and waits until each has
 * worked. Once, before anybody is listened to. false: the system has no room for them. */
bool pool_start(void);

#endif
