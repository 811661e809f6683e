/* test_resp_parser.c - what is read from which bytes, in every cut, and the limits at the limit and beyond. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/resp_parser.h"
#include "tests/protocol/failing_malloc.h"

#define TRANSCRIPT_MAX ((size_t)1 << 20)

/* What came out of the parser: [words|of|one] <inline|words> !fault, and at the end "..." inside a request. */
struct transcript {
    char text[TRANSCRIPT_MAX];
    size_t len;
};

static void say_byte(struct transcript *said, unsigned char c) {
    static const char digits[] = "0123456789abcdef";

    assert_true(said->len + 5 < TRANSCRIPT_MAX);
    if (c >= ' ' && c < 127) {
        said->text[said->len++] = (char)c;
    } else {
        said->text[said->len++] = '\\';
        said->text[said->len++] = digits[c / 16];
        said->text[said->len++] = digits[c % 16];
    }
    said->text[said->len] = '\0';
}

static void say(struct transcript *said, const char *text) {
    while (*text != '\0') {
        say_byte(said, (unsigned char)*text++);
    }
}

static void say_request(struct transcript *said, const struct strobe_request *request) {
    say(said, request->is_inline ? "<" : "[");
    for (size_t i = 0; i < request->argc; i++) {
        say(said, i > 0 ? "|" : "");
        for (size_t j = 0; j < request->args[i].len; j++) {
            say_byte(said, (unsigned char)request->args[i].data[j]);
        }
    }
    say(said, request->is_inline ? ">" : "]");
}

/* A taker that keeps what it gets, and looks whether it gets it as it was promised. */
struct taken {
    struct strobe_resp_taker taker;
    struct taken_word {
        size_t index, len, have;
        char *bytes;
    } words[64];
    size_t count; /* of the request under way */
    char *placed[64];
    size_t placed_count; /* of the request that came whole last */
    size_t requests;     /* that had words taken */
    size_t drops;
};

static void take_begin(void *context, size_t word, size_t len) {
    struct taken *taken = context;

    assert_true(len >= taken->taker.from);
    assert_true(taken->count < 64);
    if (taken->count > 0) {
        assert_true(word > taken->words[taken->count - 1].index);
        assert_int_equal(taken->words[taken->count - 1].have, taken->words[taken->count - 1].len);
    }
    taken->words[taken->count] = (struct taken_word){.index = word, .len = len, .bytes = __real_malloc(len)};
    assert_non_null(taken->words[taken->count].bytes);
    taken->count++;
}

static void take_piece(void *context, struct strobe_slice piece) {
    struct taken *taken = context;
    struct taken_word *word = &taken->words[taken->count - 1];

    assert_true(piece.len > 0 && piece.len <= word->len - word->have);
    memcpy(word->bytes + word->have, piece.data, piece.len);
    word->have += piece.len;
}

static void forget_placed(struct taken *taken) {
    for (size_t i = 0; i < taken->placed_count; i++) {
        free(taken->placed[i]);
    }
    taken->placed_count = 0;
}

static void take_finish(void *context, struct strobe_request *request) {
    struct taken *taken = context;

    forget_placed(taken);
    assert_true(taken->count > 0);
    for (size_t i = 0; i < taken->count; i++) {
        const struct taken_word *word = &taken->words[i];

        assert_int_equal(word->have, word->len);
        assert_true(word->index < request->argc);
        assert_int_equal(request->args[word->index].len, 0);
        request->args[word->index] = strobe_slice_make(word->bytes, word->len);
        taken->placed[taken->placed_count++] = word->bytes;
    }
    taken->count = 0;
    taken->requests++;
}

static void take_drop(void *context) {
    struct taken *taken = context;

    for (size_t i = 0; i < taken->count; i++) {
        free(taken->words[i].bytes);
    }
    taken->count = 0;
    taken->drops++;
}

static struct taken taken; /* one for all tests, as the transcripts */

/* Words from FROM bytes on are taken; 0: none. */
static void take_from(size_t from) {
    taken = (struct taken){.taker = {from, take_begin, take_piece, take_finish, take_drop}};
}

/* A peer's bytes on their way: each call of the parser sees them at another address, in an allocation that ends
 * with them, so that reading too far and holding on to an old address are found by the address sanitizer. */
struct feed {
    struct strobe_resp_parser parser;
    struct strobe_request requests[2]; /* in turn: a parser must not mind */
    struct strobe_resp_options options;
    char *held;
    size_t len;
    size_t calls;
    struct transcript *said;
};

static void feed_init(struct feed *feed, const struct strobe_resp_options *options, struct transcript *said) {
    memset(feed, 0, sizeof *feed);
    feed->options = *options;
    feed->said = said;
    said->len = 0;
    said->text[0] = '\0';
    strobe_resp_parser_init(&feed->parser, &feed->options);
    if (taken.taker.from > 0) {
        strobe_resp_parser_set_taker(&feed->parser, &taken.taker, &taken);
    }
    strobe_request_init(&feed->requests[0]);
    strobe_request_init(&feed->requests[1]);
}

static void feed_replace(struct feed *feed, const char *bytes, size_t len, size_t drop) {
    char *held = __real_malloc(feed->len - drop + len + 1);

    assert_non_null(held);
    if (feed->len > drop) {
        memcpy(held, feed->held + drop, feed->len - drop);
    }
    if (len > 0) {
        memcpy(held + feed->len - drop, bytes, len);
    }
    feed->len = feed->len - drop + len;
    free(feed->held);
    feed->held = __real_malloc(feed->len > 0 ? feed->len : 1);
    memcpy(feed->held, held, feed->len);
    free(held);
}

/* Gives LEN more bytes. false: the parser has called the stream bad. */
static bool feed_bytes(struct feed *feed, const char *bytes, size_t len) {
    enum strobe_parse parse;
    size_t used;

    feed_replace(feed, bytes, len, 0);
    do {
        struct strobe_request *request = &feed->requests[feed->calls++ % 2];

        parse = strobe_resp_parser_read(&feed->parser, strobe_slice_make(feed->held, feed->len), request, &used);
        assert_true(used <= feed->len);
        if (parse == STROBE_PARSE_DONE) {
            assert_true(request->argc > 0);
            assert_true(request->size > 0 && (request->size <= used || taken.taker.from > 0));
            say_request(feed->said, request);
        } else {
            assert_int_equal(request->argc, 0);
        }
        feed_replace(feed, NULL, 0, used);
    } while (parse == STROBE_PARSE_DONE);
    if (parse == STROBE_PARSE_MORE) {
        assert_true(strobe_resp_parser_want(&feed->parser) > 0);
        assert_int_equal(strobe_resp_parser_idle(&feed->parser), feed->len == 0 && feed->parser.gone == 0);
        return true;
    }
    return false;
}

static void feed_end(struct feed *feed) {
    if (strobe_resp_parser_fault(&feed->parser) != STROBE_RESP_FINE) {
        say(feed->said, "!");
        say(feed->said, strobe_resp_fault_name(strobe_resp_parser_fault(&feed->parser)));
        assert_int_equal(strobe_resp_parser_memory(&feed->parser), 0);
    } else if (!strobe_resp_parser_idle(&feed->parser)) {
        say(feed->said, "...");
    }
    strobe_resp_parser_fini(&feed->parser);
    strobe_request_fini(&feed->requests[0]);
    strobe_request_fini(&feed->requests[1]);
    free(feed->held);
    forget_placed(&taken);
    assert_int_equal(taken.count, 0);
}

static const struct strobe_resp_options defaults;
static struct transcript whole, parts;

static const char *read_whole(const char *bytes, size_t len, const struct strobe_resp_options *options) {
    struct feed feed;

    feed_init(&feed, options, &whole);
    (void)feed_bytes(&feed, bytes, len);
    feed_end(&feed);
    return whole.text;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Reads BYTES in pieces: of FIRST bytes, then of STEP bytes; 0: of a random length. */
static const char *read_parts(const char *bytes, size_t len, size_t first, size_t step, uint64_t *random,
                              const struct strobe_resp_options *options) {
    struct feed feed;
    size_t piece = first;

    feed_init(&feed, options, &parts);
    for (size_t at = 0; at < len || at == 0; at += piece, piece = step) {
        if (piece == 0) {
            piece = 1 + next_random(random) % 40;
        }
        piece = piece < len - at ? piece : len - at;
        if (!feed_bytes(&feed, bytes + at, piece) || len == 0) {
            break;
        }
    }
    feed_end(&feed);
    return parts.text;
}

static void assert_reads_with_taker(const char *bytes, size_t len, const struct strobe_resp_options *options,
                                    const char *expected) {
    uint64_t random = len;

    assert_string_equal(read_whole(bytes, len, options), expected);
    for (size_t cut = 1; cut < len && len < 300; cut++) {
        assert_string_equal(read_parts(bytes, len, cut, len, &random, options), expected);
    }
    if (len < 3000) {
        assert_string_equal(read_parts(bytes, len, 1, 1, &random, options), expected);
        assert_string_equal(read_parts(bytes, len, 2, 2, &random, options), expected);
    }
    assert_string_equal(read_parts(bytes, len, 0, len < 3000 ? 0 : len / 9, &random, options), expected);
}

/* A taker makes no difference to what is read. */
static void assert_reads(const char *bytes, size_t len, const struct strobe_resp_options *options,
                         const char *expected) {
    static const size_t from[] = {1, 3, 11, 0};

    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        take_from(from[i]);
        assert_reads_with_taker(bytes, len, options, expected);
    }
}

#define ASSERT_READS_WITH(bytes, options, expected) assert_reads(bytes, sizeof(bytes) - 1, options, expected)
#define ASSERT_READS(bytes, expected)               ASSERT_READS_WITH(bytes, &defaults, expected)

/* ---- well-formed ------------------------------------------------------------------------------- */

static void test_resp_survives_every_cut(void **state) {
    (void)state;
    ASSERT_READS("", "");
    ASSERT_READS("*1\r\n$4\r\nPING\r\n", "[PING]");
    ASSERT_READS("*3\r\n$3\r\nSET\r\n$10\r\nkey:000001\r\n$3\r\nabc\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
                 "[SET|key:000001|abc][GET|k]");
    ASSERT_READS("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "[GET|]");
    ASSERT_READS("*2\r\n$3\r\nGET\r\n$4\r\n\r\n\0\n\r\n", "[GET|\\0d\\0a\\00\\0a]");
    ASSERT_READS(
        "*12\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$1\r\nh\r\n$1\r\ni\r\n"
        "$1\r\nj\r\n$1\r\nk\r\n$12\r\nlmnopqrstuvw\r\n*1\r\n$1\r\nz\r\n",
        "[a|b|c|d|e|f|g|h|i|j|k|lmnopqrstuvw][z]");
    ASSERT_READS("*2\r\n$3\r\nGET\r\n$5\r\nhal", "...");
    ASSERT_READS("*", "...");
    ASSERT_READS("*2\r", "...");
    ASSERT_READS("*2\r\n$3\r\nGET", "...");
}

static void test_resp_ignores_requests_without_words(void **state) {
    (void)state;
    ASSERT_READS("*0\r\n*-1\r\n*-9223372036854775808\r\n*1\r\n$1\r\nx\r\n*0\r\n", "[x]");
    ASSERT_READS("\r\n\n  \t \r\n*1\r\n$1\r\nx\r\n\r\nPING\r\n\n", "[x]<PING>");
}

static void test_resp_mixes_both_forms(void **state) {
    (void)state;
    ASSERT_READS("SET k v\r\n*1\r\n$4\r\nPING\r\nGET k\nQUIT", "<SET|k|v>[PING]<GET|k>...");
}

static void test_inline_reads_quotes_and_escapes_as_redis_does(void **state) {
    (void)state;
    ASSERT_READS("SET greeting \"hello world\"\r\n", "<SET|greeting|hello world>");
    ASSERT_READS(" a\tb \v\f c\vd \n", "<a|b|c\\0bd>");
    ASSERT_READS("a \"\\n\\r\\t\\b\\a\\\\\\\"\\q\" b\n", "<a|\\0a\\0d\\09\\08\\07\\\"q|b>");
    ASSERT_READS("a \"\\x41\\xfF\\x00\\x4\\xzz\"\n", "<a|A\\ff\\00x4xzz>");
    ASSERT_READS("a 'it\\'s \\n \"x\"' b\n", "<a|it's \\n \"x\"|b>");
    ASSERT_READS("a pre\"fix ed\" b\n", "<a|prefix ed|b>");
    ASSERT_READS("a \"\" '' b\n", "<a|||b>");
    ASSERT_READS("a \"x\"\vb\n", "<a|x|b>");
    ASSERT_READS("a \\n b\\x41\n", "<a|\\n|b\\x41>");
    ASSERT_READS("a\rb\r\r\n", "<a|b>");
    ASSERT_READS("a \0 b\0c\n", "<a|\\00|b\\00c>");
    ASSERT_READS("\"quoted first\" x\n", "<quoted first|x>");
    ASSERT_READS("1 2 3 4 5 6 7 8 9 10 \"11\" '12'\n", "<1|2|3|4|5|6|7|8|9|10|11|12>");
}

static void test_inline_refuses_unbalanced_quotes(void **state) {
    (void)state;
    ASSERT_READS("SET k \"abc\r\nPING\r\n", "!unbalanced-quotes");
    ASSERT_READS("SET k 'abc\n", "!unbalanced-quotes");
    ASSERT_READS("SET k \"abc\"d\n", "!unbalanced-quotes");
    ASSERT_READS("SET k 'abc'd\n", "!unbalanced-quotes");
    ASSERT_READS("SET k \"abc\\\"\n", "!unbalanced-quotes");
    ASSERT_READS("SET k \"abc\\\n", "!unbalanced-quotes");
    ASSERT_READS("SET k \"\n", "!unbalanced-quotes");
    ASSERT_READS("PING\n'\n", "<PING>!unbalanced-quotes");
}

/* ---- malformed --------------------------------------------------------------------------------- */

static void test_resp_refuses_counts_that_are_no_count(void **state) {
    static const char *const counts[] = {"",
                                         "x",
                                         "+5",
                                         "05",
                                         "00",
                                         "1 ",
                                         " 1",
                                         "-0",
                                         "1x",
                                         "0x1",
                                         "--1",
                                         "1048577",
                                         "2147483648",
                                         "9223372036854775808",
                                         "18446744073709551617",
                                         "99999999999999999999999999",
                                         "-",
                                         "\n",
                                         "1\n"};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "*%s\r\n$1\r\nx\r\n", counts[i]);

        assert_reads(line, (size_t)len, &defaults, "!multibulk-length");
    }
    ASSERT_READS("*1\rx$1\r\nx\r\n", "!multibulk-length");
}

static void test_resp_refuses_lengths_that_are_no_length(void **state) {
    static const char *const lengths[] = {"",
                                          "x",
                                          "+5",
                                          "05",
                                          "00",
                                          "1 ",
                                          " 1",
                                          "-0",
                                          "-1",
                                          "-2",
                                          "1x",
                                          "536870913",
                                          "4294967297",
                                          "9223372036854775807",
                                          "9223372036854775808",
                                          "-9223372036854775808",
                                          "18446744073709551617",
                                          "99999999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char line[80];
        int len = snprintf(line, sizeof line, "*1\r\n$%s\r\nx\r\n", lengths[i]);

        assert_reads(line, (size_t)len, &defaults, "!bulk-length");
        len = snprintf(line, sizeof line, "*2\r\n$1\r\nx\r\n$%s\r\nx\r\n", lengths[i]);
        assert_reads(line, (size_t)len, &defaults, "!bulk-length");
    }
    ASSERT_READS("*1\r\n$1\rx\r\n", "!bulk-length");
}

static void test_resp_refuses_words_that_are_not_framed(void **state) {
    (void)state;
    ASSERT_READS("*1\r\nPING\r\n", "!expected-dollar");
    ASSERT_READS("*2\r\n$1\r\nx\r\n*1\r\n", "!expected-dollar");
    ASSERT_READS("*1\r\n$3\r\nabcde\r\n", "!expected-crlf");
    ASSERT_READS("*1\r\n$3\r\nabc\n\n\r\n", "!expected-crlf");
    ASSERT_READS("*1\r\n$3\r\nabc\rx", "!expected-crlf");
    ASSERT_READS("*1\r\n$4\r\nPING\r\n*1\r\n:1\r\n", "[PING]!expected-dollar");
}

static void assert_says(const char *bytes, const char *expected) {
    struct strobe_resp_parser parser;
    struct strobe_request request;
    char text[STROBE_RESP_ERROR_TEXT];
    size_t used;

    strobe_resp_parser_init(&parser, &defaults);
    strobe_request_init(&request);
    assert_int_equal(strobe_resp_parser_read(&parser, strobe_slice_make(bytes, strlen(bytes)), &request, &used),
                     STROBE_PARSE_BAD);
    assert_string_equal(strobe_resp_parser_error(&parser, text), expected);
    assert_int_equal(strobe_resp_parser_read(&parser, STROBE_SLICE("PING\n"), &request, &used), STROBE_PARSE_BAD);
    strobe_resp_parser_reset(&parser);
    assert_int_equal(strobe_resp_parser_read(&parser, STROBE_SLICE("PING\n"), &request, &used), STROBE_PARSE_DONE);
    strobe_request_fini(&request);
    strobe_resp_parser_fini(&parser);
}

static void test_faults_have_redis_words(void **state) {
    (void)state;
    assert_says("*x\r\n", "Protocol error: invalid multibulk length");
    assert_says("*1\r\n$x\r\n", "Protocol error: invalid bulk length");
    assert_says("*1\r\nx\r\n", "Protocol error: expected '$', got 'x'");
    assert_says("a \"b\r\n", "Protocol error: unbalanced quotes in request");
}

static void test_every_fault_has_a_name(void **state) {
    (void)state;
    for (int fault = 0; fault < STROBE_RESP_FAULTS; fault++) {
        assert_non_null(strobe_resp_fault_name((enum strobe_resp_fault)fault));
    }
}

static void test_http_on_the_text_port_is_told_apart(void **state) {
    (void)state;
    ASSERT_READS("POST /kv/x HTTP/1.1\r\nHost: a\r\n", "!http");
    ASSERT_READS("post /\r\n", "!http");
    ASSERT_READS("GET / HTTP/1.1\r\nHost: localhost\r\n", "<GET|/|HTTP/1.1>!http");
    ASSERT_READS("hOST:evil\r\n", "!http");
    ASSERT_READS("POSTS x\r\nHost x\r\n", "<POSTS|x><Host|x>");
}

/* ---- limits ------------------------------------------------------------------------------------ */

/* HEAD, N times FILL, TAIL. */
static char *stretch(const char *head, char fill, size_t n, const char *tail, size_t *len) {
    size_t before = strlen(head);
    char *bytes;

    *len = before + n + strlen(tail);
    bytes = __real_malloc(*len + 1);
    assert_non_null(bytes);
    memcpy(bytes, head, before);
    memset(bytes + before, fill, n);
    memcpy(bytes + before + n, tail, strlen(tail) + 1);
    return bytes;
}

static void assert_stretched(const char *head, char fill, size_t n, const char *tail,
                             const struct strobe_resp_options *options, const char *end) {
    size_t len;
    char *bytes = stretch(head, fill, n, tail, &len);
    uint64_t random = 5;
    const char *text = read_whole(bytes, len, options);

    assert_true(strlen(text) >= strlen(end));
    assert_string_equal(text + strlen(text) - strlen(end), end);
    assert_string_equal(read_parts(bytes, len, 17, 4096, &random, options), text);
    assert_string_equal(read_parts(bytes, len, len - 1, 1, &random, options), text);
    free(bytes);
}

static void test_lines_stop_at_their_limit(void **state) {
    (void)state;
    assert_stretched("", 'x', STROBE_INLINE_MAX, "\n", &defaults, "x>");
    assert_stretched("", 'x', STROBE_INLINE_MAX - 1, "\r\n", &defaults, "x>");
    assert_stretched("", 'x', STROBE_INLINE_MAX + 1, "\n", &defaults, "!big-inline");
    assert_stretched("", 'x', STROBE_INLINE_MAX + 1, "", &defaults, "!big-inline");
    assert_stretched("", 'x', STROBE_INLINE_MAX, "", &defaults, "...");
    assert_stretched("*", '1', STROBE_INLINE_MAX - 1, "", &defaults, "...");
    assert_stretched("*", '1', STROBE_INLINE_MAX - 1, "\r\n", &defaults, "!multibulk-length");
    assert_stretched("*", '1', STROBE_INLINE_MAX, "", &defaults, "!big-multibulk-count");
    assert_stretched("*", '1', STROBE_INLINE_MAX, "\r\n", &defaults, "!big-multibulk-count");
    assert_stretched("*1\r\n$", '1', STROBE_INLINE_MAX - 1, "", &defaults, "...");
    assert_stretched("*1\r\n$", '1', STROBE_INLINE_MAX - 1, "\r\n", &defaults, "!bulk-length");
    assert_stretched("*1\r\n$", '1', STROBE_INLINE_MAX, "", &defaults, "!big-bulk-count");
}

static void test_options_limit_what_is_read(void **state) {
    const struct strobe_resp_options small = {.max_value = 70000, .max_request = 70100, .max_args = 3, .max_inline = 9};
    const struct strobe_resp_options smaller = {.max_value = 70000, .max_request = 70099};
    static const char two_words[] = "*2\r\n$79\r\n12345678901234567890123456789012345678901234567890123456789012345"
                                    "67890123456789\r\n$70000\r\n";

    (void)state;
    ASSERT_READS_WITH("*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", &small, "[a|b|c]");
    ASSERT_READS_WITH("*4\r\n$1\r\na\r\n", &small, "!multibulk-length");
    ASSERT_READS_WITH("123456789\nx\n", &small, "<123456789><x>");
    ASSERT_READS_WITH("1234567890\n", &small, "!big-inline");
    assert_stretched("*1\r\n$70000\r\n", 'v', 70000, "\r\n", &small, "v]");
    assert_stretched("*1\r\n$70001\r\n", 'v', 70001, "\r\n", &small, "!bulk-length");
    /* 4 + (5 + 79 + 2) + (8 + 70000 + 2) bytes are 70100. */
    assert_stretched(two_words, 'v', 70000, "\r\n", &small, "v]");
    assert_stretched(two_words, 'v', 70000, "\r\n", &smaller, "!big-request");
}

static void test_a_key_may_be_longer_than_max_value(void **state) {
    const struct strobe_resp_options small = {.max_value = 10};

    (void)state;
    assert_stretched("*1\r\n$65535\r\n", 'k', 65535, "\r\n", &small, "k]");
    assert_stretched("*1\r\n$65536\r\n", 'k', 65536, "\r\n", &small, "!bulk-length");
}

static void test_strangers_are_kept_short(void **state) {
    const struct strobe_resp_options stranger = {.unauthenticated = true};

    (void)state;
    ASSERT_READS_WITH("*2\r\n$4\r\nAUTH\r\n$6\r\nsesame\r\n", &stranger, "[AUTH|sesame]");
    ASSERT_READS_WITH("*11\r\n", &stranger, "!unauthenticated-multibulk");
    ASSERT_READS_WITH("*10\r\n", &stranger, "...");
    ASSERT_READS_WITH("*1048577\r\n", &stranger, "!multibulk-length");
    ASSERT_READS_WITH("*1\r\n$16385\r\n", &stranger, "!unauthenticated-bulk");
    ASSERT_READS_WITH("*1\r\n$16384\r\n", &stranger, "!unauthenticated-request");
    assert_stretched("*1\r\n$16370\r\n", 'v', 16370, "\r\n", &stranger, "v]");
    assert_stretched("*1\r\n$16371\r\n", 'v', 16371, "\r\n", &stranger, "!unauthenticated-request");
    assert_stretched("", 'x', 16384, "\n", &stranger, "x>");
    assert_stretched("", 'x', 16385, "\n", &stranger, "!big-inline");
}

static void test_limits_change_between_requests(void **state) {
    const struct strobe_resp_options stranger = {.unauthenticated = true};
    struct strobe_resp_parser parser;
    struct strobe_request request;
    struct strobe_slice input = STROBE_SLICE("*1\r\n$1\r\nx\r\n*11\r\n");
    size_t used;

    (void)state;
    strobe_resp_parser_init(&parser, &stranger);
    strobe_request_init(&request);
    assert_int_equal(strobe_resp_parser_read(&parser, input, &request, &used), STROBE_PARSE_DONE);
    strobe_resp_parser_set_options(&parser, &defaults);
    input = strobe_slice_make(input.data + used, input.len - used);
    assert_int_equal(strobe_resp_parser_read(&parser, input, &request, &used), STROBE_PARSE_MORE);
    strobe_request_fini(&request);
    strobe_resp_parser_fini(&parser);
}

/* ---- work and memory --------------------------------------------------------------------------- */

/* The bytes a parser has seen of an unfinished line are spoiled with what it looks for. If it looked again, it would
 * find it. */
static void test_no_byte_is_looked_at_twice(void **state) {
    static const char *const lines[] = {"GET a-long-key-that-comes-slowly\n", "*123456789123456789\r\n"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct strobe_resp_parser parser;
        struct strobe_request request;
        char bytes[64];
        size_t len = strlen(lines[i]);
        size_t used;

        strobe_resp_parser_init(&parser, &defaults);
        strobe_request_init(&request);
        memcpy(bytes, lines[i], len);
        for (size_t n = 1; n + 2 < len; n++) {
            assert_int_equal(strobe_resp_parser_read(&parser, strobe_slice_make(bytes, n), &request, &used),
                             STROBE_PARSE_MORE);
            memset(bytes + 1, i == 0 ? '\n' : '\r', n - 1);
        }
        strobe_request_fini(&request);
        strobe_resp_parser_fini(&parser);
    }
}

static void test_bytes_of_a_word_are_never_looked_at(void **state) {
    struct strobe_resp_parser parser;
    struct strobe_request request;
    char bytes[] = "*2\r\n$3\r\nSET\r\n$20\r\n01234567890123456789\r\n";
    size_t len = sizeof bytes - 1;
    size_t used;

    (void)state;
    strobe_resp_parser_init(&parser, &defaults);
    strobe_request_init(&request);
    assert_int_equal(strobe_resp_parser_read(&parser, strobe_slice_make(bytes, 24), &request, &used),
                     STROBE_PARSE_MORE);
    assert_int_equal(strobe_resp_parser_want(&parser), len - 24);
    memset(bytes, '?', 18);
    assert_int_equal(strobe_resp_parser_read(&parser, strobe_slice_make(bytes, len), &request, &used),
                     STROBE_PARSE_DONE);
    assert_int_equal(request.argc, 2);
    assert_ptr_equal(request.args[0].data, bytes + 8);
    assert_ptr_equal(request.args[1].data, bytes + 18);
    assert_int_equal(request.args[1].len, 20);
    strobe_request_fini(&request);
    strobe_resp_parser_fini(&parser);
}

static void test_an_announced_length_costs_no_memory(void **state) {
    struct strobe_resp_parser parser;
    struct strobe_request request;
    size_t used;

    (void)state;
    strobe_resp_parser_init(&parser, &defaults);
    strobe_request_init(&request);
    fail_allocation(SIZE_MAX);
    assert_int_equal(strobe_resp_parser_read(&parser, STROBE_SLICE("*1048576\r\n$536870912\r\nabc"), &request, &used),
                     STROBE_PARSE_MORE);
    assert_int_equal(allocations_made, 0);
    assert_int_equal(strobe_resp_parser_want(&parser), 536870912 + 2 - 3);
    strobe_request_fini(&request);
    strobe_resp_parser_fini(&parser);
}

static void test_common_requests_allocate_nothing(void **state) {
    struct strobe_resp_parser parser;
    struct strobe_request request;
    struct strobe_slice input = STROBE_SLICE("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\nGET k\r\n*0\r\n");
    size_t used;

    (void)state;
    strobe_resp_parser_init(&parser, &defaults);
    strobe_request_init(&request);
    fail_allocation(SIZE_MAX);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(strobe_resp_parser_read(&parser, input, &request, &used), STROBE_PARSE_DONE);
    }
    assert_int_equal(allocations_made, 0);
    strobe_request_fini(&request);
    strobe_resp_parser_fini(&parser);
}

/* Words from FROM bytes on are taken. */
static void assert_failing_allocations_are_faults(size_t from) {
    static const char bytes[] =
        "a \"b\" 3 4 5 6 7 8 9 10\n*20\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n"
        "$1\r\nf\r\n$1\r\ng\r\n$1\r\nh\r\n$1\r\ni\r\n$1\r\nj\r\n$1\r\nk\r\n$1\r\nl\r\n";
    static const char *const end = "!no-memory";
    uint64_t random = 3;
    size_t n = 0;

    take_from(from);
    for (;; n++) {
        const char *text;

        fail_allocation(n);
        text = read_parts(bytes, sizeof bytes - 1, 0, 0, &random, &defaults);
        if (!allocation_failed()) {
            break;
        }
        assert_true(strlen(text) >= strlen(end));
        assert_string_equal(text + strlen(text) - strlen(end), end);
    }
    assert_true(n >= 3);
    fail_allocation(SIZE_MAX);
}

static void test_each_allocation_failing_is_a_fault(void **state) {
    (void)state;
    assert_failing_allocations_are_faults(0);
    assert_failing_allocations_are_faults(1);
    take_from(0);
}

/* ---- words that are taken ---------------------------------------------------------------------- */

static void test_a_taken_word_leaves_the_input(void **state) {
    enum { LARGE = 5000, WORDS = 7 };
    static char bytes[WORDS * (LARGE + 20)];
    size_t len = (size_t)sprintf(bytes, "*%d\r\n$4\r\nMSET\r\n", WORDS);
    struct feed feed;
    size_t most = 0;

    (void)state;
    for (int i = 0; i < WORDS / 2; i++) {
        len += (size_t)sprintf(bytes + len, "$1\r\n%c\r\n$%d\r\n", 'a' + i, LARGE);
        memset(bytes + len, 'A' + i, LARGE);
        len += LARGE;
        bytes[len++] = '\r';
        bytes[len++] = '\n';
    }
    take_from(1000);
    feed_init(&feed, &defaults, &parts);
    for (size_t at = 0; at < len; at += 100) {
        assert_true(feed_bytes(&feed, bytes + at, len - at < 100 ? len - at : 100));
        most = feed.len > most ? feed.len : most;
    }
    assert_true(most < 100);
    assert_int_equal(taken.requests, 1);
    assert_int_equal(taken.placed_count, WORDS / 2);
    assert_int_equal(parts.len, strlen("[MSET]") + (WORDS / 2) * (LARGE + strlen("|a|")));
    feed_end(&feed);
    assert_int_equal(taken.drops, 0);
    take_from(0);
}

static void test_a_reset_drops_what_was_taken(void **state) {
    const struct strobe_slice input = STROBE_SLICE("*1\r\n$1\r\nx\r\n*2\r\n$1\r\ny\r\n$9\r\n12345");
    struct strobe_resp_parser parser;
    struct strobe_request request;
    size_t first, used;

    (void)state;
    take_from(2);
    strobe_request_init(&request);
    strobe_resp_parser_init(&parser, &defaults);
    strobe_resp_parser_set_taker(&parser, &taken.taker, &taken);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(strobe_resp_parser_read(&parser, input, &request, &first), STROBE_PARSE_DONE);
        assert_int_equal(
            strobe_resp_parser_read(&parser, strobe_slice_make(input.data + first, input.len - first), &request, &used),
            STROBE_PARSE_MORE);
        assert_int_equal(first + used, input.len);
        assert_int_equal(taken.count, 1);
        assert_true(strobe_resp_parser_memory(&parser) > 0);
        strobe_resp_parser_reset(&parser);
        assert_int_equal(taken.count, 0);
        assert_int_equal(taken.drops, round + 1);
        assert_int_equal(strobe_resp_parser_memory(&parser), 0);
        assert_true(strobe_resp_parser_idle(&parser));
    }
    strobe_resp_parser_fini(&parser);
    strobe_request_fini(&request);
    take_from(0);
}

static void test_a_million_words_are_read_in_pieces(void **state) {
    size_t n = STROBE_ARGS_MAX;
    char *bytes = __real_malloc(20 + n * 7);
    struct strobe_resp_parser parser;
    struct strobe_request request;
    size_t len, used;
    enum strobe_parse parse = STROBE_PARSE_MORE;

    (void)state;
    assert_non_null(bytes);
    len = (size_t)sprintf(bytes, "*%zu\r\n", n);
    for (size_t i = 0; i < n; i++) {
        memcpy(bytes + len, "$1\r\nx\r\n", 7);
        len += 7;
    }
    strobe_resp_parser_init(&parser, &defaults);
    strobe_request_init(&request);
    for (size_t given = 1000; parse == STROBE_PARSE_MORE; given += 1000) {
        given = given < len ? given : len;
        parse = strobe_resp_parser_read(&parser, strobe_slice_make(bytes, given), &request, &used);
    }
    assert_int_equal(parse, STROBE_PARSE_DONE);
    assert_int_equal(request.argc, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(*request.args[i].data, 'x');
    }
    strobe_request_fini(&request);
    strobe_resp_parser_fini(&parser);
    free(bytes);
}

/* ---- at random --------------------------------------------------------------------------------- */

static void test_random_bytes_read_the_same_however_cut(void **state) {
    static const char *const pieces[] = {
        "*1\r\n",  "*2\r\n",  "*3\r\n",     "$1\r\n",   "$3\r\n", "$12\r\n", "a\r\n",
        "SET\r\n", "\r\n",    "\r",         "\n",       "*",      "$",       "GET k\r\n",
        "\"",      "'",       "\\x4",       "*0\r\n",   "0",      "-1",      "123456789012\r\n",
        " ",       "*12\r\n", "$0\r\n\r\n", "\"a b\" ", "POST"};
    const struct strobe_resp_options small = {.max_request = 60, .max_inline = 20, .max_args = 11};
    uint64_t random = 11;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        const struct strobe_resp_options *options = round % 2 == 0 ? &defaults : &small;
        char bytes[400];
        size_t len = 0;
        size_t n = 1 + next_random(&random) % 16;

        take_from(next_random(&random) % 4);
        while (n-- > 0) {
            const char *piece = pieces[next_random(&random) % (sizeof pieces / sizeof *pieces)];

            memcpy(bytes + len, piece, strlen(piece));
            len += strlen(piece);
        }
        read_whole(bytes, len, options);
        assert_string_equal(read_parts(bytes, len, 0, 0, &random, options), whole.text);
        assert_string_equal(read_parts(bytes, len, 1, 1, &random, options), whole.text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_survives_every_cut),
        cmocka_unit_test(test_resp_ignores_requests_without_words),
        cmocka_unit_test(test_resp_mixes_both_forms),
        cmocka_unit_test(test_inline_reads_quotes_and_escapes_as_redis_does),
        cmocka_unit_test(test_inline_refuses_unbalanced_quotes),
        cmocka_unit_test(test_resp_refuses_counts_that_are_no_count),
        cmocka_unit_test(test_resp_refuses_lengths_that_are_no_length),
        cmocka_unit_test(test_resp_refuses_words_that_are_not_framed),
        cmocka_unit_test(test_faults_have_redis_words),
        cmocka_unit_test(test_every_fault_has_a_name),
        cmocka_unit_test(test_http_on_the_text_port_is_told_apart),
        cmocka_unit_test(test_lines_stop_at_their_limit),
        cmocka_unit_test(test_options_limit_what_is_read),
        cmocka_unit_test(test_a_key_may_be_longer_than_max_value),
        cmocka_unit_test(test_strangers_are_kept_short),
        cmocka_unit_test(test_limits_change_between_requests),
        cmocka_unit_test(test_no_byte_is_looked_at_twice),
        cmocka_unit_test(test_bytes_of_a_word_are_never_looked_at),
        cmocka_unit_test(test_an_announced_length_costs_no_memory),
        cmocka_unit_test(test_common_requests_allocate_nothing),
        cmocka_unit_test(test_each_allocation_failing_is_a_fault),
        cmocka_unit_test(test_a_taken_word_leaves_the_input),
        cmocka_unit_test(test_a_reset_drops_what_was_taken),
        cmocka_unit_test(test_a_million_words_are_read_in_pieces),
        cmocka_unit_test(test_random_bytes_read_the_same_however_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
