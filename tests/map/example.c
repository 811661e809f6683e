/* example.c - the example at the top of map.h made whole: all it needs is map.h, libstrobemap.a and -lpthread. */
#include "map/map.h"
#include <stdio.h>

static enum strobe_visit show(void *context, const struct strobe_entry *entry) {
    size_t key_len, len;
    const char *key = strobe_entry_key(entry, &key_len), *value = strobe_entry_value(entry, &len);

    (void)context;
    printf("%.*s is %.*s\n", (int)key_len, key, (int)len, value);
    return STROBE_VISIT_NEXT;
}

int main(void) {
    struct strobe_map *map;
    struct strobe_snapshot *then;
    struct strobe_position position = {0};
    char value[100];
    size_t len = sizeof value;

    if (strobe_map_new(NULL, &map) != STROBE_OK) return 1;
    if (strobe_set(map, "moon", 4, "full", 4, 0) != STROBE_OK || strobe_snapshot_open(map, false, &then) != STROBE_OK)
        return 1;
    if (strobe_set(map, "moon", 4, "new", 3, 0) != STROBE_OK || strobe_get(map, "moon", 4, value, &len) != STROBE_OK)
        return 1;
    printf("now it is %.*s\n", (int)len, value);
    if (strobe_snapshot_read(then, &position, NULL, 0, show, NULL) != STROBE_OK) /* the map as it was */
        return 1;
    strobe_snapshot_close(then);
    strobe_map_free(map);
    return 0;
}
