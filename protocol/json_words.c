/* json_words.c - reads the one kind of JSON that a batch may hold: arrays of words.
 *
 *      TEXT --'['--> FIRST --'['--> WORD_FIRST --word--> AFTER_WORD --']'--> AFTER --','--> COMMAND ...
 *                      '--']'--> CLOSED            '---','-> WORD            '--']'--> CLOSED
 *                                  "  STRING      { OBJECT "base64" COLON : WORD " STRING " OBJECT_END }
 *
 * Not jansson: its tree would hold a value two or three times, its numbers lose the text that they were sent in, and it
 * does not stop in the middle of a large value to let others have their turn.
 * Always: each byte is looked at once, but for the last few of a piece; what is decoded is never longer than what it
 * was written as, so it is put where it stood; no byte beyond LEN is read; nothing nests, so there is no depth.
 * Strict: UTF-8 only (no surrogates, also not as escapes), no control in a string, numbers as RFC 8259 has them, base64
 * with its padding. A line of LINES ends a command that it began.
 * On failure: the fault stays until skip(). Not here: what the words mean (server/http_batch.c). */
#include "protocol/json_words.h"

#include <string.h>

#include "protocol/json.h"
#include "protocol/limits.h"

enum {
    FORM_LOOK = 65536, /* bytes of white space before a text of which the form is still found */
    NUMBER_MAX = 1024, /* characters of a number */
    PIECE_LEAST = 8    /* a piece of a string holds at least one whole character */
};

enum state {
    TEXT,
    FIRST,
    COMMAND,
    WORD_FIRST,
    WORD,
    AFTER_WORD,
    STRING,
    OBJECT,
    OBJECT_COLON,
    OBJECT_WORD,
    OBJECT_END,
    AFTER,
    CLOSED,
    FAULTY
};

/* What a step of the machine came to. */
enum step { STEP_ON, STEP_COMMAND, STEP_END, STEP_BAD, STEP_NO_MEMORY };

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

enum strobe_json_form strobe_json_form_of(struct strobe_slice text) {
    size_t most = text.len < FORM_LOOK ? text.len : FORM_LOOK;
    size_t i = 0;

    while (i < most && is_space(text.data[i])) i++;
    if (i == most || text.data[i] != '[') return STROBE_JSON_LINES;
    i++;
    while (i < most && is_space(text.data[i])) i++;
    return i < most && (text.data[i] == '[' || text.data[i] == ']') ? STROBE_JSON_ARRAY : STROBE_JSON_LINES;
}

void strobe_json_words_init(struct strobe_json_words *words, char *data, size_t len, enum strobe_json_form form,
                            bool is_check) {
    *words = (struct strobe_json_words){.data = data,
                                        .len = len,
                                        .form = form,
                                        .is_check = is_check,
                                        .state = form == STROBE_JSON_ARRAY ? TEXT : COMMAND};
}

size_t strobe_json_words_fault_at(const struct strobe_json_words *words) {
    return words->at - words->line + 1;
}

static enum step bad(struct strobe_json_words *words, const char *fault) {
    words->state = FAULTY;
    words->fault = fault;
    return STEP_BAD;
}

static enum step on(struct strobe_json_words *words, enum state state) {
    words->at++;
    words->state = (unsigned char)state;
    return STEP_ON;
}

/* ---- strings -------------------------------------------------------------------------------------------- */

/* One digit of base64, or a '=' behind the last. */
static bool take_digit(struct strobe_json_words *words, char c) {
    unsigned value;

    if (c >= 'A' && c <= 'Z') {
        value = (unsigned)(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
        value = (unsigned)(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
        value = (unsigned)(c - '0') + 52;
    } else if (c == '+' || c == '/') {
        value = c == '+' ? 62 : 63;
    } else {
        words->pads++;
        return c == '=' && words->pads <= 2 && words->digits + words->pads <= 4 && words->digits >= 2;
    }
    if (words->pads > 0) return false;
    words->digits = (unsigned char)(words->digits % 4 + 1);
    words->bits = words->bits << 6 | value;
    if (words->digits == 1) return true;
    if (!words->is_check) words->data[words->to] = (char)(words->bits >> (8 - 2 * words->digits));
    words->to++;
    return true;
}

/* Adds LEN decoded bytes, which may lie in DATA at or behind the place they go to, to the word. Gives how many were
 * taken: fewer than LEN when the next is no base64. */
static size_t take(struct strobe_json_words *words, const char *bytes, size_t len) {
    if (words->is_base64) {
        for (size_t i = 0; i < len; i++) {
            if (!take_digit(words, bytes[i])) return i;
        }
        return len;
    }
    if (!words->is_check && bytes != words->data + words->to) memmove(words->data + words->to, bytes, len);
    words->to += len;
    return len;
}

static enum step not_base64(struct strobe_json_words *words) {
    return bad(words, "expected base64 with its padding, as RFC 4648 has it");
}

/* Four hex digits at AT. */
static bool read_hex(const struct strobe_json_words *words, size_t at, uint32_t *unit) {
    *unit = 0;
    if (at > words->len || words->len - at < 4) return false;
    for (size_t i = 0; i < 4; i++) {
        char c = words->data[at + i];
        char letter = (char)(c | 0x20);

        if (c >= '0' && c <= '9') {
            *unit = *unit << 4 | (uint32_t)(c - '0');
        } else if (letter >= 'a' && letter <= 'f') {
            *unit = *unit << 4 | ((uint32_t)(letter - 'a') + 10);
        } else {
            return false;
        }
    }
    return true;
}

/* Writes POINT as UTF-8; gives the length. */
static size_t encode(uint32_t point, char text[4]) {
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

    for (size_t i = len - 1; i > 0; i--) {
        text[i] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    text[0] = (char)(leads[len] | point);
    return len;
}

/* \uXXXX, or two of them that are one character. */
static enum step read_unicode(struct strobe_json_words *words) {
    uint32_t point, low;
    char text[4];
    size_t used = 6, len;

    if (!read_hex(words, words->at + 2, &point)) return bad(words, "expected four hex digits behind \\u");
    if (point >= 0xd800 && point < 0xe000) {
        bool paired = point < 0xdc00 && words->len - words->at >= 12 && words->data[words->at + 6] == '\\' &&
                      words->data[words->at + 7] == 'u' && read_hex(words, words->at + 8, &low) && low >= 0xdc00 &&
                      low < 0xe000;

        if (!paired) return bad(words, "expected a pair of surrogates, \\ud83d\\ude00, and not half of one");
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        used = 12;
    }
    len = encode(point, text);
    if (take(words, text, len) < len) return not_base64(words);
    words->at += used;
    return STEP_ON;
}

static enum step read_escape(struct strobe_json_words *words) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *name;

    if (words->len - words->at < 2) return bad(words, "expected the rest of the string, and a quote at its end");
    if (words->data[words->at + 1] == 'u') return read_unicode(words);
    name = memchr(names, words->data[words->at + 1], sizeof names - 1);
    if (name == NULL) return bad(words, "expected one of \" \\ / b f n r t u behind the backslash");
    if (take(words, &meant[name - names], 1) < 1) return not_base64(words);
    words->at += 2;
    return STEP_ON;
}

/* How many bytes at the start of TEXT stand for themselves. */
static size_t plain(struct strobe_slice text) {
    size_t i = 0;

    while (i < text.len && (unsigned char)text.data[i] >= 0x20 && text.data[i] != '"' && text.data[i] != '\\') i++;
    return i;
}

static enum step end_string(struct strobe_json_words *words, struct strobe_request *request) {
    if (words->is_base64 && words->digits != 0 && words->digits + words->pads != 4) return not_base64(words);
    if (request != NULL && strobe_request_add(request, strobe_slice_make(words->data + words->from,
                                                                         words->to - words->from)) != STROBE_BUF_OK) {
        return STEP_NO_MEMORY;
    }
    return on(words, words->is_base64 ? OBJECT_END : AFTER_WORD);
}

/* The next bytes of a string: a run of plain ones, of MOST at most, or what stands behind it. */
static enum step read_string(struct strobe_json_words *words, struct strobe_request *request, size_t most) {
    size_t left = words->len - words->at;
    size_t piece = most < PIECE_LEAST ? PIECE_LEAST : most;
    struct strobe_slice run = {words->data + words->at, left < piece ? left : piece};
    size_t valid, taken;

    run.len = plain(run);
    if (run.len > 0) {
        bool is_cut = run.len == piece && run.len < left;

        valid = words->is_base64 ? run.len : strobe_utf8_valid(run);
        taken = take(words, run.data, valid);
        words->at += taken;
        if (taken < valid) return not_base64(words);
        if (valid < run.len && !(is_cut && run.len - valid < 4)) {
            return bad(words, "expected UTF-8; other bytes are sent as {\"base64\":\"...\"}");
        }
        return STEP_ON;
    }
    if (left == 0) return bad(words, "expected the rest of the string, and a quote at its end");
    if (run.data[0] == '\\') return read_escape(words);
    if (run.data[0] == '"') return end_string(words, request);
    return bad(words, "expected no control character in a string; a line end is written \\n");
}

static enum step begin_string(struct strobe_json_words *words, size_t quote, bool is_base64) {
    words->at = quote;
    words->from = words->to = quote + 1;
    words->is_base64 = is_base64;
    words->digits = words->pads = 0;
    words->bits = 0;
    return on(words, STRING);
}

/* ---- other words ---------------------------------------------------------------------------------------- */

static bool stands(const struct strobe_json_words *words, size_t at, struct strobe_slice text) {
    return words->len - at >= text.len && memcmp(words->data + at, text.data, text.len) == 0;
}

static enum step bad_object(struct strobe_json_words *words) {
    return bad(words, "expected {\"base64\":\"...\"}, the only object that is a word");
}

/* The next mark of an object, before its string. */
static enum step read_object(struct strobe_json_words *words) {
    static const struct strobe_slice name = {"\"base64\"", sizeof "\"base64\"" - 1};
    char c = words->data[words->at];

    if (words->state == OBJECT_COLON) return c == ':' ? on(words, OBJECT_WORD) : bad_object(words);
    if (words->state == OBJECT_WORD) return c == '"' ? begin_string(words, words->at, true) : bad_object(words);
    if (!stands(words, words->at, name)) return bad_object(words);
    words->at += name.len;
    words->state = OBJECT_COLON;
    return STEP_ON;
}

static size_t skip_digits(struct strobe_slice text, size_t at) {
    while (at < text.len && text.data[at] >= '0' && text.data[at] <= '9') at++;
    return at;
}

size_t strobe_json_number_len(struct strobe_slice text) {
    size_t at = text.len > 0 && text.data[0] == '-', end = skip_digits(text, at);

    if (end == at || (text.data[at] == '0' && end > at + 1)) return 0;
    if (end < text.len && text.data[end] == '.') {
        at = end + 1;
        end = skip_digits(text, at);
        if (end == at) return 0;
    }
    if (end < text.len && (text.data[end] | 0x20) == 'e') {
        at = end + 1;
        at += at < text.len && (text.data[at] == '+' || text.data[at] == '-');
        end = skip_digits(text, at);
        if (end == at) return 0;
    }
    return end;
}

static enum step read_literal(struct strobe_json_words *words, struct strobe_request *request) {
    struct strobe_slice text = {words->data + words->at, words->len - words->at};

    if (text.len > NUMBER_MAX) text.len = NUMBER_MAX;
    if (stands(words, words->at, STROBE_SLICE("true"))) {
        text.len = 4;
    } else if (stands(words, words->at, STROBE_SLICE("false"))) {
        text.len = 5;
    } else if (stands(words, words->at, STROBE_SLICE("null"))) {
        return bad(words, "expected a word; null is none, \"\" is an empty one");
    } else {
        size_t len = strobe_json_number_len(text);

        if (len == 0 || len == NUMBER_MAX) {
            return bad(words, "expected a word: a string, a number, true, false or {\"base64\":\"...\"}");
        }
        text.len = len;
    }
    if (request != NULL && strobe_request_add(request, text) != STROBE_BUF_OK) return STEP_NO_MEMORY;
    words->at += text.len;
    words->state = AFTER_WORD;
    return STEP_ON;
}

static enum step read_word(struct strobe_json_words *words, struct strobe_request *request) {
    if (words->words == STROBE_ARGS_MAX) return bad(words, "expected fewer words, 1048576 at most");
    words->words++;
    switch (words->data[words->at]) {
    case '"': return begin_string(words, words->at, false);
    case '{': return on(words, OBJECT);
    default: return read_literal(words, request);
    }
}

/* ---- commands ------------------------------------------------------------------------------------------- */

static enum step begin_command(struct strobe_json_words *words) {
    words->start = words->at;
    words->words = 0;
    return on(words, WORD_FIRST);
}

/* A ']' that ends a command. That of LINES counts when its line has ended too. */
static enum step end_command(struct strobe_json_words *words) {
    on(words, AFTER);
    return words->form == STROBE_JSON_ARRAY ? STEP_COMMAND : STEP_ON;
}

/* At the end of a line, or of all. */
static enum step end_line(struct strobe_json_words *words) {
    switch (words->state) {
    case COMMAND: return STEP_ON;
    case AFTER: words->state = COMMAND; return STEP_COMMAND;
    default: return bad(words, "expected the rest of the command; it ends on the line that it begins on");
    }
}

static enum step at_end(struct strobe_json_words *words) {
    if (words->state == CLOSED) return STEP_END;
    if (words->form == STROBE_JSON_ARRAY) return bad(words, "expected more; the array is not closed");
    return words->state == COMMAND ? STEP_END : end_line(words);
}

/* The byte at AT, which is no blank, outside of a string. */
static enum step read_mark(struct strobe_json_words *words, struct strobe_request *request) {
    bool is_array = words->form == STROBE_JSON_ARRAY;
    char c = words->data[words->at];

    switch ((enum state)words->state) {
    case TEXT: return c == '[' ? on(words, FIRST) : bad(words, "expected an array of commands");
    case FIRST:
        if (c == ']') return on(words, CLOSED);
        /* fallthrough */
    case COMMAND:
        return c == '[' ? begin_command(words) : bad(words, "expected a command, an array such as [\"GET\",\"key\"]");
    case WORD_FIRST:
        if (c == ']') return bad(words, "expected the name of a command; this one is empty");
        /* fallthrough */
    case WORD: return read_word(words, request);
    case AFTER_WORD:
        if (c == ']') return end_command(words);
        return c == ',' ? on(words, WORD) : bad(words, "expected , or ] behind a word");
    case OBJECT:
    case OBJECT_COLON:
    case OBJECT_WORD: return read_object(words);
    case OBJECT_END: return c == '}' ? on(words, AFTER_WORD) : bad(words, "expected } behind the base64 string");
    case AFTER:
        if (!is_array) return bad(words, "expected the end of the line behind a command");
        if (c == ']') return on(words, CLOSED);
        return c == ',' ? on(words, COMMAND) : bad(words, "expected , or ] behind a command");
    default: return bad(words, "expected nothing behind the array");
    }
}

/* Goes past blanks, MOST at most; in LINES not past a line end. */
static void skip_space(struct strobe_json_words *words, size_t most) {
    bool is_array = words->form == STROBE_JSON_ARRAY;
    size_t end = words->len - words->at < most ? words->len : words->at + most;

    while (words->at < end && is_space(words->data[words->at]) && (is_array || words->data[words->at] != '\n')) {
        words->at++;
    }
}

static enum step read_step(struct strobe_json_words *words, struct strobe_request *request, size_t most) {
    enum step step;

    if (words->state == FAULTY) return STEP_BAD;
    if (words->state == STRING) return read_string(words, request, most);
    skip_space(words, most);
    if (words->at == words->len) return at_end(words);
    if (words->data[words->at] == '\n' && words->form == STROBE_JSON_LINES) {
        step = end_line(words);
        if (step == STEP_BAD) return step;
        words->at++;
        words->line = words->at;
        return step;
    }
    return is_space(words->data[words->at]) ? STEP_ON : read_mark(words, request);
}

enum strobe_json_next strobe_json_words_next(struct strobe_json_words *words, struct strobe_request *request,
                                             size_t *budget) {
    static const enum strobe_json_next results[] = {[STEP_COMMAND] = STROBE_JSON_COMMAND,
                                                    [STEP_END] = STROBE_JSON_END,
                                                    [STEP_BAD] = STROBE_JSON_BAD,
                                                    [STEP_NO_MEMORY] = STROBE_JSON_NO_MEMORY};

    while (*budget > 0) {
        size_t before = words->at, used;
        enum step step;

        if (request != NULL && (words->state == COMMAND || words->state == FIRST)) strobe_request_reset(request);
        step = read_step(words, request, *budget);
        used = words->at - before;
        *budget -= used < *budget ? used : *budget;
        if (step == STEP_COMMAND && request != NULL) request->size = words->at - words->start;
        if (step == STEP_NO_MEMORY) words->state = FAULTY;
        if (step != STEP_ON) return results[step];
    }
    return STROBE_JSON_MORE;
}

bool strobe_json_words_skip(struct strobe_json_words *words, size_t *budget) {
    size_t left = words->len - words->at, most = left < *budget ? left : *budget;
    const char *end = most == 0 ? NULL : memchr(words->data + words->at, '\n', most);
    size_t used = end == NULL ? most : (size_t)(end - (words->data + words->at)) + 1;

    words->at += used;
    *budget -= used;
    if (end == NULL && words->at < words->len) return false;
    words->line = words->at;
    words->state = COMMAND;
    return true;
}
