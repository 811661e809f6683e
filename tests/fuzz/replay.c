/* replay.c - runs a fuzz target over its corpus without a fuzzer, so that `make check` does it with every compiler.
 *
 * tests/fuzz/replay_NAME is fuzz_NAME.c with this main; it reads tests/fuzz/corpus/NAME below $top_srcdir, or the files
 * it is given. Each input lies at the end of a block of exactly its size, so that a read behind it is seen by a
 * sanitizer. An empty corpus is a failure. Finding new inputs is the business of `make fuzz`.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *what, const char *path) {
    fprintf(stderr, "replay: %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (file == NULL || fstat(fileno(file), &info) != 0) die("open", path);
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size) die("read", path);
    fclose(file);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static size_t replay_folder(const char *folder) {
    DIR *dir = opendir(folder);
    if (dir == NULL) die("open", folder);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char path[4096];
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path) die("name", entry->d_name);
        replay_file(path);
        count++;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        for (int i = 1; i < argc; i++) replay_file(argv[i]);
        return 0;
    }
    const char *top = getenv("top_srcdir");
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    char folder[4096];
    if (strncmp(name, "replay_", strlen("replay_")) != 0) {
        fprintf(stderr, "replay: %s is not called replay_NAME\n", argv[0]);
        return 1;
    }
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", top ? top : ".", name + strlen("replay_"));
    size_t count = replay_folder(folder);
    printf("replay: %zu inputs of %s\n", count, folder);
    return count > 0 ? 0 : 1;
}
