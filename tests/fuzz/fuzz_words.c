/* fuzz_words.c - any bytes as a batch: read the same whatever the pieces, checked the same, and read back when they are
 * written again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"
#include "protocol/json_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool yes) {
    if (!yes) abort();
}

/* What was read, in a form that is easy to compare: words with their lengths before them. */
struct trace {
    struct strobe_out_pool pool;
    struct strobe_out out;   /* the words */
    struct strobe_out again; /* the commands, written as JSON again */
    size_t commands, faults, fault_at;
};

static void take(struct trace *trace, const struct strobe_request *request) {
    struct strobe_json json;

    strobe_json_init(&json, &trace->again);
    strobe_json_array_begin(&json);
    for (size_t i = 0; i < request->argc; i++) {
        strobe_out_append(&trace->out, strobe_slice_make((const char *)&request->args[i].len, sizeof(size_t)));
        strobe_out_append(&trace->out, request->args[i]);
        strobe_json_string(&json, request->args[i]);
    }
    strobe_json_array_end(&json);
    strobe_json_newline(&json);
}

static void read_all(struct trace *trace, const uint8_t *data, size_t size, enum strobe_json_form form, size_t budget,
                     bool is_check) {
    struct strobe_json_words words;
    struct strobe_request request;
    char *copy = malloc(size > 0 ? size : 1);
    size_t left = budget;
    bool is_over = false;

    expect(copy != NULL);
    if (size > 0) memcpy(copy, data, size);
    *trace = (struct trace){.commands = 0};
    strobe_out_pool_init(&trace->pool, 4);
    strobe_out_init(&trace->out, &trace->pool, SIZE_MAX / 2);
    strobe_out_init(&trace->again, &trace->pool, SIZE_MAX / 2);
    strobe_request_init(&request);
    strobe_json_words_init(&words, copy, size, form, is_check);
    for (; !is_over; left = budget) {
        switch (strobe_json_words_next(&words, is_check ? NULL : &request, &left)) {
        case STROBE_JSON_COMMAND:
            trace->commands++;
            if (!is_check) take(trace, &request);
            break;
        case STROBE_JSON_MORE: break;
        case STROBE_JSON_BAD:
            trace->faults++;
            trace->fault_at += strobe_json_words_fault_at(&words);
            is_over = form == STROBE_JSON_ARRAY;
            while (!is_over && !strobe_json_words_skip(&words, &left)) left = budget;
            break;
        default: is_over = true; break;
        }
    }
    if (is_check && size > 0) expect(memcmp(copy, data, size) == 0);
    strobe_request_fini(&request);
    free(copy);
}

static void end(struct trace *trace) {
    strobe_out_fini(&trace->out);
    strobe_out_fini(&trace->again);
    strobe_out_pool_fini(&trace->pool);
}

static char *flat(const struct strobe_out *out, size_t *len) {
    char *bytes = malloc(strobe_out_pending(out) + 1);

    expect(bytes != NULL);
    for (*len = 0; *len < strobe_out_pending(out);) {
        struct strobe_slice run = strobe_out_peek(out, *len);

        memcpy(bytes + *len, run.data, run.len);
        *len += run.len;
    }
    return bytes;
}

static void same(const struct trace *one, const struct trace *other) {
    size_t a, b;
    char *left = flat(&one->out, &a), *right = flat(&other->out, &b);

    expect(one->commands == other->commands && a == b && memcmp(left, right, a) == 0);
    free(left);
    free(right);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum strobe_json_form form = strobe_json_form_of(strobe_slice_make((const char *)data, size));
    struct trace whole, pieces, check, again;
    size_t len;
    char *text;

    read_all(&whole, data, size, form, SIZE_MAX / 2, false);
    read_all(&pieces, data, size, form, 1, false);
    same(&whole, &pieces);
    expect(whole.faults == pieces.faults && whole.fault_at == pieces.fault_at);
    read_all(&check, data, size, form, 3, true);
    expect(whole.commands == check.commands && whole.faults == check.faults && whole.fault_at == check.fault_at);
    text = flat(&whole.again, &len);
    read_all(&again, (const uint8_t *)text, len, STROBE_JSON_LINES, 5, false);
    same(&whole, &again);
    expect(again.faults == 0);
    free(text);
    end(&whole);
    end(&pieces);
    end(&check);
    end(&again);
    return 0;
}
