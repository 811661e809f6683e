/* rollcall.h - "has every loop come by since?": for what must hold on all loops before a command is answered (CLIENT
 * KILL, CLIENT PAUSE, CONFIG SET). Any thread. */
#ifndef STROBE_SERVER_ROLLCALL_H
#define STROBE_SERVER_ROLLCALL_H

#include <stdbool.h>
#include <stdint.h>

struct rollcall;

/* For LOOPS loops. Owned by the caller; NULL without memory. */
struct rollcall *rollcall_new(unsigned loops);
void rollcall_free(struct rollcall *rollcall);

/* Begins a call and gives its number. The caller then asks every loop. */
uint64_t rollcall_begin(struct rollcall *rollcall);

/* The latest call that was begun. A loop looks before it does what is asked: what comes up later is not in it. */
uint64_t rollcall_latest(struct rollcall *rollcall);

/* LOOP is between two events and has done what was asked before call NUMBER was begun. true: with it all have answered
 * a call, and those who wait for one are to look again. */
bool rollcall_answer(struct rollcall *rollcall, unsigned loop, uint64_t number);

/* Is there nothing left to wait for: have all loops answered call NUMBER, or was the roll closed? */
bool rollcall_is_done(struct rollcall *rollcall, uint64_t number);

/* Have all loops answered it, closed or not? */
bool rollcall_is_answered(struct rollcall *rollcall, uint64_t number);

/* The server stops, and loops end: nobody waits for an answer any more. */
void rollcall_close(struct rollcall *rollcall);

#endif
