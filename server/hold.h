/* hold.h - a connection that waits for the end of a pause (pause.h), whichever door it came through. Its thread. */
#ifndef STROBE_SERVER_HOLD_H
#define STROBE_SERVER_HOLD_H

#include <stdbool.h>

struct conn;

/* Does a pause hold what CONN is about to execute, which IS_WRITE or not? Then it sleeps, as with a job, and comes with
 * the same bytes again: the door answers PAUSE and has not used them. From a door's input; ask only while
 * ATTENTION_PAUSE is set. */
bool hold_begin(struct conn *conn, bool is_write);

/* For a job, before it writes what others see: does a pause hold it? Then its step is to be WAIT. */
bool hold_goes_on(struct conn *conn);

#endif
