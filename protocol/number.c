/* number.c - numbers from text and back, without libc's leniency and, for integers, without its cost.
 *
 * Digits are written four at a time from the end, in pairs from a table: a quarter of the long divisions.
 * Not here: sizes with units such as 2gb (server/config.c). */

#include "protocol/number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads all of TEXT as a number without sign, leading zero or overflow. */
static bool number_parse_magnitude(struct strobe_slice text, uint64_t *value) {
    uint64_t sum = 0;

    if (text.len == 0 || (text.data[0] == '0' && text.len > 1)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';

        if (digit > 9 || sum > UINT64_MAX / 10 || sum * 10 > UINT64_MAX - digit) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

bool strobe_number_parse_uint64(struct strobe_slice text, uint64_t *value) {
    return number_parse_magnitude(text, value);
}

bool strobe_number_parse_int64(struct strobe_slice text, int64_t *value) {
    uint64_t magnitude;

    if (text.len > 0 && text.data[0] == '-') {
        text = strobe_slice_make(text.data + 1, text.len - 1);
        if (!number_parse_magnitude(text, &magnitude) || magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1) {
            return false;
        }
        *value = -(int64_t)(magnitude - 1) - 1; /* INT64_MIN has no positive twin */
        return true;
    }
    if (!number_parse_magnitude(text, &magnitude) || magnitude > INT64_MAX) {
        return false;
    }
    *value = (int64_t)magnitude;
    return true;
}

/* TEXT as a C string in BUFFER, if strtod may see it. */
static bool number_terminate(struct strobe_slice text, char buffer[STROBE_NUMBER_LONG_DOUBLE_TEXT]) {
    if (text.len == 0 || text.len >= STROBE_NUMBER_LONG_DOUBLE_TEXT || isspace((unsigned char)text.data[0])) {
        return false;
    }
    memcpy(buffer, text.data, text.len);
    buffer[text.len] = '\0';
    errno = 0;
    return true;
}

bool strobe_number_parse_double(struct strobe_slice text, double *value) {
    char buffer[STROBE_NUMBER_LONG_DOUBLE_TEXT];
    char *end;
    double read;

    if (!number_terminate(text, buffer)) {
        return false;
    }
    read = strtod(buffer, &end);
    if (end != buffer + text.len || isnan(read) || (errno == ERANGE && (isinf(read) || fpclassify(read) == FP_ZERO))) {
        return false;
    }
    *value = read;
    return true;
}

bool strobe_number_parse_long_double(struct strobe_slice text, long double *value) {
    char buffer[STROBE_NUMBER_LONG_DOUBLE_TEXT];
    char *end;
    long double read;

    if (!number_terminate(text, buffer)) {
        return false;
    }
    read = strtold(buffer, &end);
    if (end != buffer + text.len || isnan(read) || (errno == ERANGE && (isinf(read) || fpclassify(read) == FP_ZERO))) {
        return false;
    }
    *value = read;
    return true;
}

static size_t number_count_digits(uint64_t value) {
    /* clang-format off */
    static const uint64_t powers[] = {
        0, /* which itself has a digit */
        10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
        1000000000000, 10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
        1000000000000000000, 10000000000000000000u,
    };
    /* clang-format on */
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    unsigned digits = bits * 1233 >> 12; /* log10(2) is about 1233/4096: one too few at most, as the table tells */

    return digits + (value >= powers[digits]);
}

/* Writes the two digits of VALUE, below 100, before AT. Gives where they begin. */
static char *number_put_pair(char *at, unsigned value) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";

    return memcpy(at - 2, pairs + (size_t)value * 2, 2);
}

size_t strobe_number_format_uint64(char text[STROBE_NUMBER_UINT64_TEXT], uint64_t value) {
    size_t len = number_count_digits(value);
    char *at = text + len;

    while (value >= 10000) {
        unsigned four = (unsigned)(value % 10000);

        value /= 10000;
        at = number_put_pair(number_put_pair(at, four % 100), four / 100);
    }
    if (value >= 100) {
        at = number_put_pair(at, (unsigned)(value % 100));
        value /= 100;
    }
    if (value >= 10) {
        number_put_pair(at, (unsigned)value);
    } else {
        at[-1] = (char)('0' + value);
    }
    return len;
}

size_t strobe_number_format_int64(char text[STROBE_NUMBER_INT64_TEXT], int64_t value) {
    if (value >= 0) {
        return strobe_number_format_uint64(text, (uint64_t)value);
    }
    text[0] = '-';
    return 1 + strobe_number_format_uint64(text + 1, 0 - (uint64_t)value);
}

/* "inf" and "nan", whose C spelling is not fixed. 0: VALUE is a number. */
static size_t number_format_special(char *text, bool is_nan, bool is_inf, bool negative) {
    if (!is_nan && !is_inf) {
        return 0;
    }
    return (size_t)sprintf(text, "%s", is_nan ? "nan" : negative ? "-inf" : "inf");
}

size_t strobe_number_format_double(char text[STROBE_NUMBER_DOUBLE_TEXT], double value) {
    size_t len = number_format_special(text, isnan(value), isinf(value), value < 0);

    for (int digits = 15; len == 0; digits++) {
        int written = snprintf(text, STROBE_NUMBER_DOUBLE_TEXT, "%.*g", digits, value);

        if (digits == 17 || strtod(text, NULL) == value) {
            len = (size_t)written;
        }
    }
    return len;
}

size_t strobe_number_format_long_double(char text[STROBE_NUMBER_LONG_DOUBLE_TEXT], long double value) {
    size_t len = number_format_special(text, isnan(value), isinf(value), value < 0);

    if (len > 0) {
        return len;
    }
    len = (size_t)snprintf(text, STROBE_NUMBER_LONG_DOUBLE_TEXT, "%.17Lf", value);
    while (text[len - 1] == '0') {
        len--;
    }
    if (text[len - 1] == '.') {
        len--;
    }
    if (len == 2 && memcmp(text, "-0", 2) == 0) {
        text[0] = '0';
        len = 1;
    }
    text[len] = '\0';
    return len;
}
