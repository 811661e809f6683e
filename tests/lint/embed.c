/* embed.c - a stranger's program: nothing of strobe but the installed header and library. embed.sh builds it. */
#include <stdio.h>
#include <string.h>
#include <strobe/map.h>

static enum strobe_visit print_entry(void *context, const struct strobe_entry *entry) {
    size_t key_len, value_len;
    const char *key = strobe_entry_key(entry, &key_len);
    const char *value = strobe_entry_value(entry, &value_len);
    printf("%.*s=%.*s\n", (int)key_len, key, (int)value_len, value);
    *(int *)context += 1;
    return STROBE_VISIT_NEXT;
}

int main(void) {
    struct strobe_map *map;
    struct strobe_snapshot *snapshot;
    struct strobe_position position = {0};
    int seen = 0;
    if (strobe_map_new(NULL, &map) != STROBE_OK) return 1;
    if (strobe_set(map, "moon", 4, "full", 4, 0) != STROBE_OK) return 1;
    if (strobe_snapshot_open(map, false, &snapshot) != STROBE_OK) return 1;
    if (strobe_set(map, "moon", 4, "new", 3, 0) != STROBE_OK) return 1;
    if (strobe_snapshot_read(snapshot, &position, NULL, 0, print_entry, &seen) != STROBE_OK) return 1;
    strobe_snapshot_close(snapshot);
    strobe_map_free(map);
    return seen == 1 ? 0 : 1;
}
