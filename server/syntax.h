/* syntax.h - a command's syntax text as the list of arguments that COMMAND DOCS gives. */
#ifndef STROBE_SERVER_SYNTAX_H
#define STROBE_SERVER_SYNTAX_H

#include "protocol/reply.h"
#include "protocol/slice.h"

/* Writes the array of arguments of SYNTAX ("key [NX | XX] [key ...]"), each a map as Redis lays it out. */
void syntax_write(struct strobe_reply *reply, struct strobe_slice syntax);

#endif
