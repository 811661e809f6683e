/* sender.h - small replies to many sockets in one system call.
 *
 * Of one thread. What it is given is sent before sender_go() returns, or not at all: nothing stays under way, so the
 * bytes and the descriptors are the caller's again. */
#ifndef STROBE_SERVER_SENDER_H
#define STROBE_SERVER_SENDER_H

#include "protocol/slice.h"

enum { SENDER_MAX = 32 }; /* sends of one go */

struct sender;

/* Owned by the caller. Results: NULL when the system has not what it takes (an older kernel, a sandbox) or no memory;
 * then send one by one. */
struct sender *sender_new(void);
void sender_free(struct sender *sender);

/* One more send for the next go, the SENDER_MAX-th at most: BYTES to the stream socket FD, both borrowed until then.
 * Numbered from 0 in each go. */
void sender_add(struct sender *sender, int fd, struct strobe_slice bytes);

/* Offers all of them to their sockets without waiting for any. SENT[i] is what send() would have said of number i: how
 * many bytes were taken, or -errno; -EAGAIN also for one that was not tried. */
void sender_go(struct sender *sender, int sent[SENDER_MAX]);

#endif
