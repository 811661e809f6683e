/* large_words.c - a large word of a request comes into a blob, so that a command can keep it as it is.
 *
 *     parser: begin -> take take take ... finish          door: execute (command_blob) -> done
 *             '----- coming: upload.c -----'-> whole -----------'
 *     conn:           room ^ the next read goes here
 *
 * The first bytes of a word come with its request's, and are copied; the others are read into their place, and its CRLF
 * behind them, which the connection takes out of there before the word is shown to be whole: the blob may be gone, or
 * the end of its memory given back, before all of a read was looked at.
 * SET of 200 MB would otherwise gather them in the input, stop the loop for copying them into the map, and have them
 * twice. Which words are values nobody needs to know here: a large one that is not is let go like the others.
 * Always: room grows with what came (upload.c). On failure: without memory for a word what came of the request is given
 * back and the rest is read over, so that the command can answer that, and the next is in its place.
 * Not here: where a word begins and ends (protocol/resp_parser.c), small ones, which stay in the input.
 */
#include "server/large_words.h"

#include <stdlib.h>

#include "protocol/limits.h"
#include "server/conn.h"
#include "server/upload.h"

/* What may be read with the last bytes of a word: its CRLF, which spares a read, and one byte more. Without that the
 * read would be full, and libuv ask for more when nothing waits. */
enum { WORD_END = 3 };

struct large_word {
    size_t index; /* in the request */
    struct strobe_blob *blob;
};

/* Large words of one request, in order. */
struct large_request {
    struct upload upload; /* of the word under way */
    size_t index;         /* its own */
    size_t count, capacity;
    size_t memory; /* of those that are whole */
    struct large_word words[];
};

static void request_free(struct large_request *request) {
    if (request == NULL) return;
    upload_end(&request->upload);
    for (size_t i = 0; i < request->count; i++) strobe_blob_release(request->words[i].blob);
    free(request);
}

/* There is no memory for the request under way. */
static void lose(struct large_words *words) {
    request_free(words->coming);
    words->coming = NULL;
    words->coming_lost = true;
}

/* Room for one more word, the first too. */
static bool reserve(struct large_words *words) {
    struct large_request *request = words->coming;
    size_t capacity = request == NULL ? 1 : request->capacity * 2;

    if (request != NULL && request->count < request->capacity) return true;
    request = realloc(request, sizeof *request + capacity * sizeof request->words[0]);
    if (request == NULL) return false;
    if (words->coming == NULL) *request = (struct large_request){.count = 0};
    request->capacity = capacity;
    words->coming = request;
    return true;
}

/* What waits in the socket has come too. */
static void expect(struct large_words *words) {
    if (words->conn != NULL) upload_expect(&words->coming->upload, conn_unread(words->conn));
}

static void begin(void *context, size_t word, size_t len) {
    struct large_words *words = context;

    if (words->coming_lost) return;
    if (!reserve(words)) {
        lose(words);
        return;
    }
    words->coming->index = word;
    upload_begin(&words->coming->upload, words->map, len, WORD_END);
    if (len >= 2 * UPLOAD_FIRST) expect(words);
}

char *large_words_room(struct large_words *words, size_t *len, size_t *behind) {
    struct large_request *request = words->coming;

    if (request == NULL || request->upload.map == NULL) return NULL;
    if (!upload_has_room(&request->upload)) expect(words);
    return upload_room(&request->upload, len, behind);
}

static void take(void *context, struct strobe_slice piece) {
    struct large_words *words = context;
    struct large_request *request = words->coming;

    if (words->coming_lost) return;
    if (!upload_take(&request->upload, piece)) {
        lose(words);
        return;
    }
    if (request->upload.len < request->upload.total) return;
    (void)upload_settle(&request->upload, 0); /* a known length leaves nothing to move */
    request->words[request->count++] =
        (struct large_word){.index = request->index, .blob = strobe_blob_share(upload_value(&request->upload))};
    request->memory += request->upload.total;
    upload_end(&request->upload);
}

static void finish(void *context, struct strobe_request *request) {
    struct large_words *words = context;

    large_words_done(words);
    words->whole = words->coming;
    words->whole_lost = words->coming_lost;
    words->coming = NULL;
    words->coming_lost = false;
    for (size_t i = 0; words->whole != NULL && i < words->whole->count; i++) {
        const struct large_word *word = &words->whole->words[i];
        struct strobe_slice *arg = &request->args[word->index];
        arg->data = strobe_blob_bytes(word->blob, &arg->len);
    }
}

static void drop(void *context) {
    struct large_words *words = context;

    request_free(words->coming);
    words->coming = NULL;
    words->coming_lost = false;
}

const struct strobe_resp_taker large_words_taker = {
    .from = STROBE_RESP_TAKE_MIN, .begin = begin, .take = take, .finish = finish, .drop = drop};

void large_words_init(struct large_words *words, const struct conn *conn, struct strobe_map *map) {
    *words = (struct large_words){.conn = conn, .map = map};
}

void large_words_fini(struct large_words *words) {
    large_words_done(words);
    drop(words);
}

struct strobe_blob *large_words_blob(const struct large_words *words, size_t i) {
    const struct large_request *request = words->whole;
    size_t low = 0, high = request != NULL ? request->count : 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (request->words[middle].index == i) return request->words[middle].blob;
        if (request->words[middle].index < i) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

void large_words_done(struct large_words *words) {
    request_free(words->whole);
    words->whole = NULL;
    words->whole_lost = false;
}

static size_t memory_of(const struct large_request *request) {
    if (request == NULL) return 0;
    return sizeof *request + request->capacity * sizeof request->words[0] + request->memory +
           upload_memory(&request->upload);
}

size_t large_words_memory(const struct large_words *words) {
    return memory_of(words->coming) + memory_of(words->whole);
}
