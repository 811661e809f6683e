/* exec.h - EXEC under way: what the commands that it runs may use of it. */
#ifndef STROBE_SERVER_EXEC_H
#define STROBE_SERVER_EXEC_H

#include "map/map.h"
#include "server/command.h"

struct exec;
struct transaction;

/* Executes TRANSACTION (taken) and writes the reply of CALL, an EXEC. Outcomes: DONE, LATER. */
enum command_outcome exec_run(struct command_call *call, struct transaction *transaction) STROBE_OUTSIDE;

/* For the command that EXEC runs now: the blob that holds its word I, borrowed until it returns, or NULL. */
struct strobe_blob *exec_blob(const struct exec *exec, size_t i);

/* Takes ENTRY (or NULL) to be freed when the locks are left. */
void exec_bury(struct exec *exec, struct strobe_entry *entry);

/* For a row with COMMAND_SNAPSHOT: gives the snapshot of what was before EXEC's first change. Once for each such
 * command. Results: OK, or why there is none. */
enum strobe_status exec_snapshot(struct exec *exec, struct strobe_snapshot **snapshot);

/* For FLUSHALL, inside: what strobe_flush_inside works with, which EXEC frees. NULL: there was no memory. */
struct strobe_garbage *exec_garbage(struct exec *exec);

#endif
