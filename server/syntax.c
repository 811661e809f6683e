/* syntax.c - reads the syntax text of a command's row, and writes what COMMAND DOCS says of its arguments.
 *
 *     key value [NX | XX] [EX seconds | KEEPTTL]         words; choices between |; what is in [] may be left out
 *     key [key ...]    key value [key value ...]         "..." repeats the words before the bracket
 *
 * An item is a lower-case word, a token (capitals) alone, a token and its word, or a bracket. The texts
 * are our own rows, so there is no error to report: tests/server/test_commands.c reads all of them. */
#include "server/syntax.h"

#include <assert.h>

enum { ITEMS_MAX = 8 };

struct item {
    struct strobe_slice text;  /* a word, or what is inside of the bracket */
    struct strobe_slice token; /* before the word; empty: none */
    bool optional, multiple, bracket;
};

struct items {
    struct item list[ITEMS_MAX];
    size_t count;
};

static struct strobe_slice trim(struct strobe_slice text) {
    while (text.len > 0 && text.data[0] == ' ') text = strobe_slice_make(text.data + 1, text.len - 1);
    while (text.len > 0 && text.data[text.len - 1] == ' ') text.len--;
    return text;
}

/* Takes from *REST what comes before the first STOP outside of brackets, and the STOP. */
static struct strobe_slice take_until(struct strobe_slice *rest, char stop) {
    size_t depth = 0, len = 0;
    while (len < rest->len && (depth > 0 || rest->data[len] != stop)) {
        depth += rest->data[len] == '[';
        depth -= rest->data[len] == ']' && depth > 0;
        len++;
    }
    struct strobe_slice taken = strobe_slice_make(rest->data, len);
    size_t used = len < rest->len ? len + 1 : len;
    *rest = strobe_slice_make(rest->data + used, rest->len - used);
    return trim(taken);
}

static bool is_token(struct strobe_slice word) {
    return word.len > 0 && word.data[0] >= 'A' && word.data[0] <= 'Z';
}

static size_t words_in(struct strobe_slice text) {
    size_t words = 0;
    while (text.len > 0) words += take_until(&text, ' ').len > 0;
    return words;
}

static bool ends_with_dots(struct strobe_slice text) {
    return text.len >= 3 && memcmp(text.data + text.len - 3, "...", 3) == 0;
}

/* "[key value ...]" after "key value": the words before become one item that may come again. */
static void fold(struct items *items, size_t words) {
    assert(words <= items->count && words > 0);
    struct item *first = &items->list[items->count - words], *last = &items->list[items->count - 1];
    const char *end = last->text.data + last->text.len;
    first->bracket = words > 1;
    first->text.len = (size_t)(end - first->text.data);
    first->multiple = true;
    items->count -= words - 1;
}

static void read_items(struct strobe_slice text, struct items *items) {
    items->count = 0;
    while (text.len > 0) {
        struct strobe_slice word = take_until(&text, ' ');
        if (word.len == 0) continue;
        if (word.data[0] == '[') {
            struct strobe_slice inside = trim(strobe_slice_make(word.data + 1, word.len - 2));
            if (ends_with_dots(inside)) {
                fold(items, words_in(inside) - 1);
                continue;
            }
            assert(items->count < ITEMS_MAX);
            items->list[items->count++] = (struct item){.text = inside, .optional = true, .bracket = true};
        } else if (items->count > 0 && !is_token(word) && is_token(items->list[items->count - 1].text) &&
                   !items->list[items->count - 1].bracket && items->list[items->count - 1].token.len == 0) {
            struct item *before = &items->list[items->count - 1];
            before->token = before->text;
            before->text = word;
        } else {
            assert(items->count < ITEMS_MAX);
            items->list[items->count++] = (struct item){.text = word};
        }
    }
}

static const struct {
    struct strobe_slice word, type;
} types[] = {
    {{"key", 3}, {"key", 3}},
    {{"newkey", 6}, {"key", 3}},
    {{"source", 6}, {"key", 3}},
    {{"destination", 11}, {"key", 3}},
    {{"pattern", 7}, {"pattern", 7}},
    {{"unix-time-seconds", 17}, {"unix-time", 9}},
    {{"unix-time-milliseconds", 22}, {"unix-time", 9}},
    {{"seconds", 7}, {"integer", 7}},
    {{"milliseconds", 12}, {"integer", 7}},
    {{"increment", 9}, {"integer", 7}},
    {{"decrement", 9}, {"integer", 7}},
    {{"offset", 6}, {"integer", 7}},
    {{"start", 5}, {"integer", 7}},
    {{"end", 3}, {"integer", 7}},
    {{"count", 5}, {"integer", 7}},
    {{"cursor", 6}, {"integer", 7}},
    {{"version", 7}, {"integer", 7}},
    {{"index", 5}, {"integer", 7}},
    {{"client-id", 9}, {"integer", 7}},
    {{"protover", 8}, {"integer", 7}},
    {{"destination-db", 14}, {"integer", 7}},
};

static struct strobe_slice type_of(struct strobe_slice word) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strobe_slice_equal(types[i].word, word)) return types[i].type;
    }
    return STROBE_SLICE("string");
}

static void write_name(struct strobe_reply *reply, struct strobe_slice word) {
    char name[64];
    size_t len = word.len < sizeof name ? word.len : sizeof name;
    for (size_t i = 0; i < len; i++) name[i] = (char)strobe_ascii_lower(word.data[i]);
    strobe_reply_bulk(reply, STROBE_SLICE("name"));
    strobe_reply_bulk(reply, strobe_slice_make(name, len));
}

/* The pairs that any argument may have. Their number is told by count_common. */
static void write_common(struct strobe_reply *reply, const struct item *item, struct strobe_slice token) {
    if (token.len > 0) {
        strobe_reply_bulk(reply, STROBE_SLICE("token"));
        strobe_reply_bulk(reply, token);
    }
    if (!item->optional && !item->multiple) return;
    strobe_reply_bulk(reply, STROBE_SLICE("flags"));
    strobe_reply_set(reply, (size_t)item->optional + item->multiple);
    if (item->optional) strobe_reply_status(reply, STROBE_SLICE("optional"));
    if (item->multiple) strobe_reply_status(reply, STROBE_SLICE("multiple"));
}

static size_t count_common(const struct item *item, struct strobe_slice token) {
    return (token.len > 0 ? 1u : 0u) + (item->optional || item->multiple ? 1u : 0u);
}

static void write_type(struct strobe_reply *reply, struct strobe_slice type) {
    strobe_reply_bulk(reply, STROBE_SLICE("type"));
    strobe_reply_bulk(reply, type);
}

static void write_word(struct strobe_reply *reply, const struct item *item) {
    bool pure = is_token(item->text);
    struct strobe_slice type = pure ? STROBE_SLICE("pure-token") : type_of(item->text);
    struct strobe_slice token = pure ? item->text : item->token;
    bool key = strobe_slice_equal(type, STROBE_SLICE("key"));
    strobe_reply_map(reply, 2 + key + count_common(item, token));
    write_name(reply, item->text);
    write_type(reply, type);
    if (key) {
        bool second = strobe_slice_equal(item->text, STROBE_SLICE("newkey")) ||
                      strobe_slice_equal(item->text, STROBE_SLICE("destination"));
        strobe_reply_bulk(reply, STROBE_SLICE("key_spec_index"));
        strobe_reply_integer(reply, second);
    }
    write_common(reply, item, token);
}

static void write_items(struct strobe_reply *reply, const struct items *items);

/* One alternative of a choice, or what is in a bracket without one: an item, or several as a block. */
static void write_sequence(struct strobe_reply *reply, struct strobe_slice text, bool optional, bool multiple) {
    struct items items;
    read_items(text, &items);
    if (items.count == 1 && !items.list[0].bracket) {
        items.list[0].optional = items.list[0].optional || optional;
        items.list[0].multiple = items.list[0].multiple || multiple;
        write_word(reply, &items.list[0]);
        return;
    }
    assert(items.count > 0);
    struct item block = {.optional = optional, .multiple = multiple};
    strobe_reply_map(reply, 3 + count_common(&block, STROBE_SLICE("")));
    write_name(reply, items.list[0].token.len > 0 ? items.list[0].token : items.list[0].text);
    write_type(reply, STROBE_SLICE("block"));
    write_common(reply, &block, STROBE_SLICE(""));
    strobe_reply_bulk(reply, STROBE_SLICE("arguments"));
    write_items(reply, &items);
}

static void write_bracket(struct strobe_reply *reply, const struct item *item) {
    struct strobe_slice rest = item->text, first = take_until(&rest, '|');
    size_t choices = 1;
    if (rest.len == 0) {
        write_sequence(reply, first, item->optional, item->multiple);
        return;
    }
    for (struct strobe_slice more = rest; more.len > 0; choices++) (void)take_until(&more, '|');
    strobe_reply_map(reply, 3 + count_common(item, STROBE_SLICE("")));
    write_name(reply, STROBE_SLICE("option"));
    write_type(reply, STROBE_SLICE("oneof"));
    write_common(reply, item, STROBE_SLICE(""));
    strobe_reply_bulk(reply, STROBE_SLICE("arguments"));
    strobe_reply_array(reply, choices);
    write_sequence(reply, first, false, false);
    while (rest.len > 0) write_sequence(reply, take_until(&rest, '|'), false, false);
}

/* Brackets within brackets are as deep as the texts of commands.def make them: three. */
static void write_items(struct strobe_reply *reply, const struct items *items) {
    strobe_reply_array(reply, items->count);
    for (size_t i = 0; i < items->count; i++) {
        if (items->list[i].bracket) {
            write_bracket(reply, &items->list[i]);
        } else {
            write_word(reply, &items->list[i]);
        }
    }
}

void syntax_write(struct strobe_reply *reply, struct strobe_slice syntax) {
    struct items items;
    struct strobe_slice rest = syntax, first = take_until(&rest, '|');
    if (rest.len > 0) {
        items = (struct items){.list = {{.text = syntax, .bracket = true}}, .count = 1};
    } else {
        read_items(first, &items);
    }
    write_items(reply, &items);
}
