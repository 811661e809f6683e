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

/* Takes ENTRY (or NULL) to be freed when the locks are left, or at once when much waits for that. */
void exec_bury(struct exec *exec, struct strobe_entry *entry);

/* For APPEND and SETRANGE: may they copy LEN bytes more inside? It counts them then. The first copy always may be; more
 * than max-buffers leaves room for may not. */
bool exec_may_copy(struct exec *exec, size_t len);

/* Was BLOB made by the command before this one, so that nobody else can have seen it? It may be changed in place. */
bool exec_owns(const struct exec *exec, const struct strobe_blob *blob);

/* The command that runs now made BLOB (shared), or changed it in place. */
void exec_own(struct exec *exec, struct strobe_blob *blob);

/* For a row with COMMAND_SNAPSHOT: gives the snapshot of what was before EXEC's first change. Once for each such
 * command. Results: OK, or why there is none. */
enum strobe_status exec_snapshot(struct exec *exec, struct strobe_snapshot **snapshot);

/* For FLUSHALL, inside: what strobe_flush_inside works with, which EXEC frees. NULL: there was no memory. */
struct strobe_garbage *exec_garbage(struct exec *exec);

#endif
