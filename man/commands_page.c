/* commands_page.c - writes strobe-commands(7) from server/commands.def and man/strobe-commands.in, while building.
 *
 *     strobe-commands.in:   text              copied
 *                           @group string     the rows of a group, each with its note
 *                           @note set         from here to the next @note: what is to be said of a row
 *
 * So a command that is in the table is in the manual, with the words it takes, and a note on none is an error. Rows of
 * containers are left out: their subcommands have their own. On failure a line on standard error, and status 1. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTES_MAX = 128, TEXT_MAX = 1 << 16, LINE_MAX_LEN = 1024 };

struct row {
    const char *name, *group, *since, *complexity, *summary, *syntax;
};

/* Handlers and flags do not matter here. */
#define COMMAND(name, run, arity, flags, first, last, step, key_flags, group, since, complexity, summary, syntax) \
    {name, group, since, complexity, summary, syntax},
static const struct row rows[] = {
#include "server/commands.def"
};
#undef COMMAND
enum { ROWS = sizeof rows / sizeof rows[0] };

struct note {
    const char *name, *text; /* in the page's own text, NUL-terminated */
    bool used;
};

struct page {
    char text[TEXT_MAX];
    struct note notes[NOTES_MAX];
    size_t count;
};

/* TEXT as troff shows it: every hyphen one to copy. CAPITALS: a name, its '|' a space. */
static void print_text(const char *text, bool capitals) {
    for (; *text != '\0'; text++) {
        char c = *text;
        if (c == '-') {
            fputs("\\-", stdout);
        } else if (c == '\\') {
            fputs("\\e", stdout);
        } else if (capitals && c == '|') {
            putchar(' ');
        } else {
            putchar(capitals && c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        }
    }
}

/* Has ROW subcommands? They follow it. */
static bool is_container(size_t row) {
    size_t len = strlen(rows[row].name);
    return row + 1 < ROWS && strncmp(rows[row + 1].name, rows[row].name, len) == 0 && rows[row + 1].name[len] == '|' &&
           rows[row].syntax[0] == '\0' && strcmp(rows[row].name, "command") != 0;
}

static void print_row(const struct row *row, struct page *page) {
    fputs(".TP\n\\fB", stdout);
    print_text(row->name, true);
    fputs("\\fR", stdout);
    if (row->syntax[0] != '\0') putchar(' ');
    print_text(row->syntax, false);
    putchar('\n');
    print_text(row->summary, false);
    fputs(".\n", stdout);
    for (size_t i = 0; i < page->count; i++) {
        if (strcmp(page->notes[i].name, row->name) != 0) continue;
        fputs(page->notes[i].text, stdout);
        page->notes[i].used = true;
    }
    if (strncmp(row->complexity, "O(1)", 5) != 0) {
        fputs("Cost: ", stdout);
        print_text(row->complexity, false);
        puts(row->complexity[strlen(row->complexity) - 1] == '.' ? "" : ".");
    }
    fputs(strcmp(row->since, "strobe") == 0 ? "(Strobe's own.)\n" : "", stdout);
}

static bool print_group(const char *group, struct page *page) {
    bool found = false;
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].group, group) != 0) continue;
        if (!is_container(i)) print_row(&rows[i], page);
        found = true;
    }
    if (!found) fprintf(stderr, "no command is of the group %s\n", group);
    return found;
}

/* Reads all of FILE. false: it does not fit. */
static bool read_page(FILE *file, struct page *page) {
    size_t len = fread(page->text, 1, TEXT_MAX, file);
    if (len == TEXT_MAX || ferror(file)) return false;
    page->text[len] = '\0';
    return true;
}

/* Cuts the notes off the page's end. false: there are too many. */
static bool cut_notes(struct page *page) {
    char *at = strstr(page->text, "\n@note ");
    while (at != NULL) {
        char *end = strchr(at + 7, '\n');
        if (end == NULL || page->count == NOTES_MAX) return false;
        at[1] = '\0'; /* the text before keeps its last newline */
        *end = '\0';
        page->notes[page->count++] = (struct note){.name = at + 7, .text = end + 1};
        at = strstr(end + 1, "\n@note ");
    }
    return true;
}

static bool print_page(struct page *page) {
    char line[LINE_MAX_LEN];
    bool fine = true;
    for (const char *at = page->text; *at != '\0';) {
        size_t len = strcspn(at, "\n");
        if (len >= sizeof line) return false;
        memcpy(line, at, len);
        line[len] = '\0';
        if (strncmp(line, "@group ", 7) == 0) {
            fine = print_group(line + 7, page) && fine;
        } else {
            puts(line);
        }
        at += len + (at[len] == '\n');
    }
    for (size_t i = 0; i < page->count; i++) {
        if (page->notes[i].used) continue;
        fprintf(stderr, "a note on %s, which is no command\n", page->notes[i].name);
        fine = false;
    }
    return fine;
}

int main(int argc, char **argv) {
    struct page *page = calloc(1, sizeof *page);
    FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
    if (page == NULL || file == NULL) {
        fputs("usage: commands_page strobe-commands.in\n", stderr);
        free(page);
        return 1;
    }
    bool fine = read_page(file, page) && cut_notes(page) && print_page(page);
    fclose(file);
    free(page);
    if (!fine) fprintf(stderr, "%s: the manual could not be made from it\n", argv[1]);
    return fine && fflush(stdout) == 0 ? 0 : 1;
}
