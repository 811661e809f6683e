/* number.c - numbers from text and back, without libc's leniency and, for integers, without its cost.
 *
 * Digits are written in pairs from a table, from the end: half the divisions.
 * Not here: sizes with units such as 2gb (server/config.c). */

#include "protocol/number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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
    size_t digits = 1;

    while (value >= 10000) {
        value /= 10000;
        digits += 4;
    }
    return digits + (value >= 10) + (value >= 100) + (value >= 1000);
}

size_t strobe_number_format_uint64(char text[STROBE_NUMBER_UINT64_TEXT], uint64_t value) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    size_t len = number_count_digits(value);
    char *at = text + len;

    while (value >= 100) {
        at -= 2;
        memcpy(at, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        memcpy(at - 2, pairs + value * 2, 2);
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
