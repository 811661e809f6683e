/* number.h - numbers and their text, as strict as Redis's. The program stays in the "C" locale.
 *
 * All parsers borrow TEXT until return, read the whole of it or answer false, and leave *VALUE alone on
 * false. Any thread. */
#ifndef STROBE_PROTOCOL_NUMBER_H
#define STROBE_PROTOCOL_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/slice.h"

/* Decimal, "-" allowed; no plus, no spaces, no leading zeros, no "-0", in range. */
bool strobe_number_parse_int64(struct strobe_slice text, int64_t *value);

/* The same without a sign. */
bool strobe_number_parse_uint64(struct strobe_slice text, uint64_t *value);

/* What strtod reads to the end ("inf", exponents and hexadecimal too), but no leading space, no NaN, nothing
 * too large or rounded to zero. */
bool strobe_number_parse_double(struct strobe_slice text, double *value);
bool strobe_number_parse_long_double(struct strobe_slice text, long double *value);

#define STROBE_NUMBER_UINT64_TEXT      20   /* 18446744073709551615; no NUL */
#define STROBE_NUMBER_INT64_TEXT       21   /* a sign more than that; no NUL */
#define STROBE_NUMBER_DOUBLE_TEXT      32   /* with NUL */
#define STROBE_NUMBER_LONG_DOUBLE_TEXT 5120 /* with NUL: 4933 digits before the point */

/* Decimal text, not terminated; gives its length. */
size_t strobe_number_format_int64(char text[STROBE_NUMBER_INT64_TEXT], int64_t value);
size_t strobe_number_format_uint64(char text[STROBE_NUMBER_UINT64_TEXT], uint64_t value);

/* The shortest of 15 to 17 digits that reads back as VALUE; "inf", "-inf", "nan". Gives the length. */
size_t strobe_number_format_double(char text[STROBE_NUMBER_DOUBLE_TEXT], double value);

/* Up to 17 decimals without exponent or trailing zeros, as INCRBYFLOAT answers and stores. Gives the length. */
size_t strobe_number_format_long_double(char text[STROBE_NUMBER_LONG_DOUBLE_TEXT], long double value);

#endif
