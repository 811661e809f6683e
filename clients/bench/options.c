/* options.c - from the command line to options, with an error that says what was expected.
 *
 * A row of options.def names the option, its type, bounds and default. A type has a row here: how it is read, and
 * the words for what it expects. What depends on more than one option is settled and checked in `settle`.
 * Always: a value is stored only when it was read to its end and lies within bounds; each option is given once. */
#include "clients/bench/options.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

enum option_type {
    TYPE_TEXT,
    TYPE_COUNT,
    TYPE_TIME,
    TYPE_SIZE,
    TYPE_RATIO,
    TYPE_DOOR,
    TYPE_DIST,
    TYPE_SCAN,
    TYPE_FLAG
};

struct option {
    const char *name;
    size_t offset; /* of its member in struct bench_options */
    enum option_type type;
    const char *argument, *standard; /* "auto", "none" and "off" are stored as 0 */
    uint64_t least, most;
    const char *help;
};

static const struct option options[] = {
#define OPTION(name, member, type, argument, standard, least, most, help) \
    {name, offsetof(struct bench_options, member), TYPE_##type, argument, standard, least, most, help},
#include "clients/bench/options.def"
#undef OPTION
};

/* Each option's place in the table: OPTION_key_prefix. */
enum option_index {
#define OPTION(name, member, ...) OPTION_##member,
#include "clients/bench/options.def"
#undef OPTION
    OPTIONS
};

struct reading {
    struct bench_options *options;
    bool given[OPTIONS];
    char *error;
};

static bool fail(struct reading *reading, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct reading *reading, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reading->error, OPTIONS_ERROR_TEXT, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- the types ------------------------------------------------------------------------------------ */

/* Reads digits at the start of TEXT; gives what follows them, NULL when there are none or too many. */
static const char *read_digits(const char *text, uint64_t *value) {
    const char *at = text;
    uint64_t sum = 0;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, (unsigned)(*at - '0'), &sum))
            return NULL;
    }
    *value = sum;
    return at == text ? NULL : at;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* Reads a number and one of the units at the start of TEXT; they end at END or at the text's end. */
static const char *read_number(const char *text, char end, const struct unit *units, size_t count, uint64_t *value) {
    const char *rest = read_digits(text, value);

    for (size_t i = 0; rest != NULL && i < count; i++) {
        size_t len = strlen(units[i].name);
        if (strncasecmp(rest, units[i].name, len) != 0 || (rest[len] != '\0' && rest[len] != end)) continue;
        return __builtin_mul_overflow(*value, units[i].factor, value) ? NULL : rest + len;
    }
    return NULL;
}

static bool within(const struct option *option, uint64_t value) {
    return value >= option->least && value <= option->most;
}

static bool read_text(const struct option *option, const char *text, void *member) {
    size_t len = strlen(text);

    if (!within(option, len)) return false;
    *(const char **)member = text;
    return true;
}

static bool read_whole(const struct option *option, const char *text, const struct unit *units, size_t count,
                       void *member) {
    uint64_t value;
    const char *rest = read_number(text, '\0', units, count, &value);

    if (rest == NULL || *rest != '\0' || !within(option, value)) return false;
    *(uint64_t *)member = value;
    return true;
}

static bool read_count(const struct option *option, const char *text, void *member) {
    static const struct unit units[] = {{"", 1}};

    return read_whole(option, text, units, 1, member);
}

static bool read_time(const struct option *option, const char *text, void *member) {
    static const struct unit units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

    return read_whole(option, text, units, sizeof units / sizeof *units, member);
}

static bool read_size(const struct option *option, const char *text, void *member) {
    static const struct unit units[] = {{"", 1}, {"b", 1}, {"kb", 1 << 10}, {"mb", 1 << 20}};
    const size_t count = sizeof units / sizeof *units;
    struct bench_size size;
    const char *rest = read_number(text, '-', units, count, &size.least);

    size.most = size.least;
    if (rest != NULL && *rest == '-') rest = read_number(rest + 1, '\0', units, count, &size.most);
    if (rest == NULL || *rest != '\0' || size.least > size.most || size.most > option->most) return false;
    *(struct bench_size *)member = size;
    return true;
}

static bool read_ratio(const struct option *option, const char *text, void *member) {
    struct bench_ratio ratio;
    const char *rest = read_digits(text, &ratio.gets);

    if (rest == NULL || *rest != ':') return false;
    rest = read_digits(rest + 1, &ratio.sets);
    if (rest == NULL || *rest != '\0' || !within(option, ratio.gets) || !within(option, ratio.sets)) return false;
    if (ratio.gets + ratio.sets == 0) return false;
    *(struct bench_ratio *)member = ratio;
    return true;
}

static bool read_door(const struct option *option, const char *text, void *member) {
    (void)option;
#define OPTIONS_DOOR(name, word)                   \
    if (strcmp(text, word) == 0) {                 \
        *(enum bench_door *)member = BENCH_##name; \
        return true;                               \
    }
    BENCH_DOORS(OPTIONS_DOOR)
#undef OPTIONS_DOOR
    return false;
}

static bool read_dist(const struct option *option, const char *text, void *member) {
    (void)option;
#define OPTIONS_DIST(name, word)                 \
    if (strcmp(text, word) == 0) {               \
        *(enum keys_dist *)member = KEYS_##name; \
        return true;                             \
    }
    KEYS_DISTS(OPTIONS_DIST)
#undef OPTIONS_DIST
    return false;
}

static bool read_flag(const struct option *option, const char *text, void *member) {
    (void)option;
    (void)text;
    *(bool *)member = true;
    return true;
}

/* How the bounds of an option are said behind what it expects. */
enum { BOUNDS_TEXT = 64 };

static void say_range(const struct option *option, char text[BOUNDS_TEXT]) {
    snprintf(text, BOUNDS_TEXT, " from %" PRIu64 " to %" PRIu64, option->least, option->most);
}

static void say_most(const struct option *option, char text[BOUNDS_TEXT]) {
    snprintf(text, BOUNDS_TEXT, ", each up to %" PRIu64, option->most);
}

/* The bounds of times are whole hours and single milliseconds. */
static void say_times(const struct option *option, char text[BOUNDS_TEXT]) {
    snprintf(text, BOUNDS_TEXT, ", from %" PRIu64 "ms to %" PRIu64 "h", option->least, option->most / 3600000);
}

struct type {
    bool (*read)(const struct option *option, const char *text, void *member);
    const char *expects;
    void (*say_bounds)(const struct option *option, char text[BOUNDS_TEXT]); /* NULL: there are none, or EXPECTS does */
};

static const struct type types[] = {
    [TYPE_TEXT] = {read_text, "a text whose length is", say_range},
    [TYPE_COUNT] = {read_count, "a whole number", say_range},
    [TYPE_TIME] = {read_time, "a time as 30 (seconds), 500ms, 30s, 5m or 1h", say_times},
    [TYPE_SIZE] = {read_size, "bytes as 100, 64kb or 1mb, or from-to as 10-200, up to 512mb", NULL},
    [TYPE_RATIO] = {read_ratio, "gets:sets as 10:1, 1:0 or 0:1", say_most},
    [TYPE_DOOR] = {read_door, "resp, http or memcached", NULL},
    [TYPE_DIST] = {read_dist, "uniform, zipf or sequential", NULL},
    [TYPE_SCAN] = {read_count, "a whole number", say_range},
    [TYPE_FLAG] = {read_flag, "nothing", NULL},
};

/* ---- reading ------------------------------------------------------------------------------------------ */

static bool means_zero(const char *standard) {
    return strcmp(standard, "auto") == 0 || strcmp(standard, "none") == 0 || strcmp(standard, "off") == 0;
}

static void set_defaults(struct bench_options *all) {
    memset(all, 0, sizeof *all);
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *option = &options[i];
        if (means_zero(option->standard)) continue;
        bool good = types[option->type].read(option, option->standard, (char *)all + option->offset);
        assert(good && "a default that is out of its own bounds");
        (void)good;
    }
}

static bool store(struct reading *reading, size_t index, const char *text) {
    const struct option *option = &options[index];
    const struct type *type = &types[option->type];
    char bounds[BOUNDS_TEXT] = "";

    if (reading->given[index]) return fail(reading, "--%s is given twice", option->name);
    reading->given[index] = true;
    if (type->read(option, text, (char *)reading->options + option->offset)) return true;
    if (type->say_bounds != NULL) type->say_bounds(option, bounds);
    return fail(reading, "--%s: expected %s%s, got \"%.60s\"", option->name, type->expects, bounds, text);
}

static size_t find_option(const char *name, size_t len) {
    size_t i = 0;

    while (i < OPTIONS && (strlen(options[i].name) != len || memcmp(options[i].name, name, len) != 0)) i++;
    return i;
}

static bool starts_with_digit(const char *text) {
    return text != NULL && *text >= '0' && *text <= '9';
}

/* Reads the option at ARGV[0] and its value; *USED is how many arguments that were. */
static bool read_option(struct reading *reading, char **argv, int *used) {
    const char *name = argv[0] + 2, *equals = strchr(argv[0], '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name), index = find_option(name, len);

    *used = 1;
    if (strncmp(argv[0], "--", 2) != 0 || index == OPTIONS)
        return fail(reading, "there is no option \"%.60s\"; --help lists them", argv[0]);
    if (options[index].type == TYPE_FLAG) {
        if (equals != NULL) return fail(reading, "--%s takes no value", options[index].name);
        return store(reading, index, "");
    }
    if (equals != NULL) return store(reading, index, equals + 1);
    if (options[index].type == TYPE_SCAN && !starts_with_digit(argv[1])) return store(reading, index, "1000");
    if (argv[1] == NULL)
        return fail(reading, "--%s: expected %s behind it", options[index].name, options[index].argument);
    *used = 2;
    return store(reading, index, argv[1]);
}

/* ---- what depends on more than one ------------------------------------------------------------------- */

static bool settle_keys(struct reading *reading) {
    enum { DIGITS = 12 };
    struct bench_options *all = reading->options;
    size_t prefix = strlen(all->key_prefix);
    uint64_t last = all->key_minimum + all->keys - 1, least = keys_least_size(prefix, last);

    if (all->key_size == 0) all->key_size = prefix + DIGITS;
    if (all->key_size >= least) return true;
    return fail(reading, "--key-size: the prefix and numbers up to %" PRIu64 " need %" PRIu64 " bytes, got %" PRIu64,
                last, least, all->key_size);
}

/* Whether two options that exclude each other are given. */
static bool clash(struct reading *reading, enum option_index one, enum option_index other) {
    return reading->given[one] && reading->given[other];
}

static bool settle_command(struct reading *reading) {
    struct bench_options *all = reading->options;

    if (all->command == NULL) return true;
    if (all->door != BENCH_RESP) return fail(reading, "--command is for --door resp; the others get and set");
    if (reading->given[OPTION_ratio]) return fail(reading, "--command and --ratio exclude each other");
    all->ratio = (struct bench_ratio){0, 0};
    return true;
}

static bool settle(struct reading *reading) {
    static const uint64_t ports[] = {[BENCH_RESP] = 7171, [BENCH_HTTP] = 7172, [BENCH_MEMCACHED] = 11211};
    struct bench_options *all = reading->options;

    if (clash(reading, OPTION_requests, OPTION_time))
        return fail(reading, "--requests and --seconds exclude each other");
    if (clash(reading, OPTION_unix_socket, OPTION_host) || clash(reading, OPTION_unix_socket, OPTION_port))
        return fail(reading, "--unix-socket takes the place of --host and --port");
    if (clash(reading, OPTION_json, OPTION_quiet)) return fail(reading, "--json and --quiet exclude each other");
    if (all->time != 0) all->requests = 0;
    if (all->clients == 0 && (all->scan_count == 0 || all->time == 0))
        return fail(reading, "--clients 0 needs --scan-beside, and --seconds to end it");
    if (all->clients == 0 && all->prefill) return fail(reading, "--prefill needs --clients to do it");
    if (all->clients != 0 && all->threads > all->clients)
        return fail(reading, "--threads: expected at most as many as --clients, %" PRIu64, all->clients);
    if (all->scan_values && all->scan_count == 0) return fail(reading, "--scan-values needs --scan-beside");
    if (all->scan_count != 0 && all->door == BENCH_MEMCACHED)
        return fail(reading, "--scan-beside is for --door resp and http; memcached has no scan");
    if (all->port == 0) all->port = ports[all->door];
    if (all->door == BENCH_HTTP && all->http_path[0] != '/')
        return fail(reading, "--http-path: expected a path that begins with /, got \"%.60s\"", all->http_path);
    return settle_command(reading) && settle_keys(reading);
}

bool options_read(int argc, char **argv, enum options_action *action, struct bench_options *all,
                  char error[OPTIONS_ERROR_TEXT]) {
    struct reading reading = {.options = all, .error = error};

    set_defaults(all);
    *action = OPTIONS_RUN;
    for (int at = 1, used; at < argc; at += used) {
        if (strcmp(argv[at], "--help") == 0) *action = OPTIONS_HELP;
        if (strcmp(argv[at], "--version") == 0) *action = OPTIONS_VERSION;
        if (*action != OPTIONS_RUN) return true;
        if (!read_option(&reading, argv + at, &used)) return false;
    }
    return settle(&reading);
}

const char *options_door_name(enum bench_door door) {
    static const char *const names[] = {
#define OPTIONS_DOOR_NAME(name, word) word,
        BENCH_DOORS(OPTIONS_DOOR_NAME)
#undef OPTIONS_DOOR_NAME
    };

    return names[door];
}

void options_print_help(FILE *file) {
    fputs("usage: strobe-bench [--NAME VALUE ...]\n"
          "\n"
          "Loads strobed, or any server that speaks Redis's protocol or HTTP, and says how fast it answered.\n"
          "\n"
          "Options, with their defaults:\n\n",
          file);
    for (size_t i = 0; i < OPTIONS; i++) {
        char name[40];
        snprintf(name, sizeof name, "%s %s", options[i].name, options[i].argument);
        fprintf(file, "  --%-22s %-10s %s\n", name, options[i].standard, options[i].help);
    }
    fputs("  --help\n"
          "  --version\n"
          "\n"
          "Bytes: 100, 64kb, 1mb. Times: 30 (seconds), 500ms, 30s, 5m, 1h.\n"
          "Ends with 0 when all was well, 1 when something failed or was wrong, 2 for options that are not good, 130 "
          "after\n"
          "Ctrl-C, which prints what was measured so far.\n",
          file);
}
