/* http_target.h - what the parts of a request mean: escapes, query parameters, times, hosts, origins, ETags, lists.
 *
 * Pure functions over borrowed slices: no state, no allocation, any thread. The policy (which host is let in) is the
 * server's. */
#ifndef STROBE_PROTOCOL_HTTP_TARGET_H
#define STROBE_PROTOCOL_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/slice.h"

/* How '+' is read: as itself in a path (RFC 3986), as a space in a query (HTML forms, URLSearchParams). */
enum strobe_http_plus { STROBE_HTTP_PLUS_IS_PLUS, STROBE_HTTP_PLUS_IS_SPACE };

/* Writes the bytes that TEXT stands for to OUT (OUT_MAX bytes) and their number to *OUT_LEN. %00 and %2F are bytes
 * like others. OUT may be TEXT's own memory: the result is never longer. Results: OK; BAD_ESCAPE for a '%' without two
 * hex digits; TOO_LONG when OUT_MAX does not hold it. */
enum strobe_http_decoded { STROBE_HTTP_DECODED, STROBE_HTTP_BAD_ESCAPE, STROBE_HTTP_TOO_LONG };
enum strobe_http_decoded strobe_http_decode(struct strobe_slice text, enum strobe_http_plus plus, char *out,
                                            size_t out_max, size_t *out_len);

/* Has TEXT nothing to decode (so that it can be used as it is)? */
bool strobe_http_is_plain(struct strobe_slice text, enum strobe_http_plus plus);

/* Bytes of the percent-encoding of TEXT as a query value or a path's part: unreserved characters of RFC 3986 stay, all
 * others are %HH. Writes to OUT, which holds 3 * text.len bytes. Returns the length. */
size_t strobe_http_encode(struct strobe_slice text, char *out);

/* The parameters of a query, in order: "a=1&b&c=" gives (a,1) (b, no value) (c, empty). Empty pieces are skipped.
 * REST is moved on. Name and value are undecoded and borrow from it; value.data is NULL when there was no '='.
 * Results: no at the end. */
bool strobe_http_next_parameter(struct strobe_slice *rest, struct strobe_slice *name, struct strobe_slice *value);

/* What a switch's VALUE says: "?values" and "?values=1" are yes, "?values=0" and "?values=false" are no. */
bool strobe_http_is_yes(struct strobe_slice value);

/* A time to live: a whole number, alone (seconds) or with ms, s, m, h or d. *MILLISECONDS is at least 0.
 * Results: no for anything else, and for what passes INT64_MAX milliseconds. */
bool strobe_http_parse_ttl(struct strobe_slice text, int64_t *milliseconds);

/* A host and its port, as in Host or in an authority: "name", "name:80", "1.2.3.4:80", "[::1]:80". */
struct strobe_http_host {
    struct strobe_slice name; /* without brackets, port; borrowed */
    int32_t port;             /* -1 when there is none */
    bool is_ip;               /* an IPv4 or IPv6 literal */
};

/* Results: no when TEXT is not uri-host [":" port] of RFC 3986 with a name of at least one byte. User information
 * ("user@") is refused. */
bool strobe_http_parse_host(struct strobe_slice text, struct strobe_http_host *host);

/* The three questions of SPEC 8 about a host that needs no permission, one function each, and the comparison with an
 * entry of allow-host (letters without case; one trailing dot of a name does not count). */
bool strobe_http_host_is_localhost(const struct strobe_http_host *host); /* localhost and *.localhost */
bool strobe_http_host_is_dotless(const struct strobe_http_host *host);   /* a name without a dot, written plainly */
bool strobe_http_host_equals(const struct strobe_http_host *host, struct strobe_slice name);

/* An Origin field. */
struct strobe_http_origin {
    struct strobe_slice scheme; /* as sent; borrowed */
    struct strobe_http_host host;
    int32_t port;   /* that said, else the scheme's own (80, 443), else -1 */
    bool is_opaque; /* "null": the rest is empty */
};

/* Results: no when TEXT is neither "null" nor scheme://host[:port]. A list of origins is refused. */
bool strobe_http_parse_origin(struct strobe_slice text, struct strobe_http_origin *origin);

/* Is ORIGIN the origin of a page served by us under SCHEME ("http", "https") and HOST (the request's authority; its
 * missing port is the scheme's)? An opaque origin equals none. */
bool strobe_http_same_origin(const struct strobe_http_origin *origin, const char *scheme,
                             const struct strobe_http_host *host);

/* Are the two the same scheme, host and port (for allow-origin)? */
bool strobe_http_origins_equal(const struct strobe_http_origin *a, const struct strobe_http_origin *b);

/* Does VERSION stand in the list of If-Match or If-None-Match (RFC 9110 section 8.8.3, 13.1)? STRONG (If-Match): weak
 * tags never match; else (If-None-Match) they do. "*" matches when EXISTS. Results: MATCH,
 * NO_MATCH, INVALID (the field is malformed: 400). */
enum strobe_http_etag_match { STROBE_HTTP_ETAG_MATCH, STROBE_HTTP_ETAG_NO_MATCH, STROBE_HTTP_ETAG_INVALID };
enum strobe_http_etag_match strobe_http_match_etag(struct strobe_slice list, uint64_t version, bool exists,
                                                   bool strong);

/* The members of a comma-separated list, without white space around; commas in quoted strings do not count; empty
 * members are skipped. REST is moved on; MEMBER borrows. Results: no at the end. */
bool strobe_http_next_member(struct strobe_slice *rest, struct strobe_slice *member);

/* Does the list have the member TOKEN (lower case; letters without case)? */
bool strobe_http_list_has(struct strobe_slice list, const char *token);

/* Does an Accept (or Accept-Encoding) field name exactly TYPE (lower case, "application/x-ndjson", "gzip") with a
 * weight above zero? Wildcards do not count: a client must ask for it by name. */
bool strobe_http_accepts(struct strobe_slice accept, const char *type);

/* Is the media type of a Content-Type field TYPE (lower case), whatever its parameters? */
bool strobe_http_media_type_is(struct strobe_slice content_type, const char *type);

/* A single "bytes=first-last", "bytes=first-" or "bytes=-last" against SIZE bytes.
 * Results: PART with *FIRST and *LENGTH; WHOLE when the field is to be ignored (another unit, several ranges,
 * malformed); UNSATISFIABLE (416) when it begins behind the end. */
enum strobe_http_range { STROBE_HTTP_RANGE_WHOLE, STROBE_HTTP_RANGE_PART, STROBE_HTTP_RANGE_UNSATISFIABLE };
enum strobe_http_range strobe_http_parse_range(struct strobe_slice text, uint64_t size, uint64_t *first,
                                               uint64_t *length);

/* Are the two equal, letters without case? B is lower case. */
bool strobe_http_text_is(struct strobe_slice a, const char *b);

#endif
