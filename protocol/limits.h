/* limits.h - every limit of the two protocols, in one place; bytes unless a line says otherwise.
 *
 * Those named _DEFAULT can be changed by an option of the same name (SPEC 2); the others are fixed. */
#ifndef STROBE_PROTOCOL_LIMITS_H
#define STROBE_PROTOCOL_LIMITS_H

#include <stddef.h>

/* Data (SPEC 3). */
#define STROBE_KEY_MAX           65535u /* a key has 1 to this many bytes; map.h says it in the same words */
#define STROBE_VALUE_MAX_DEFAULT ((size_t)512 << 20)   /* max-value; also Redis's proto-max-bulk-len */
#define STROBE_VALUE_MAX_CEILING ((size_t)4294967295u) /* what max-value itself may be set to: 32-bit lengths */
#define STROBE_COMMAND_KEYS_MAX  ((size_t)65536)       /* keys in one MGET, MSET, DEL or EXEC */
#define STROBE_COPY_MAX          ((size_t)16384)       /* values below are copied into replies, others borrowed */

/* Globs: what a pattern may have for its matching to be a matter of milliseconds (protocol/glob.c). */
#define STROBE_GLOB_MAX     ((size_t)131072) /* a key of which each byte is escaped, and two stars */
#define STROBE_GLOB_RUN_MAX ((size_t)128)    /* between two stars, unless all bytes mean themselves */

/* Requests, both doors. */
#define STROBE_REQUEST_MAX_DEFAULT ((size_t)1 << 30) /* max-request: one request with its framing */
#define STROBE_READ_SIZE           ((size_t)65536)   /* one read; the least room an input buffer offers */
#define STROBE_LINGER_MAX          ((size_t)1 << 20) /* read and dropped after an early error (SPEC 6) */

/* Text protocol: Redis's own figures, so that its clients never meet a smaller one. */
#define STROBE_ARGS_MAX                    ((size_t)1048576) /* arguments of one multibulk (Redis up to 6.2) */
#define STROBE_INLINE_MAX                  ((size_t)65536)   /* an inline line, or a count line, before its LF or CR */
#define STROBE_REQUEST_FEW                 ((size_t)8)       /* arguments a request holds without an allocation */
#define STROBE_SCRATCH_KEEP                ((size_t)4096)    /* a request keeps up to this between uses */
#define STROBE_BATCH_MAX                   ((size_t)64)      /* requests parsed ahead of execution (DESIGN, Threads) */
#define STROBE_UNAUTHENTICATED_REQUEST_MAX ((size_t)16384)   /* SPEC 8 */
#define STROBE_UNAUTHENTICATED_BULK_MAX    ((size_t)16384)   /* Redis 6.2 and later */
#define STROBE_UNAUTHENTICATED_ARGS_MAX    ((size_t)10)      /* Redis 6.2 and later */

/* HTTP (SPEC 6). */
#define STROBE_HTTP_HEAD_MAX            ((size_t)16384) /* all header lines, without the request line */
#define STROBE_HTTP_FIELDS_MAX          ((size_t)100)   /* header lines */
#define STROBE_HTTP_MEMO_MAX            ((size_t)240)   /* header lines that a connection remembers */
#define STROBE_HTTP_TARGET_MAX          ((size_t)8192 + 3 * STROBE_KEY_MAX) /* every byte of a key may be %XX */
#define STROBE_HTTP_LINE_SLACK          ((size_t)64)    /* method, spaces and version around the target */
#define STROBE_HTTP_CHUNK_EXTENSION_MAX ((size_t)256)   /* of one chunk */
#define STROBE_HTTP_TRAILERS_MAX        ((size_t)8192)  /* all trailer lines */
#define STROBE_HTTP_LIST_DEFAULT        ((size_t)1000)  /* keys of a listing page when no limit is asked for */
#define STROBE_HTTP_LIST_MAX            ((size_t)10000) /* keys of a listing page at most */
#define STROBE_CONTENT_TYPE_MAX         ((size_t)255)   /* a stored content type: RFC 6838 allows 127 "/" 127 */

/* Transactions; their keys count as those of one command, their bytes as those of one request. */
#define STROBE_TRANSACTION_FLUSHES_MAX ((size_t)16) /* FLUSHALL in one EXEC: each makes a map of empty tables */

/* Words of a request from here on are received into a blob (server/large_words.c): they hardly come with one read. */
#define STROBE_RESP_TAKE_MIN STROBE_READ_SIZE

/* Bodies of an announced length from here on are filled in as a value while they come (server/upload.c). */
#define STROBE_HTTP_UPLOAD_MIN ((size_t)262144)

/* A changed large value: what is made at once, and what at a time if it is more (server/draft.c). */
#define STROBE_CHANGE_AT_ONCE ((size_t)1 << 20)
#define STROBE_CHANGE_SLICE   ((size_t)262144)

/* Replies. */
#define STROBE_REPLY_HIGH_WATER ((size_t)65536)        /* execution stops above it (SPEC 4) */
#define STROBE_REPLY_SLACK      ((size_t)1 << 20)      /* max-reply-buffer = max-value + this */
#define STROBE_OUT_CHUNK        ((size_t)32768)        /* one chunk of gathered small replies, header included */
#define STROBE_OUT_RESERVE_MAX  (STROBE_COPY_MAX + 64) /* the longest contiguous room: a copied value, framed */
#define STROBE_OUT_POOL_MAX     ((size_t)64)           /* chunks a loop keeps for reuse: 2 MiB */
#define STROBE_OUT_IOVECS       ((size_t)64)           /* segments worth one gathered write (IOV_MAX is 1024) */
#define STROBE_ERROR_TEXT_MAX   ((size_t)512)          /* a formatted error; the rest is cut off */
#define STROBE_SCAN_PAGE_MAX    ((size_t)1 << 20)      /* a page of SCAN ... WITHVALUES ends here (SPEC 5) */

#endif
