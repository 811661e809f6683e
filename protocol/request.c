/* request.c - the words of one command, in a table that is used again.
 *
 * Always: `args` is `few` or an allocation; argc <= capacity.
 * On failure: nothing has changed.
 * Not here: where the words come from (resp_parser.c, http_request.c). */

#include "protocol/request.h"

#include <assert.h>
#include <stdlib.h>

void strobe_request_init(struct strobe_request *request) {
    request->args = request->few;
    request->argc = 0;
    request->size = 0;
    request->is_inline = false;
    request->capacity = STROBE_REQUEST_FEW;
    request->scratch = NULL;
    request->scratch_capacity = 0;
}

/* Back to the words that cost nothing. */
static void request_drop_args(struct strobe_request *request) {
    if (request->args != request->few) {
        free(request->args);
    }
    request->args = request->few;
    request->capacity = STROBE_REQUEST_FEW;
    request->argc = 0;
}

static void request_drop_scratch(struct strobe_request *request) {
    free(request->scratch);
    request->scratch = NULL;
    request->scratch_capacity = 0;
}

void strobe_request_fini(struct strobe_request *request) {
    request_drop_args(request);
    request_drop_scratch(request);
}

void strobe_request_reset(struct strobe_request *request) {
    if (request->capacity > STROBE_SCRATCH_KEEP / sizeof *request->args) {
        request_drop_args(request);
    }
    if (request->scratch_capacity > STROBE_SCRATCH_KEEP) {
        request_drop_scratch(request);
    }
    request->argc = 0;
    request->size = 0;
    request->is_inline = false;
}

enum strobe_buf_status strobe_request_grow(struct strobe_request *request) {
    bool few = request->args == request->few;
    size_t capacity = request->capacity * 2;
    struct strobe_slice *args = realloc(few ? NULL : request->args, capacity * sizeof *args);

    if (args == NULL) {
        return STROBE_BUF_NO_MEMORY;
    }
    if (few) {
        memcpy(args, request->few, request->argc * sizeof *args);
    }
    request->args = args;
    request->capacity = capacity;
    return STROBE_BUF_OK;
}

char *strobe_request_scratch(struct strobe_request *request, size_t len) {
    if (request->scratch == NULL || request->scratch_capacity < len) {
        char *scratch = malloc(len > 0 ? len : 1);

        if (scratch == NULL) {
            return NULL;
        }
        free(request->scratch);
        request->scratch = scratch;
        request->scratch_capacity = len;
    }
    return request->scratch;
}

void strobe_request_adopt(struct strobe_request *request, struct strobe_buf *buf) {
    assert(buf->start == 0);
    free(request->scratch);
    request->scratch = buf->data;
    request->scratch_capacity = buf->capacity;
    strobe_buf_init(buf, buf->max);
}

enum strobe_buf_status strobe_request_put_away(struct strobe_request *request, struct strobe_request_words *words) {
    if (request->args == request->few) {
        words->args = malloc(sizeof request->few);
        if (words->args == NULL) {
            return STROBE_BUF_NO_MEMORY;
        }
        memcpy(words->args, request->few, request->argc * sizeof *words->args);
    } else {
        words->args = request->args;
        request->args = request->few;
    }
    words->argc = request->argc;
    words->capacity = request->capacity;
    request->capacity = STROBE_REQUEST_FEW;
    request->argc = 0;
    return STROBE_BUF_OK;
}

void strobe_request_bring_back(struct strobe_request *request, struct strobe_request_words *words) {
    request_drop_args(request);
    request->args = words->args;
    request->argc = words->argc;
    request->capacity = words->capacity;
    *words = (struct strobe_request_words){NULL, 0, 0};
}
