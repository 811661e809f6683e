/* roll_job.h - a command that is answered when every loop has come by: what it changed holds everywhere then. */
#ifndef STROBE_SERVER_ROLL_JOB_H
#define STROBE_SERVER_ROLL_JOB_H

#include <stdint.h>

#include "server/command.h"

struct roll_job;

enum { ROLL_OK = -1 };

/* Before anything is changed. Owned by the caller; NULL without memory, and an error is written. */
struct roll_job *roll_job_new(struct command_call *call);
void roll_job_free(struct roll_job *job);

/* Calls the roll, and answers CALL after it with ANSWER, or with OK for ROLL_OK. Takes JOB. Gives the outcome:
 * LATER. */
enum command_outcome roll_job_start(struct roll_job *job, struct command_call *call, int64_t answer);

#endif
