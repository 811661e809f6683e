/* roll_job.c - the job of a command that waits for all loops (rollcall.h).
 *
 * It sleeps between its looks: a loop that has answered the roll as the last one wakes it. */
#include "server/roll_job.h"

#include <stdlib.h>

#include "server/services.h"

struct roll_job {
    struct command_job job; /* first, so that one is the other */
    struct services *services;
    uint64_t number;
    int64_t answer;
};

static enum command_slice slice(struct command_job *job, struct strobe_reply *reply) {
    const struct roll_job *roll = (const struct roll_job *)job;

    if (!services_roll_is_done(roll->services, roll->number)) return COMMAND_SLICE_WAIT;
    if (roll->answer == ROLL_OK) {
        strobe_reply_ok(reply);
    } else {
        strobe_reply_integer(reply, roll->answer);
    }
    return COMMAND_SLICE_DONE;
}

static void release(struct command_job *job) {
    free(job);
}

struct roll_job *roll_job_new(struct command_call *call) {
    struct roll_job *job = malloc(sizeof *job);

    if (job == NULL) command_error_status(call, STROBE_NO_MEMORY);
    return job;
}

void roll_job_free(struct roll_job *job) {
    free(job);
}

enum command_outcome roll_job_start(struct roll_job *job, struct command_call *call, int64_t answer) {
    *job = (struct roll_job){
        .job = {.slice = slice, .release = release, .memory = sizeof *job},
        .services = call->services,
        .answer = answer,
    };
    job->number = services_call_roll(call->services);
    call->job = &job->job;
    return COMMAND_LATER;
}
