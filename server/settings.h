/* settings.h - other options while the server runs: SIGHUP, CONFIG SET, CONFIG REWRITE. One at a time, on any thread;
 * loops take over what changed when they come by (services_call_roll). */
#ifndef STROBE_SERVER_SETTINGS_H
#define STROBE_SERVER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/config.h"

struct services;

/* Room for MAX_CLIENTS descriptors; when the system gives fewer, a warning, and as many connections as there is room
 * for: one that waited for a descriptor would wait without a word. */
void settings_fit_descriptors(struct services *services, uint64_t max_clients);

/* How many of MAX_CLIENTS connections the system gives descriptors for, asked now. Any thread. */
uint64_t settings_clients_possible(const struct services *services, uint64_t max_clients);

/* Reads the config file and the command line anew, as at the start, and opens the log again. Results: was that done?
 * What was wrong is in the log: options of which one is not good change nothing, a log that cannot be opened goes on
 * where it was. */
bool settings_reload(struct services *services, int argc, char *const *argv);

/* What becomes of the options when EDIT has changed the copy FRESH: all of it, or nothing when it answers false. */
typedef bool settings_edit(void *context, struct config *fresh);
enum settings_result { SETTINGS_DONE, SETTINGS_REFUSED, SETTINGS_NO_MEMORY };
enum settings_result settings_change(struct services *services, settings_edit *edit, void *context);

/* Writes the options in force into the config file, which there is. Results: false with errno. */
bool settings_rewrite(struct services *services);

#endif
