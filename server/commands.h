/* commands.h - the handlers of commands.def, and what the cmd_*.c files share. For them and command.c
 * alone. */
#ifndef STROBE_SERVER_COMMANDS_H
#define STROBE_SERVER_COMMANDS_H

#include "server/command.h"

/* Every handler that a row names. One that serves two rows is declared twice, which C allows. */
#define COMMAND(name, run, ...) enum command_outcome run(struct command_call *call);
#include "server/commands.def"
#undef COMMAND

/* Between MULTI and EXEC: keeps a call until EXEC, or refuses it. */
void commands_wait(struct command_call *call);

/* An EXEC that cannot be one, because WHY: the transaction is discarded. */
void commands_abort(struct command_call *call, const char *why);

#endif
