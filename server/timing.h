/* timing.h - how long the commands of a batch took, at the cost of a clock for each batch, not for each command.
 *
 * Of the text door alone. One struct lives as long as the door looks at one input; all of it is for the worker's own
 * thread. */
#ifndef STROBE_SERVER_TIMING_H
#define STROBE_SERVER_TIMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/command.h"

struct conn;
struct latency_slot;
struct slowlog_entry;

struct timing {
    struct conn *conn;
    struct latency_slot *slot;
    uint64_t threshold; /* nanoseconds; 0: every command is timed by itself */
    uint64_t mark;      /* when what runs now began */
    uint64_t slept;     /* the worker's sum of waits for locks then */
    uint64_t came_us;   /* how long the first request of the input took to come; 0 for those after it */
};

/* The input that CONN is looked at with begins. */
void timing_begin(struct timing *timing, struct conn *conn);

/* Execution begins, after what was no command's own time. */
void timing_start(struct timing *timing);

/* Shall CALL be timed by itself? Else it is part of a run of short ones. */
bool timing_is_alone(const struct timing *timing, const struct command_call *call);

/* COUNT calls from CALLS on (0: none) were executed since the last mark; those were all short, or it is one. */
void timing_end(struct timing *timing, const struct command_call *calls, size_t count);

/* The time of a call that goes on as a job. */
struct timing_job {
    struct slowlog_entry *entry; /* owned; NULL: there was no memory for it */
    const struct command *command;
    uint64_t busy;       /* in slices so far, and in the call */
    uint64_t slept;      /* of that */
    uint64_t loop, peer; /* between slices: for other connections, for the peer to take replies */
    uint64_t mark;       /* the end of the last slice */
};

/* CALL has left a job, which began with it. */
void timing_job_begin(struct timing *timing, struct timing_job *job, const struct command_call *call);

/* Around a slice. WAITED_FOR_PEER: what was written before it had to go first. */
struct timing_slice {
    uint64_t began, slept;
};
struct timing_slice timing_slice_begin(struct timing_job *job, struct conn *conn, bool waited_for_peer);
void timing_slice_end(struct timing_job *job, struct conn *conn, struct timing_slice slice);

/* The job is over, or its connection is. */
void timing_job_end(struct timing_job *job, struct conn *conn);

/* What conn.h calls when the replies are with the system. */
void timing_flushed(struct conn *conn);

#endif
