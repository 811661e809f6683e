/* config.c - from text to options, with an error that says where and what was expected.
 *
 *     defaults  <  config file  <  command line         (what stands further right wins)
 *
 * A row of options.def names the option, its type, bounds and default. A type has a row here: how it is read, written
 * and freed, and the words for what it expects. After all is read, what depends on more than one option is settled
 * and checked in `settle`.
 * Always: a value is stored only when it was read to its end and lies within bounds; each source may set an option
 * once. On failure: one message, nothing kept.
 * Not here: acting on a value, and which values a running server takes over (server.c).
 */
#include "server/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/http_target.h"
#include "protocol/limits.h"
#include "server/log.h"
#include "server/memory.h"

enum { FILE_MAX = 1 << 20 };

struct option {
    const char *name;
    size_t offset; /* of its member in struct config */
    enum config_type type;
    const char *standard; /* the default */
    uint64_t least, most;
    bool reloads;
    const char *help;
};

static const struct option options[] = {
#define OPTION(name, member, type, standard, least, most, reloads, help) \
    {name, offsetof(struct config, member), CONFIG_##type, standard, least, most, reloads, help},
#include "server/options.def"
#undef OPTION
};

/* Each option's place in the table: OPTION_max_clients. */
enum option_index {
#define OPTION(name, member, ...) OPTION_##member,
#include "server/options.def"
#undef OPTION
    OPTIONS
};

/* What is being read, and where every option was set. */
struct reading {
    struct config *config;
    const char *path;    /* of the file; NULL: none */
    int set_at[OPTIONS]; /* line of the file, COMMAND_LINE, or 0: the default */
    char *error;         /* CONFIG_ERROR_TEXT bytes */
};

enum { COMMAND_LINE = -1 };

static bool fail(struct reading *reading, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct reading *reading, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reading->error, CONFIG_ERROR_TEXT, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- the types ------------------------------------------------------------------------------ */

static bool is_word(const char *text, const char *word) {
    return strcmp(text, word) == 0;
}

static bool may_be_auto(const struct option *option) {
    return is_word(option->standard, "auto");
}

static bool may_be_none(const struct option *option) {
    return is_word(option->standard, "none");
}

/* Reads digits in BASE at the start of TEXT; gives what follows them, NULL when there are none or too many. */
static const char *read_digits(const char *text, unsigned base, uint64_t *value) {
    const char *at = text;
    uint64_t sum = 0;

    for (; *at >= '0' && (unsigned)(*at - '0') < base; at++) {
        if (__builtin_mul_overflow(sum, base, &sum) || __builtin_add_overflow(sum, (unsigned)(*at - '0'), &sum))
            return NULL;
    }
    *value = sum;
    return at == text ? NULL : at;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* Reads a number with one of COUNT units behind it into the option's bounds. */
static bool read_number(const struct option *option, const char *text, const struct unit *units, size_t count,
                        uint64_t *value) {
    uint64_t number;
    const char *rest = read_digits(text, 10, &number);

    if (rest == NULL) return false;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(rest, units[i].name) != 0) continue;
        if (__builtin_mul_overflow(number, units[i].factor, &number)) return false;
        if (number < option->least || number > option->most) return false;
        *value = number;
        return true;
    }
    return false;
}

static bool read_count(const struct option *option, const char *text, void *member) {
    static const struct unit units[] = {{"", 1}};

    if (may_be_auto(option) && is_word(text, "auto")) {
        *(uint64_t *)member = 0;
        return true;
    }
    return read_number(option, text, units, 1, member);
}

static bool read_percent(const struct option *option, const char *text, uint64_t *value) {
    uint64_t percent;
    const char *rest = read_digits(text, 10, &percent);

    if (rest == NULL || !is_word(rest, "%") || percent < 1 || percent > 100) return false;
    uint64_t bytes = memory_total() / 100 * percent;
    *value = bytes < option->least ? option->least : bytes > option->most ? option->most : bytes;
    return true;
}

static bool read_bytes(const struct option *option, const char *text, void *member) {
    static const struct unit units[] = {{"", 1}, {"b", 1}, {"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}};

    if (may_be_auto(option) && is_word(text, "auto")) {
        *(uint64_t *)member = 0;
        return true;
    }
    return read_percent(option, text, member) || read_number(option, text, units, sizeof units / sizeof *units, member);
}

static bool read_time(const struct option *option, const char *text, void *member) {
    static const struct unit units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

    return read_number(option, text, units, sizeof units / sizeof *units, member);
}

static bool read_port(const struct option *option, const char *text, void *member) {
    static const struct unit units[] = {{"", 1}};
    uint64_t port = CONFIG_PORT_AUTO;

    if (!is_word(text, "auto") && !read_number(option, text, units, 1, &port)) return false;
    *(uint32_t *)member = (uint32_t)port;
    return true;
}

static bool read_mode(const struct option *option, const char *text, void *member) {
    uint64_t mode;
    const char *rest = read_digits(text, 8, &mode);

    if (rest == NULL || *rest != '\0' || mode < option->least || mode > option->most) return false;
    *(uint32_t *)member = (uint32_t)mode;
    return true;
}

static bool read_yesno(const struct option *option, const char *text, void *member) {
    (void)option;
    *(bool *)member = is_word(text, "yes");
    return is_word(text, "yes") || is_word(text, "no");
}

static const char *const level_names[LOG_LEVELS] = {
#define LOG_LEVEL_NAME(name, text) text,
    LOG_LEVEL_LIST(LOG_LEVEL_NAME)
#undef LOG_LEVEL_NAME
};

static bool read_level(const struct option *option, const char *text, void *member) {
    (void)option;
    for (uint32_t i = 0; i < LOG_LEVELS; i++) {
        if (!is_word(text, level_names[i])) continue;
        *(uint32_t *)member = i;
        return true;
    }
    return false;
}

static void free_text(void *member) {
    free(*(char **)member);
    *(char **)member = NULL;
}

static bool read_text(const struct option *option, const char *text, void *member) {
    free_text(member);
    if (may_be_none(option) && is_word(text, "none")) return true;
    if (*text == '\0' || strlen(text) > option->most) return false;
    *(char **)member = strdup(text);
    return *(char **)member != NULL;
}

static void free_list(void *member) {
    struct config_list *list = member;

    for (size_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
    *list = (struct config_list){NULL, 0};
}

/* Appends the word TEXT, LEN, without the spaces around it. */
static bool list_add(const struct option *option, struct config_list *list, const char *text, size_t len) {
    for (; len > 0 && *text == ' '; text++) len--;
    while (len > 0 && text[len - 1] == ' ') len--;
    if (len == 0 || list->count == option->most) return false;
    if (memchr(text, ' ', len) != NULL) return false;
    list->items[list->count] = strndup(text, len);
    return list->items[list->count] != NULL && ++list->count > 0;
}

static bool read_list(const struct option *option, const char *text, void *member) {
    struct config_list *list = member;

    free_list(member);
    if (may_be_none(option) && is_word(text, "none")) return true;
    list->items = calloc(option->most, sizeof *list->items);
    if (list->items == NULL) return false;
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        if (!list_add(option, list, at, len)) return false;
        at += len;
        if (*at == '\0') return list->count >= option->least;
    }
}

static size_t say(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static size_t say(char *text, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(text, CONFIG_VALUE_TEXT, format, arguments);
    va_end(arguments);
    return len < 0 ? 0 : len < CONFIG_VALUE_TEXT ? (size_t)len : CONFIG_VALUE_TEXT - 1;
}

static size_t write_text(const void *member, char *text) {
    const char *value = *(char *const *)member;
    return say(text, "%s", value != NULL ? value : "none");
}

static size_t write_list(const void *member, char *text) {
    const struct config_list *list = member;
    size_t len = 0;

    if (list->count == 0) return say(text, "none");
    for (size_t i = 0; i < list->count && len < CONFIG_VALUE_TEXT - 1; i++) {
        int more = snprintf(text + len, CONFIG_VALUE_TEXT - len, "%s%s", i > 0 ? "," : "", list->items[i]);
        if (more > 0) len += (size_t)more;
    }
    return len < CONFIG_VALUE_TEXT ? len : CONFIG_VALUE_TEXT - 1;
}

static size_t write_port(const void *member, char *text) {
    uint32_t port = *(const uint32_t *)member;
    return port == CONFIG_PORT_AUTO ? say(text, "auto") : say(text, "%u", (unsigned)port);
}

static size_t write_number(const void *member, char *text) {
    return say(text, "%llu", (unsigned long long)*(const uint64_t *)member);
}

static size_t write_time(const void *member, char *text) {
    unsigned long long ms = *(const uint64_t *)member;

    if (ms == 0) return say(text, "0");
    return ms % 1000 == 0 ? say(text, "%llus", ms / 1000) : say(text, "%llums", ms);
}

static size_t write_mode(const void *member, char *text) {
    return say(text, "%04o", (unsigned)*(const uint32_t *)member);
}

static size_t write_yesno(const void *member, char *text) {
    return say(text, "%s", *(const bool *)member ? "yes" : "no");
}

static size_t write_level(const void *member, char *text) {
    return say(text, "%s", level_names[*(const uint32_t *)member]);
}

static void free_nothing(void *member) {
    (void)member;
}

/* How a type is read, written and freed, and what it expects: %1$llu and %2$llu are the bounds. */
static const struct {
    bool (*read)(const struct option *option, const char *text, void *member);
    size_t (*write)(const void *member, char *text); /* CONFIG_VALUE_TEXT bytes of room */
    void (*free)(void *member);
    const char *expects;
} types[CONFIG_TYPES] = {
    [CONFIG_TEXT] = {read_text, write_text, free_text, "none, or a path of %1$llu to %2$llu bytes"},
    [CONFIG_LIST] = {read_list, write_list, free_list, "%1$llu to %2$llu words separated by commas"},
    [CONFIG_PORT] = {read_port, write_port, free_nothing, "a port from %1$llu to %2$llu, 0 for off, or auto"},
    [CONFIG_COUNT] = {read_count, write_number, free_nothing, "a whole number from %1$llu to %2$llu"},
    [CONFIG_BYTES] = {read_bytes, write_number, free_nothing,
                      "bytes from %1$llu to %2$llu, as 65536, 64kb, 512mb, 1gb or 25%%"},
    [CONFIG_TIME] = {read_time, write_time, free_nothing,
                     "a time from %1$llu to %2$llu milliseconds, as 30 (seconds), 500ms, 30s, 5m or 1h"},
    [CONFIG_MODE] = {read_mode, write_mode, free_nothing, "a file mode in octal, as 0700"},
    [CONFIG_YESNO] = {read_yesno, write_yesno, free_nothing, "yes or no"},
    [CONFIG_LEVEL] = {read_level, write_level, free_nothing, "debug, info, warn or error"},
};

/* ---- setting -------------------------------------------------------------------------------- */

static void *member_of(struct config *config, const struct option *option) {
    return (char *)config + option->offset;
}

/* Where option INDEX was set, for a message: "strobe.conf:12: ", "--port: ". */
static const char *place(const struct reading *reading, size_t index, char text[CONFIG_ERROR_TEXT]) {
    if (reading->set_at[index] > 0) {
        snprintf(text, CONFIG_ERROR_TEXT, "%.300s:%d: %s: ", reading->path, reading->set_at[index],
                 options[index].name);
    } else {
        snprintf(text, CONFIG_ERROR_TEXT, "--%s: ", options[index].name);
    }
    return text;
}

static bool find_option(const char *name, size_t *index) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!is_word(options[i].name, name)) continue;
        *index = i;
        return true;
    }
    return false;
}

/* Says that VALUE is not what option INDEX expects. */
static bool fail_value(struct reading *reading, size_t index, const char *value) {
    const struct option *option = &options[index];
    char where[CONFIG_ERROR_TEXT];
    char expects[160];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(expects, sizeof expects, types[option->type].expects, (unsigned long long)option->least,
             (unsigned long long)option->most);
#pragma GCC diagnostic pop
    return fail(reading, "%sexpected %s%s, got \"%.80s\"%s", place(reading, index, where), expects,
                may_be_auto(option) ? ", or auto" : "", value,
                strchr(value, '#') != NULL ? " (a comment needs a line of its own)" : "");
}

/* Sets option INDEX, whose place is in set_at already. */
static bool set_value(struct reading *reading, size_t index, const char *value) {
    const struct option *option = &options[index];
    uint64_t bit = UINT64_C(1) << index;

    reading->config->automatic &= ~bit;
    if (may_be_auto(option) && is_word(value, "auto")) reading->config->automatic |= bit;
    if (strlen(value) < CONFIG_VALUE_TEXT &&
        types[option->type].read(option, value, member_of(reading->config, option))) {
        return true;
    }
    return fail_value(reading, index, value);
}

static bool set_defaults(struct reading *reading) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!set_value(reading, i, options[i].standard)) return false;
    }
    return true;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* Reads PATH whole into *TEXT (owned by the caller, NUL-terminated). */
static bool read_file(struct reading *reading, char **text) {
    FILE *file = fopen(reading->path, "re");
    if (file == NULL) return fail(reading, "%.300s: %s", reading->path, strerror(errno));

    char *bytes = malloc(FILE_MAX + 1);
    size_t len = bytes != NULL ? fread(bytes, 1, FILE_MAX + 1, file) : 0;
    int reason = bytes == NULL ? ENOMEM : ferror(file) ? errno : len > FILE_MAX ? EFBIG : 0;
    fclose(file);
    if (reason == 0 && memchr(bytes, '\0', len) != NULL) reason = EILSEQ;
    if (reason != 0) {
        free(bytes);
        return fail(reading, "%.300s: %s", reading->path,
                    reason == EILSEQ ? "expected text, found a NUL byte" : strerror(reason));
    }
    bytes[len] = '\0';
    *text = bytes;
    return true;
}

static char *trim(char *text) {
    size_t len = strlen(text);

    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL) text[--len] = '\0';
    return text + strspn(text, " \t");
}

/* "name = value", a comment, or nothing. */
static bool read_line(struct reading *reading, char *line, int number) {
    size_t index;
    char *name = trim(line);
    char *equals = strchr(name, '=');

    if (*name == '\0' || *name == '#') return true;
    if (equals == NULL) {
        return fail(reading, "%.300s:%d: expected \"name = value\", got \"%.80s\"", reading->path, number, name);
    }
    *equals = '\0';
    name = trim(name);
    if (!find_option(name, &index)) {
        return fail(reading, "%.300s:%d: unknown option \"%.80s\"; expected one of those that --help lists",
                    reading->path, number, name);
    }
    if (reading->set_at[index] > 0) {
        return fail(reading, "%.300s:%d: \"%s\" is set a second time, expected it once; it stands in line %d already",
                    reading->path, number, name, reading->set_at[index]);
    }
    reading->set_at[index] = number;
    return set_value(reading, index, trim(equals + 1));
}

static bool read_lines(struct reading *reading) {
    char *text = NULL;
    bool good = read_file(reading, &text);
    char *next;
    int number = 1;

    for (char *line = text; good && line != NULL; line = next, number++) {
        next = strchr(line, '\n');
        if (next != NULL) *next++ = '\0';
        good = read_line(reading, line, number);
    }
    free(text);
    return good;
}

/* ---- the command line ----------------------------------------------------------------------- */

/* One word of the command line: the name after "--", and its value, which may be the word after it. */
struct argument {
    char name[64];
    const char *value; /* NULL: there is none */
    int words;         /* of argv that it takes with its value */
};

static bool split_argument(int argc, char *const *argv, int at, struct argument *argument) {
    const char *word = argv[at];

    if (word[0] != '-' || word[1] != '-') return false;
    size_t len = strcspn(word + 2, "=");
    if (len == 0 || len >= sizeof argument->name) return false;
    memcpy(argument->name, word + 2, len);
    argument->name[len] = '\0';
    argument->words = 1;
    if (word[2 + len] == '=') {
        argument->value = word + 2 + len + 1;
    } else {
        argument->value = at + 1 < argc ? argv[at + 1] : NULL;
        argument->words = 2;
    }
    return true;
}

/* Is WORD one that stands alone, and which? */
static bool read_action(const char *word, enum config_action *action) {
    static const struct {
        const char *word;
        enum config_action action;
    } actions[] = {{"--help", CONFIG_HELP}, {"-h", CONFIG_HELP},    {"--version", CONFIG_VERSION},
                   {"-v", CONFIG_VERSION},  {"-V", CONFIG_VERSION}, {"--check-config", CONFIG_CHECK}};

    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (!is_word(word, actions[i].word)) continue;
        *action = actions[i].action;
        return true;
    }
    return false;
}

const char *config_path(int argc, char *const *argv) {
    struct argument argument;
    enum config_action action;

    for (int at = 1; at < argc; at += argument.words) {
        argument.words = 1;
        if (read_action(argv[at], &action)) continue;
        if (split_argument(argc, argv, at, &argument) && is_word(argument.name, "config")) return argument.value;
    }
    return NULL;
}

static bool read_argument(struct reading *reading, const struct argument *argument, const char *word) {
    size_t index;

    if (is_word(argument->name, "config")) {
        if (argument->value == NULL) return fail(reading, "--config: expected the path of a file after it");
        if (argument->value != reading->path) return fail(reading, "--config: expected once, got a second");
        return true;
    }
    if (!find_option(argument->name, &index)) {
        return fail(reading, "unknown option \"%.80s\"; expected one of those that --help lists", word);
    }
    if (argument->value == NULL) return fail(reading, "--%s: expected a value after it", argument->name);
    if (reading->set_at[index] == COMMAND_LINE) {
        return fail(reading, "--%s: is given a second time, expected it once", argument->name);
    }
    reading->set_at[index] = COMMAND_LINE;
    return set_value(reading, index, argument->value);
}

static bool read_arguments(struct reading *reading, int argc, char *const *argv) {
    struct argument argument;
    enum config_action action;

    for (int at = 1; at < argc; at += argument.words) {
        argument.words = 1;
        if (read_action(argv[at], &action)) continue;
        if (!split_argument(argc, argv, at, &argument)) {
            return fail(reading, "expected --NAME VALUE, got \"%.80s\"; a config file goes behind --config", argv[at]);
        }
        if (!read_argument(reading, &argument, argv[at])) return false;
    }
    return true;
}

/* ---- what depends on several ---------------------------------------------------------------- */

static uint64_t processors(void) {
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return (uint64_t)CPU_COUNT(&set);
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint64_t)count : 1;
}

static_assert(OPTIONS <= 64, "a bit of `automatic` for each");

static bool is_automatic(const struct config *config, size_t index) {
    return (config->automatic >> index & 1) != 0;
}

void config_settle(struct config *config) {
    if (is_automatic(config, OPTION_max_reply_buffer)) config->max_reply_buffer = 0;

    if (config->threads == 0) config->threads = processors() < 256 ? processors() : 256;
    if (config->shards == 0) {
        config->shards = 64;
        while (config->shards < 16 * config->threads && config->shards < 1024) config->shards *= 2;
    }
    if (config->max_reply_buffer == 0) config->max_reply_buffer = config->max_value + STROBE_REPLY_SLACK;
}

/* An address to listen on, in the order of its bytes on the wire. */
struct address {
    int family;
    size_t len;
    unsigned char bytes[sizeof(struct in6_addr)];
};

static const unsigned char mapped_prefix[12] = {[10] = 0xff, 0xff}; /* ::ffff:0:0/96, RFC 4291 section 2.5.5.2 */

static bool read_address(const char *text, struct address *address) {
    *address = (struct address){.family = AF_INET, .len = sizeof(struct in_addr)};
    if (inet_pton(AF_INET, text, address->bytes) == 1) return true;
    *address = (struct address){.family = AF_INET6, .len = sizeof(struct in6_addr)};
    return inet_pton(AF_INET6, text, address->bytes) == 1;
}

static bool is_wildcard(const struct address *address) {
    static const unsigned char zeros[sizeof address->bytes];

    return memcmp(address->bytes, zeros, address->len) == 0;
}

/* Can only this machine reach it? */
static bool is_loopback(const struct address *address) {
    static const unsigned char ipv6[sizeof address->bytes] = {[15] = 1};

    return address->family == AF_INET ? address->bytes[0] == 127 : memcmp(address->bytes, ipv6, sizeof ipv6) == 0;
}

/* Can one not listen on the one beside the other? IPv6 sockets are for IPv6 alone (listener.c). */
static bool is_same(const struct address *one, const struct address *other) {
    if (one->family != other->family) return false;
    return is_wildcard(one) || is_wildcard(other) || memcmp(one->bytes, other->bytes, one->len) == 0;
}

/* Address I of bind, which WHERE names, by itself and beside those before it. */
static bool check_address(struct reading *reading, size_t i, const char *where) {
    const struct config *config = reading->config;
    const char *text = config->bind.items[i];
    struct address address, before;

    if (!read_address(text, &address)) {
        return fail(reading, "%sexpected IPv4 or IPv6 addresses separated by commas, got \"%.80s\"", where, text);
    }
    if (address.family == AF_INET6 && memcmp(address.bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
        return fail(reading, "%sexpected an IPv4 address written as such, %u.%u.%u.%u, got \"%.46s\"", where,
                    address.bytes[12], address.bytes[13], address.bytes[14], address.bytes[15], text);
    }
    if (!is_loopback(&address) && !config->insecure) {
        return fail(reading,
                    "%sother machines reach %.46s, and there is no password; expected a loopback address, or insecure "
                    "= yes",
                    where, text);
    }
    for (size_t j = 0; j < i; j++) {
        if (!read_address(config->bind.items[j], &before) || !is_same(&before, &address)) continue;
        return fail(reading, "%sexpected each address once, got \"%.46s\" beside \"%.46s\"", where, text,
                    config->bind.items[j]);
    }
    return true;
}

static bool check_bind(struct reading *reading) {
    char where[CONFIG_ERROR_TEXT];

    place(reading, OPTION_bind, where);
    for (size_t i = 0; i < reading->config->bind.count; i++)
        if (!check_address(reading, i, where)) return false;
    return true;
}

static bool check_origins(struct reading *reading) {
    const struct config_list *list = &reading->config->allow_origin;
    struct strobe_http_origin origin;
    char where[CONFIG_ERROR_TEXT];

    place(reading, OPTION_allow_origin, where);
    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->items[i];
        bool good = strobe_http_parse_origin(strobe_slice_make(item, strlen(item)), &origin) && !origin.is_opaque;

        if (!good && !is_word(item, "*")) {
            return fail(reading,
                        "%sexpected scheme://host or scheme://host:port, separated by commas, or *, got \"%.80s\"",
                        where, item);
        }
    }
    return true;
}

/* Is TEXT a name that Host can say: labels of letters, digits, '-' and '_' with dots between them? The last dot may
 * stand at the end. No wildcards: a name is compared as it is. */
static bool is_host_name(const char *text) {
    size_t label = 0, dots = 0;

    for (; *text != '\0'; text++) {
        bool is_letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
        if (*text == '.' ? label == 0 : !is_letter && !(*text >= '0' && *text <= '9') && *text != '-' && *text != '_')
            return false;
        dots += *text == '.';
        label = *text == '.' ? 0 : label + 1;
    }
    return label > 0 || dots > 0;
}

static bool check_hosts(struct reading *reading) {
    const struct config_list *list = &reading->config->allow_host;
    char where[CONFIG_ERROR_TEXT];

    place(reading, OPTION_allow_host, where);
    for (size_t i = 0; i < list->count; i++) {
        if (is_host_name(list->items[i])) continue;
        return fail(reading,
                    "%sexpected host names without scheme, port or wildcard, separated by commas, got \"%.80s\"", where,
                    list->items[i]);
    }
    return true;
}

static bool check(struct reading *reading) {
    const struct config *config = reading->config;
    char where[CONFIG_ERROR_TEXT];

    if ((config->shards & (config->shards - 1)) != 0) {
        return fail(reading, "%sexpected a power of two from 1 to 1024, got \"%llu\"",
                    place(reading, OPTION_shards, where), (unsigned long long)config->shards);
    }
    if (config->port == config->http_port && config->port != 0 && config->port != CONFIG_PORT_AUTO) {
        return fail(reading, "%sexpected another port than port's, got \"%u\"", place(reading, OPTION_http_port, where),
                    (unsigned)config->port);
    }
    if (config->port == 0 && config->http_port == 0 && config->unix_socket == NULL) {
        return fail(reading, "%sexpected port, http-port or unix-socket to be on, all are off",
                    place(reading, OPTION_port, where));
    }
    return check_bind(reading) && check_origins(reading) && check_hosts(reading);
}

/* ---- for all -------------------------------------------------------------------------------- */

bool config_read(int argc, char *const *argv, enum config_action *action, struct config **out,
                 char error[CONFIG_ERROR_TEXT]) {
    struct reading reading = {.path = config_path(argc, argv), .error = error};
    struct argument argument;

    *out = NULL;
    *action = CONFIG_RUN;
    for (int at = 1; at < argc; at += argument.words) {
        argument.words = 1;
        if (read_action(argv[at], action)) {
            if (*action != CONFIG_CHECK) return true;
        } else {
            split_argument(argc, argv, at, &argument);
        }
    }
    reading.config = calloc(1, sizeof *reading.config);
    if (reading.config == NULL) return fail(&reading, "%s", strerror(ENOMEM));
    bool good = set_defaults(&reading) && (reading.path == NULL || read_lines(&reading)) &&
                read_arguments(&reading, argc, argv);
    if (good) config_settle(reading.config);
    if (!good || !check(&reading)) {
        config_free(reading.config);
        return false;
    }
    *out = reading.config;
    return true;
}

void config_free(struct config *config) {
    if (config == NULL) return;
    for (size_t i = 0; i < OPTIONS; i++) types[options[i].type].free(member_of(config, &options[i]));
    free(config);
}

size_t config_options(void) {
    return OPTIONS;
}

const char *config_option_name(size_t index) {
    return options[index].name;
}

const char *config_option_default(size_t index) {
    return options[index].standard;
}

bool config_option_reloads(size_t index) {
    return options[index].reloads;
}

size_t config_option_text(const struct config *config, size_t index, char text[CONFIG_VALUE_TEXT]) {
    const struct option *option = &options[index];

    return types[option->type].write((const char *)config + option->offset, text);
}

bool config_option_keep(struct config *fresh, const struct config *old, size_t index) {
    const struct option *option = &options[index];
    char text[CONFIG_VALUE_TEXT];

    config_option_text(old, index, text);
    uint64_t bit = UINT64_C(1) << index;
    fresh->automatic = (fresh->automatic & ~bit) | (old->automatic & bit);
    return types[option->type].read(option, text, member_of(fresh, option));
}

size_t config_option_source(const struct config *config, size_t index, char text[CONFIG_VALUE_TEXT]) {
    static const struct unit units[] = {{"gb", 1 << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}};
    const struct option *option = &options[index];

    if (is_automatic(config, index)) return say(text, "auto");
    if (option->type == CONFIG_BYTES) {
        uint64_t bytes = *(const uint64_t *)(const void *)((const char *)config + option->offset);
        for (size_t i = 0; bytes > 0 && i < sizeof units / sizeof *units; i++) {
            if (bytes % units[i].factor != 0) continue;
            return say(text, "%llu%s", (unsigned long long)(bytes / units[i].factor), units[i].name);
        }
    }
    return config_option_text(config, index, text);
}

bool config_option_settable(size_t index) {
    return options[index].reloads && options[index].type != CONFIG_TEXT;
}

void config_option_bounds(size_t index, uint64_t *least, uint64_t *most) {
    *least = options[index].least;
    *most = options[index].most;
}

bool config_find(const char *name, size_t *index) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcasecmp(options[i].name, name) != 0) continue;
        *index = i;
        return true;
    }
    return false;
}

struct config *config_copy(const struct config *config) {
    char error[CONFIG_ERROR_TEXT];
    struct reading reading = {.config = calloc(1, sizeof *config), .error = error};
    bool good = reading.config != NULL;

    if (good && config == NULL) good = set_defaults(&reading);
    for (size_t i = 0; good && config != NULL && i < OPTIONS; i++) good = config_option_keep(reading.config, config, i);
    if (good) return reading.config;
    config_free(reading.config);
    return NULL;
}

bool config_set(struct config *config, size_t index, const char *text, char error[CONFIG_ERROR_TEXT]) {
    struct reading reading = {.config = config, .error = error};
    char message[CONFIG_ERROR_TEXT];

    if (*text == '\0' && may_be_none(&options[index])) text = "none";
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at >= ' ' && *at != 127) continue;
        return fail(&reading, "expected text without control characters");
    }
    if (set_value(&reading, index, text) && check_origins(&reading) && check_hosts(&reading)) return true;
    snprintf(message, sizeof message, "%s", strstr(error, "expected"));
    memcpy(error, message, sizeof message);
    return false;
}

void config_print_help(FILE *file) {
    fputs("usage: strobed [--config FILE] [--NAME VALUE ...]\n"
          "\n"
          "  --config FILE        reads options from FILE, lines of \"name = value\"; those given here win\n"
          "  --check-config       only says whether the options are good\n"
          "  --help, --version\n"
          "\n"
          "A value may follow its name as --NAME VALUE or --NAME=VALUE.\n"
          "\n"
          "Options, with their defaults:\n\n",
          file);
    for (size_t i = 0; i < OPTIONS; i++) {
        fprintf(file, "  --%-18s %-10s %s\n", options[i].name, options[i].standard, options[i].help);
    }
    fputs("\n"
          "Bytes: 100, 64kb, 512mb, 1gb, or 25% of this machine's or cgroup's memory.\n"
          "Times: 30 (seconds), 500ms, 30s, 5m, 1h.\n"
          "Signals: SIGTERM and SIGINT stop in order, a second one at once; SIGHUP reads FILE and opens the log\n"
          "again.\n",
          file);
}
