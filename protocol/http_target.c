/* http_target.c - reads the small languages inside a request: escapes, times, hosts, origins, lists.
 *
 * Always: a function reads all of what it is given or answers no; nothing is allocated or kept; every pass goes
 * forward once. '%' in a host is kept as it is, because nothing compares hosts by what their escapes mean.
 * Not here: which host, origin or version is let in (server/). */
#include "protocol/http_target.h"

#include <arpa/inet.h>
#include <string.h>

#include "protocol/number.h"

/* Classes of bytes of RFC 3986, for the first 128. */
enum {
    UNRESERVED = 1, /* letters, digits, - . _ ~ */
    NAME = 2,       /* in a registered name: unreserved and sub-delims (and escapes) */
    HEX = 4
};

/* clang-format off */
static const uint8_t classes[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 2, 0, 0, 2, 0, 2, 2, 2, 2, 2, 2, 2, 3, 3, 0,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 2, 0, 2, 0, 0,
    0, 7, 7, 7, 7, 7, 7, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 3,
    0, 7, 7, 7, 7, 7, 7, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 3, 0,};
/* clang-format on */

static bool is(char c, uint8_t class) {
    return (unsigned char)c < sizeof(classes) && (classes[(unsigned char)c] & class) != 0;
}

static unsigned hex_value(char c) {
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

static struct strobe_slice from(struct strobe_slice text, size_t at) {
    return strobe_slice_make(text.data + at, text.len - at);
}

static struct strobe_slice upto(struct strobe_slice text, size_t end) {
    return strobe_slice_make(text.data, end);
}

static size_t find(struct strobe_slice text, char c) {
    const char *at = text.len == 0 ? NULL : memchr(text.data, c, text.len);

    return at == NULL ? text.len : (size_t)(at - text.data);
}

static struct strobe_slice trimmed(struct strobe_slice text) {
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) text = from(text, 1);
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) text.len--;
    return text;
}

bool strobe_http_text_is(struct strobe_slice a, const char *b) {
    size_t i = 0;

    while (i < a.len && b[i] != '\0' && strobe_ascii_lower(a.data[i]) == (unsigned char)b[i]) i++;
    return i == a.len && b[i] == '\0';
}

/* ---- escapes and parameters --------------------------------------------------------------------- */

bool strobe_http_is_plain(struct strobe_slice text, enum strobe_http_plus plus) {
    return find(text, '%') == text.len && (plus == STROBE_HTTP_PLUS_IS_PLUS || find(text, '+') == text.len);
}

enum strobe_http_decoded strobe_http_decode(struct strobe_slice text, enum strobe_http_plus plus, char *out,
                                            size_t out_max, size_t *out_len) {
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '%') {
            if (text.len - i < 3 || !is(text.data[i + 1], HEX) || !is(text.data[i + 2], HEX)) {
                return STROBE_HTTP_BAD_ESCAPE;
            }
            c = (char)(hex_value(text.data[i + 1]) << 4 | hex_value(text.data[i + 2]));
            i += 2;
        } else if (c == '+' && plus == STROBE_HTTP_PLUS_IS_SPACE) {
            c = ' ';
        }
        if (n == out_max) return STROBE_HTTP_TOO_LONG;
        out[n++] = c;
    }
    *out_len = n;
    return STROBE_HTTP_DECODED;
}

size_t strobe_http_encode(struct strobe_slice text, char *out) {
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (is((char)c, UNRESERVED)) {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = digits[c >> 4];
            out[n++] = digits[c & 15];
        }
    }
    return n;
}

bool strobe_http_next_parameter(struct strobe_slice *rest, struct strobe_slice *name, struct strobe_slice *value) {
    while (rest->len > 0) {
        size_t end = find(*rest, '&');
        struct strobe_slice piece = upto(*rest, end);
        size_t equals = find(piece, '=');

        *rest = end == rest->len ? strobe_slice_make(NULL, 0) : from(*rest, end + 1);
        if (piece.len == 0) continue;
        *name = upto(piece, equals);
        *value = equals == piece.len ? strobe_slice_make(NULL, 0) : from(piece, equals + 1);
        return true;
    }
    return false;
}

bool strobe_http_is_yes(struct strobe_slice value) {
    return !strobe_slice_equal(value, STROBE_SLICE("0")) && !strobe_slice_equal(value, STROBE_SLICE("false"));
}

/* ---- numbers ------------------------------------------------------------------------------------ */

/* The digits that TEXT begins with, at least one. *USED: how many. *VALUE: INT64_MAX for more than that, and then
 * *FITS is no. */
static bool read_some_digits(struct strobe_slice text, uint64_t *value, size_t *used, bool *fits) {
    uint64_t v = 0;
    size_t i = 0;

    *fits = true;
    for (; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');

        *fits = *fits && v <= ((uint64_t)INT64_MAX - digit) / 10;
        v = *fits ? v * 10 + digit : (uint64_t)INT64_MAX;
    }
    *value = v;
    *used = i;
    return i > 0;
}

/* The same. Results: no also beyond INT64_MAX. */
static bool read_digits(struct strobe_slice text, uint64_t *value, size_t *used) {
    bool fits;

    return read_some_digits(text, value, used, &fits) && fits;
}

bool strobe_http_parse_ttl(struct strobe_slice text, int64_t *milliseconds) {
    static const struct {
        const char *name;
        int64_t milliseconds;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    uint64_t number;
    size_t used;

    if (!read_digits(text, &number, &used)) return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strobe_http_text_is(from(text, used), units[i].name)) {
            if ((int64_t)number > INT64_MAX / units[i].milliseconds) return false;
            *milliseconds = (int64_t)number * units[i].milliseconds;
            return true;
        }
    }
    return false;
}

/* ---- hosts and origins -------------------------------------------------------------------------- */

/* At most five digits up to 65535; none at all is RFC 3986's empty port, which means no port. */
static bool read_port(struct strobe_slice text, int32_t *port) {
    int32_t value = 0;

    *port = -1;
    if (text.len == 0) return true;
    if (text.len > 5) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (text.data[i] - '0');
    }
    if (value > 65535) return false;
    *port = value;
    return true;
}

/* Is TEXT an IPv6 address, as inet_pton() reads it? */
static bool is_ipv6(struct strobe_slice text) {
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL) return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, &address) == 1;
}

/* The same of IPv4: four numbers up to 255, without zeros in front. By hand, because each request asks. */
static bool is_ipv4(struct strobe_slice text) {
    unsigned numbers = 0;
    size_t at = 0;

    for (;;) {
        size_t first = at;
        unsigned value = 0;

        for (; at < text.len && at - first < 3 && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
            value = value * 10 + (unsigned)(text.data[at] - '0');
        }
        if (at == first || value > 255 || (at - first > 1 && text.data[first] == '0')) return false;
        if (++numbers == 4) return at == text.len;
        if (at == text.len || text.data[at++] != '.') return false;
    }
}

static bool is_registered_name(struct strobe_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '%') {
            if (text.len - i < 3 || !is(text.data[i + 1], HEX) || !is(text.data[i + 2], HEX)) return false;
            i += 2;
        } else if (!is(text.data[i], NAME)) {
            return false;
        }
    }
    return text.len > 0;
}

bool strobe_http_parse_host(struct strobe_slice text, struct strobe_http_host *host) {
    bool bracketed = text.len > 0 && text.data[0] == '[';
    size_t end = bracketed ? find(text, ']') : find(text, ':');
    struct strobe_slice rest;

    if (bracketed) {
        if (end == text.len) return false;
        host->name = strobe_slice_make(text.data + 1, end - 1);
        host->is_ip = is_ipv6(host->name);
        if (!host->is_ip) return false;
        end++;
    } else {
        host->name = upto(text, end);
        if (!is_registered_name(host->name)) return false;
        host->is_ip = is_ipv4(host->name);
    }
    rest = from(text, end);
    host->port = -1;
    if (rest.len == 0) return true;
    return rest.data[0] == ':' && read_port(from(rest, 1), &host->port);
}

/* A name's trailing dot says that it is complete: "localhost." is localhost. */
static struct strobe_slice without_dot(struct strobe_slice name) {
    if (name.len > 1 && name.data[name.len - 1] == '.') name.len--;
    return name;
}

bool strobe_http_host_is_localhost(const struct strobe_http_host *host) {
    struct strobe_slice name = without_dot(host->name);

    if (strobe_http_text_is(name, "localhost")) return true;
    return name.len > 10 && strobe_http_text_is(from(name, name.len - 10), ".localhost");
}

bool strobe_http_host_is_dotless(const struct strobe_http_host *host) {
    return !host->is_ip && find(host->name, '.') == host->name.len && find(host->name, '%') == host->name.len;
}

bool strobe_http_host_equals(const struct strobe_http_host *host, struct strobe_slice name) {
    return strobe_slice_equal_nocase(without_dot(host->name), without_dot(name));
}

static int32_t default_port(struct strobe_slice scheme) {
    if (strobe_http_text_is(scheme, "http")) return 80;
    return strobe_http_text_is(scheme, "https") ? 443 : -1;
}

static bool is_scheme(struct strobe_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)strobe_ascii_lower(text.data[i]);
        bool letter = c >= 'a' && c <= 'z';

        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'))) return false;
    }
    return text.len > 0;
}

bool strobe_http_parse_origin(struct strobe_slice text, struct strobe_http_origin *origin) {
    size_t colon = find(text, ':');

    *origin = (struct strobe_http_origin){.port = -1, .host.port = -1};
    if (text.len == 4 && memcmp(text.data, "null", 4) == 0) {
        origin->is_opaque = true;
        return true;
    }
    origin->scheme = upto(text, colon);
    if (!is_scheme(origin->scheme) || text.len - colon < 4 || memcmp(text.data + colon, "://", 3) != 0) return false;
    if (!strobe_http_parse_host(from(text, colon + 3), &origin->host)) return false;
    origin->port = origin->host.port >= 0 ? origin->host.port : default_port(origin->scheme);
    return true;
}

bool strobe_http_origins_equal(const struct strobe_http_origin *a, const struct strobe_http_origin *b) {
    return !a->is_opaque && !b->is_opaque && a->port == b->port && strobe_slice_equal_nocase(a->scheme, b->scheme) &&
           strobe_http_host_equals(&a->host, b->host.name) && a->host.is_ip == b->host.is_ip;
}

bool strobe_http_same_origin(const struct strobe_http_origin *origin, const char *scheme,
                             const struct strobe_http_host *host) {
    struct strobe_http_origin own = {.scheme = {scheme, strlen(scheme)}, .host = *host};

    own.port = host->port >= 0 ? host->port : default_port(own.scheme);
    return strobe_http_origins_equal(origin, &own);
}

/* ---- lists -------------------------------------------------------------------------------------- */

/* Where the member that TEXT begins with ends: at a comma outside quotes, or at the end. */
static size_t member_end(struct strobe_slice text) {
    bool quoted = false;
    size_t i = 0;

    for (; i < text.len && (quoted || text.data[i] != ','); i++) {
        if (text.data[i] == '"') {
            quoted = !quoted;
        } else if (quoted && text.data[i] == '\\' && i + 1 < text.len) {
            i++;
        }
    }
    return i;
}

bool strobe_http_next_member(struct strobe_slice *rest, struct strobe_slice *member) {
    while (rest->len > 0) {
        size_t end = member_end(*rest);

        *member = trimmed(upto(*rest, end));
        *rest = end == rest->len ? strobe_slice_make(NULL, 0) : from(*rest, end + 1);
        if (member->len > 0) return true;
    }
    return false;
}

bool strobe_http_list_has(struct strobe_slice list, const char *token) {
    struct strobe_slice member;

    while (strobe_http_next_member(&list, &member)) {
        if (strobe_http_text_is(member, token)) return true;
    }
    return false;
}

/* "0", "0.", "0.0" to "0.000": a weight of zero (RFC 9110 section 12.4.2). */
static bool is_zero(struct strobe_slice weight) {
    if (weight.len == 0 || weight.data[0] != '0') return false;
    for (size_t i = 1; i < weight.len; i++) {
        if (weight.data[i] != '0' && (i != 1 || weight.data[i] != '.')) return false;
    }
    return true;
}

bool strobe_http_media_type_is(struct strobe_slice content_type, const char *type) {
    return strobe_http_text_is(trimmed(upto(content_type, find(content_type, ';'))), type);
}

bool strobe_http_accepts(struct strobe_slice accept, const char *type) {
    struct strobe_slice member;

    while (strobe_http_next_member(&accept, &member)) {
        bool refused = false;
        size_t end = find(member, ';');

        if (!strobe_http_text_is(trimmed(upto(member, end)), type)) continue;
        while (end < member.len) {
            struct strobe_slice parameter;

            member = from(member, end + 1);
            end = find(member, ';');
            parameter = trimmed(upto(member, end));
            if (parameter.len > 2 && (parameter.data[0] | 0x20) == 'q' && parameter.data[1] == '=') {
                refused = is_zero(from(parameter, 2));
            }
        }
        if (!refused) return true;
    }
    return false;
}

/* ---- ETags and ranges --------------------------------------------------------------------------- */

/* An entity-tag's bytes between the quotes: 0x21, 0x23-0x7e, 0x80-0xff (RFC 9110 section 8.8.3). */
static bool is_tag_byte(char c) {
    unsigned char u = (unsigned char)c;

    return u == 0x21 || (u >= 0x23 && u != 0x7f);
}

/* Goes past blanks, and past commas too if COMMAS (the list may have empty members). */
static struct strobe_slice skip_blanks(struct strobe_slice text, bool commas) {
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t' || (commas && text.data[0] == ','))) {
        text = from(text, 1);
    }
    return text;
}

/* One member of If-Match or If-None-Match. */
struct etag {
    struct strobe_slice tag; /* between the quotes; borrowed */
    bool is_weak;            /* W/"..." */
    bool is_any;             /* "*": only alone in the field */
};

/* The members of an entity-tag list. REST is moved on. Results: yes with the next; no at the end or at an error, which
 * *VALID tells apart (it is only ever set to no; the caller starts it with yes). */
static bool next_etag(struct strobe_slice *rest, struct etag *etag, bool *valid) {
    struct strobe_slice text = skip_blanks(*rest, true);
    size_t end = 0;

    *rest = text;
    if (text.len == 0) return false;
    *etag = (struct etag){.is_any = text.len == 1 && text.data[0] == '*'};
    if (etag->is_any) {
        *rest = from(text, 1);
        return true;
    }
    *valid = false; /* until proven */
    etag->is_weak = text.len > 2 && text.data[0] == 'W' && text.data[1] == '/';
    if (etag->is_weak) text = from(text, 2);
    if (text.data[0] != '"') return false;
    text = from(text, 1);
    while (end < text.len && is_tag_byte(text.data[end])) end++;
    if (end == text.len || text.data[end] != '"') return false;
    etag->tag = upto(text, end);
    *rest = skip_blanks(from(text, end + 1), false);
    *valid = rest->len == 0 || rest->data[0] == ',';
    return *valid;
}

/* Only what strobe writes as an ETag is a version: no sign, no leading zero. */
static bool is_version(struct strobe_slice tag, uint64_t version) {
    uint64_t value;

    return strobe_number_parse_uint64(tag, &value) && value == version;
}

enum strobe_http_etag_match strobe_http_match_etag(struct strobe_slice list, uint64_t version, bool exists,
                                                   bool strong) {
    struct etag etag;
    bool valid = true, match = false, any = false;
    unsigned count = 0;

    list = trimmed(list);
    while (next_etag(&list, &etag, &valid)) {
        count += count < 2;
        any = any || etag.is_any;
        match = match || (exists && (etag.is_any || (is_version(etag.tag, version) && !(strong && etag.is_weak))));
    }
    if (!valid || count == 0 || (any && count > 1)) return STROBE_HTTP_ETAG_INVALID;
    return match ? STROBE_HTTP_ETAG_MATCH : STROBE_HTTP_ETAG_NO_MATCH;
}

enum strobe_http_range strobe_http_parse_range(struct strobe_slice text, uint64_t size, uint64_t *first,
                                               uint64_t *length) {
    uint64_t begin = 0, end = 0;
    size_t used = 0;
    bool has_begin, has_end, fits; /* a position beyond all is behind the end like another */

    if (!strobe_slice_starts_nocase(text, STROBE_SLICE("bytes="))) return STROBE_HTTP_RANGE_WHOLE;
    text = trimmed(from(text, 6));
    has_begin = read_some_digits(text, &begin, &used, &fits);
    if (has_begin) text = from(text, used);
    if (text.len == 0 || text.data[0] != '-') return STROBE_HTTP_RANGE_WHOLE;
    text = from(text, 1);
    has_end = read_some_digits(text, &end, &used, &fits);
    if ((has_end ? used : 0) != text.len || (!has_begin && !has_end)) return STROBE_HTTP_RANGE_WHOLE;
    if (has_begin && has_end && end < begin) return STROBE_HTTP_RANGE_WHOLE;
    if (!has_begin) {
        if (end == 0 || size == 0) return STROBE_HTTP_RANGE_UNSATISFIABLE;
        *length = end < size ? end : size;
        *first = size - *length;
        return STROBE_HTTP_RANGE_PART;
    }
    if (begin >= size) return STROBE_HTTP_RANGE_UNSATISFIABLE;
    *first = begin;
    *length = has_end && end < size ? end - begin + 1 : size - begin;
    return STROBE_HTTP_RANGE_PART;
}
