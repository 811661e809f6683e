/* monitors.h - MONITOR: every command of every loop as a line, to those who asked for it.
 *
 *     loop 0: command, command ... -> its run of lines --publish--> inbox of each monitor --deliver--> its connection
 *     loop 1: command, command ... -> its run of lines --^                          (on the loop of the monitor)
 *
 * A run is made once and shared by all monitors. */
#ifndef STROBE_SERVER_MONITORS_H
#define STROBE_SERVER_MONITORS_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/slice.h"

struct attention;
struct client;
struct command;
struct conn;
struct monitor;
struct monitors;

/* For LOOPS loops. Tells ATTENTION (borrowed) while there is a monitor; calls WAKE(CONTEXT, loop) on any thread when
 * that loop is to deliver. Owned by the caller; NULL without memory. */
struct monitors *monitors_new(unsigned loops, struct attention *attention, void (*wake)(void *context, unsigned loop),
                              void *context);
void monitors_free(struct monitors *monitors);

/* Makes CONN (borrowed until monitor_leave), which belongs to LOOP, a monitor. Its thread. NULL without memory. */
struct monitor *monitors_join(struct monitors *monitors, unsigned loop, struct conn *conn);

/* Ends it; what was not delivered is forgotten. The thread of its loop. NULL is allowed. */
void monitor_leave(struct monitor *monitor);

/* Nothing is delivered to it while QUIET (CLIENT REPLY OFF). The thread of its loop. */
void monitor_quiet(struct monitor *monitor, bool quiet);

/* Adds the line of a command that CLIENT executed on LOOP: COUNT words at ARGS, of row COMMAND. Passwords are left
 * out. LOOP's thread. At most MOST bytes wait to be published; monitors that miss a line for that are closed. */
void monitors_show(struct monitors *monitors, unsigned loop, size_t most, const struct client *client,
                   const struct command *command, const struct strobe_slice *args, size_t count);

/* Gives what was shown on LOOP to all monitors, each of which may have MOST bytes waiting. Before the replies to those
 * commands are sent. LOOP's thread. */
void monitors_publish(struct monitors *monitors, unsigned loop, size_t most);

/* Writes what waits for the monitors of LOOP to their connections, but for those in the middle of a reply, and closes
 * those for whom too much waited. LOOP's thread, between two events. */
void monitors_deliver(struct monitors *monitors, unsigned loop);

#endif
