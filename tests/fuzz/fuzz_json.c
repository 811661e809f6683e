/* fuzz_json.c - any bytes as a JSON string: read back by a reader of our own, byte for byte.
 *
 * Also held: what the writer takes for UTF-8 is what a plain decoder of code points takes for it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool yes) {
    if (!yes) abort();
}

/* By the definition: decode, then ask whether the code point may be there and needs that many bytes. */
static bool is_utf8(const uint8_t *p, size_t len) {
    size_t i = 0;

    while (i < len) {
        size_t extra = p[i] < 0x80 ? 0 : p[i] >> 5 == 6 ? 1 : p[i] >> 4 == 14 ? 2 : p[i] >> 3 == 30 ? 3 : 9;
        uint32_t point = extra == 0 ? p[i] : p[i] & (0x3fu >> extra);
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

        if (extra > 3 || len - i <= extra) return false;
        for (size_t k = 1; k <= extra; k++) {
            if ((p[i + k] & 0xc0) != 0x80) return false;
            point = point << 6 | (p[i + k] & 0x3fu);
        }
        if (point < least[extra] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
        i += extra + 1;
    }
    return true;
}

static unsigned hex(char c) {
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* The string between the quotes; BACK gets its bytes. */
static size_t read_string(const char *text, size_t len, char *back) {
    static const char from[] = "\"\\bfnrt", to[] = "\"\\\b\f\n\r\t";
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        expect((unsigned char)text[i] >= 0x20 && text[i] != '"');
        if (text[i] != '\\') {
            back[n++] = text[i];
            continue;
        }
        expect(++i < len);
        if (text[i] == 'u') {
            expect(len - i > 4 && text[i + 1] == '0' && text[i + 2] == '0');
            back[n++] = (char)(hex(text[i + 3]) << 4 | hex(text[i + 4]));
            i += 4;
        } else {
            const char *at = memchr(from, text[i], 7);

            expect(at != NULL);
            back[n++] = to[at - from];
        }
    }
    return n;
}

static size_t read_base64(const char *text, size_t len, char *back) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;

    expect(len % 4 == 0);
    for (size_t i = 0; i < len; i += 4) {
        uint32_t bits = 0;
        size_t pads = 0;

        for (size_t k = 0; k < 4; k++) {
            const char *at = memchr(digits, text[i + k], 64);

            expect(at != NULL || (text[i + k] == '=' && i + 4 == len && k > 1));
            pads += at == NULL;
            bits = bits << 6 | (at == NULL ? 0 : (uint32_t)(at - digits));
        }
        for (size_t k = 0; k < 3 - pads; k++) back[n++] = (char)(bits >> (16 - 8 * k));
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct strobe_out_pool pool;
    struct strobe_out out;
    struct strobe_json json;
    struct iovec pieces[64];
    char *text, *back = malloc(size + 3);
    size_t len = 0, n, count;
    bool valid = is_utf8(data, size);

    strobe_out_pool_init(&pool, 4);
    strobe_out_init(&out, &pool, (size_t)1 << 30);
    strobe_json_init(&json, &out);
    strobe_json_string(&json, strobe_slice_make((const char *)data, size));
    expect(strobe_out_status(&out) == STROBE_BUF_OK);
    expect((strobe_utf8_valid(strobe_slice_make((const char *)data, size)) == size) == valid);
    text = malloc(strobe_out_pending(&out));
    while ((count = strobe_out_gather(&out, pieces, 64)) > 0) {
        size_t taken = 0;

        for (size_t i = 0; i < count; i++) {
            memcpy(text + len, pieces[i].iov_base, pieces[i].iov_len);
            len += pieces[i].iov_len;
            taken += pieces[i].iov_len;
        }
        strobe_out_consume(&out, taken);
    }
    if (valid) {
        expect(len >= 2 && text[0] == '"' && text[len - 1] == '"');
        n = read_string(text + 1, len - 2, back);
    } else {
        expect(len >= 13 && memcmp(text, "{\"base64\":\"", 11) == 0 && memcmp(text + len - 2, "\"}", 2) == 0);
        n = read_base64(text + 11, len - 13, back);
    }
    expect(n == size && (size == 0 || memcmp(back, data, size) == 0));
    strobe_out_fini(&out);
    strobe_out_pool_fini(&pool);
    free(text);
    free(back);
    return 0;
}
