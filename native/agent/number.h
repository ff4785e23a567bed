/* A number in its usual form, read from a line. */
#ifndef FIESTA_NUMBER_H
#define FIESTA_NUMBER_H

#include "protocol/histogram.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

typedef __int128 wide; /* 10^-18 units: 1.7 * 10^8 values below 10^12 fit */

enum {
    MAX_WHOLE_DIGITS = 12,
    MAX_DECIMALS = 18,
    MAX_DIGITS = 19, /* any number of so many digits fits 64 bits */
    LONGEST_NUMBER = MAX_DIGITS + 2, /* bytes: with a sign and a dot */
    UNIT_DECIMALS = 4,
};

static const uint64_t POWERS[MAX_DECIMALS + 1] = {
    1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL,
    10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL,
    1000000000000000ULL, 10000000000000000ULL, 100000000000000000ULL, 1000000000000000000ULL};

/* A number as sent: its digits without the dot, and how many of them are decimals. */
struct number {
    uint64_t digits;
    int decimals, negative;
};

/* Reads one number of at most 12 digits, a dot and 18 decimals, 19 digits in all.
 * Returns the first byte after it, or NULL when the number has another form. */
static inline const char *read_number(const char *at, const char *end, struct number *number)
{
    assert(at <= end);
    int negative = 0;
    if (at < end && (*at == '-' || *at == '+'))
        negative = *at++ == '-';
    const char *begin = at;
    uint64_t digits = 0;
    while (at < end && (unsigned char)(*at - '0') <= 9 && at - begin <= MAX_WHOLE_DIGITS)
        digits = digits * 10 + (uint64_t)(*at++ - '0');
    ptrdiff_t count = at - begin, decimals = 0;
    if (count > MAX_WHOLE_DIGITS)
        return NULL;
    if (at < end && *at == '.') {
        const char *dot = at++;
        while (at < end && (unsigned char)(*at - '0') <= 9 && count + (at - dot) - 1 <= MAX_DIGITS)
            digits = digits * 10 + (uint64_t)(*at++ - '0');
        decimals = at - dot - 1;
        count += decimals;
    }
    if (count == 0 || count > MAX_DIGITS || decimals > MAX_DECIMALS)
        return NULL;
    assert(decimals >= 0 && count - decimals <= MAX_WHOLE_DIGITS);
    *number = (struct number){digits, (int)decimals, negative};
    return at;
}

static inline wide wide_of(const struct number *number)
{
    assert(number->decimals >= 0 && number->decimals <= MAX_DECIMALS);
    wide value = (wide)number->digits * POWERS[MAX_DECIMALS - number->decimals];
    return number->negative ? -value : value;
}

/* The bucket of a number, which is rounded half even to units as protocol.numbers does. 64 bits are enough: a number
 * has at most 12 digits before its dot. */
static inline int32_t bucket_of_number(const struct number *number)
{
    assert(number->decimals >= 0 && number->decimals <= MAX_DECIMALS);
    uint64_t units;
    if (number->decimals <= UNIT_DECIMALS)
        units = number->digits * POWERS[UNIT_DECIMALS - number->decimals];
    else {
        uint64_t divisor = POWERS[number->decimals - UNIT_DECIMALS], rest = number->digits % divisor;
        units = number->digits / divisor;
        units += rest > divisor / 2 || (rest == divisor / 2 && units % 2 == 1);
    }
    assert(units <= POWERS[MAX_WHOLE_DIGITS + UNIT_DECIMALS]);
    return bucket_of(number->negative ? -(int64_t)units : (int64_t)units);
}

#endif
