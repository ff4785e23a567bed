#include "items.h"

#include "histogram_text.h"
#include "tags_text.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

enum {
    MAX_NAME = 255,
    MAX_WHOLE_DIGITS = 14, /* so that every number of units fits into 64 bits */
    DECIMALS = 4,
    UNIT = 10000,
    TIME_LENGTH = 20,
};

enum field { NAME = 1, TYPE = 2, VALUE = 4, TIME = 8, COUNT = 16, LOW = 32, HIGH = 64, HISTOGRAM = 128, TAGS = 256 };
static const struct {
    const char *text;
    int length;
    enum field field;
} FIELDS[] = {
    {"name", 4, NAME}, {"type", 4, TYPE}, {"value", 5, VALUE}, {"recorded_at", 11, TIME},
    {"count", 5, COUNT}, {"min", 3, LOW}, {"max", 3, HIGH}, {"histogram", 9, HISTOGRAM}, {"tags", 4, TAGS},
};

static_assert(MAX_WHOLE_DIGITS + DECIMALS <= 18, "units and the digit that rounds them fit into 64 bits");
static_assert(sizeof "2026-02-15T00:00:00Z" - 1 == TIME_LENGTH, "a time in everyday form");

/* Each reader below returns the first byte after what it read, or NULL if it cannot read it. */

static inline const char *skip(const char *at, const char *end)
{
    assert(at <= end);
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    assert(at <= end);
    return at;
}

static inline const char *expect(const char *at, const char *end, char byte)
{
    assert(at != NULL && at <= end);
    assert(byte > ' ');
    at = skip(at, end);
    return at < end && *at == byte ? at + 1 : NULL;
}

static inline const char *read_string(const char *at, const char *end, int most, const char **text, int *length)
{
    assert(text != NULL && length != NULL);
    assert(most >= MAX_NAME);
    at = expect(at, end, '"');
    if (at == NULL)
        return NULL;
    const char *begin = at;
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= ' ' && (unsigned char)*at < 127)
        at++;
    if (at == end || *at != '"' || at - begin > most)
        return NULL;
    *text = begin;
    *length = (int)(at - begin);
    assert(*length >= 0 && *length <= most);
    return at + 1;
}

static inline int is_digit(char byte)
{
    return (unsigned char)(byte - '0') <= 9;
}

static inline const char *read_units(const char *at, const char *end, int64_t *units)
{
    assert(units != NULL);
    at = skip(at, end);
    int negative = at < end && *at == '-';
    const char *begin = at += negative;
    int64_t number = 0;
    while (at < end && is_digit(*at) && at - begin <= MAX_WHOLE_DIGITS)
        number = number * 10 + (*at++ - '0');
    ptrdiff_t whole = at - begin;
    assert(whole >= 0 && whole <= MAX_WHOLE_DIGITS + 1);
    if (whole == 0 || whole > MAX_WHOLE_DIGITS || (whole > 1 && *begin == '0'))
        return NULL;
    /* To round half to even: ``next`` is the fifth decimal, and ``more`` is not 0 if a digit after it is not 0. */
    int decimals = 0, next = 0, more = 0;
    if (at < end && *at == '.') {
        const char *dot = at++;
        for (; at < end && is_digit(*at); at++) {
            int digit = *at - '0';
            if (decimals < DECIMALS) {
                number = number * 10 + digit;
                decimals++;
            } else if (at - dot == DECIMALS + 1)
                next = digit;
            else
                more |= digit;
        }
        if (at == dot + 1)
            return NULL;
    }
    if (at == end || *at == 'e' || *at == 'E')
        return NULL;
    for (; decimals < DECIMALS; decimals++)
        number *= 10;
    assert(number >= 0 && decimals == DECIMALS);
    number += next > 5 || (next == 5 && (more || (number & 1)));
    *units = negative ? -number : number;
    return at;
}

static int two_digits(const char *at, int least, int most)
{
    assert(least >= 0 && least <= most);
    assert(most <= 99);
    int number = is_digit(at[0]) && is_digit(at[1]) ? (at[0] - '0') * 10 + at[1] - '0' : -1;
    return number < least || number > most ? -1 : number;
}

/* The days from the epoch to a Gregorian date. Years start in March here, so that a leap day is a year's last day. */
static int64_t days_of(int year, int month, int day)
{
    assert(year >= 1 && year <= 9999);
    assert(month >= 1 && month <= 12);
    assert(day >= 1 && day <= 31);
    year -= month <= 2;
    int era = year / 400, of_era = year - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    assert(of_year >= 0 && of_year < 366);
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int days_in(int year, int month)
{
    assert(year >= 1 && year <= 9999);
    assert(month >= 1 && month <= 12);
    if (month == 2)
        return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static int read_time(const char *text, int length, int64_t *seconds)
{
    assert(text != NULL && length >= 0);
    if (length != TIME_LENGTH || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':'
        || text[16] != ':' || text[19] != 'Z')
        return 0;
    int century = two_digits(text, 0, 99), of_century = two_digits(text + 2, 0, 99);
    int month = two_digits(text + 5, 1, 12);
    if (century < 0 || of_century < 0 || month < 0 || century + of_century == 0)
        return 0;
    int year = century * 100 + of_century, day = two_digits(text + 8, 1, days_in(year, month));
    int hour = two_digits(text + 11, 0, 23), minute = two_digits(text + 14, 0, 59), second = two_digits(text + 17, 0, 59);
    if (day < 0 || hour < 0 || minute < 0 || second < 0)
        return 0;
    *seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    assert(*seconds >= -62135596800LL && *seconds <= 253402300799LL);
    return 1;
}

static int is_name(const char *text, int length)
{
    assert(text != NULL);
    assert(length >= 0 && length <= MAX_NAME);
    for (int index = 0; index < length; index++) {
        char byte = text[index];
        if (!((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '.' || byte == '_'
                || (byte >= 'A' && byte <= 'Z') || byte == '-'))
            return 0;
    }
    return length > 0;
}

/* Reads tags that are sorted by their keys. So no key comes twice, and their text needs no sorting. */
static const char *read_tags(const char *at, const char *end, struct item *item)
{
    assert(at <= end && item->tags == NULL);
    struct tag last = {"", 0, "", 0}, tag;
    if ((at = expect(at, end, '{')) == NULL || (at = skip(at, end)) == end)
        return NULL;
    item->tags = at;
    for (int count = 0; *at != '}'; count++) {
        if (count == MAX_TAGS || (count > 0 && (at = expect(at, end, ',')) == NULL)
            || (at = read_string(at, end, MAX_NAME, &tag.key, &tag.key_length)) == NULL
            || (at = expect(at, end, ':')) == NULL
            || (at = read_string(at, end, MAX_NAME, &tag.value, &tag.value_length)) == NULL
            || !is_tag(&tag) || !comes_after(&last, &tag) || (at = skip(at, end)) == end)
            return NULL;
        last = tag;
    }
    item->tags_length = (int)(at - item->tags);
    assert(item->tags_length >= 0);
    return at + 1;
}

static enum field field_of(const char *text, int length)
{
    assert(text != NULL);
    assert(length >= 0 && length <= MAX_NAME);
    for (size_t index = 0; index < sizeof FIELDS / sizeof *FIELDS; index++)
        if (length == FIELDS[index].length && memcmp(text, FIELDS[index].text, (size_t)length) == 0)
            return FIELDS[index].field;
    return 0;
}

static const char *read_field(const char *at, const char *end, enum field field, struct item *item)
{
    assert(at <= end && item != NULL);
    const char *text;
    int length;
    switch (field) {
    case VALUE: return read_units(at, end, &item->value);
    case COUNT: return read_units(at, end, &item->weight);
    case LOW: return read_units(at, end, &item->low);
    case HIGH: return read_units(at, end, &item->high);
    case HISTOGRAM: return read_string(at, end, MAX_HISTOGRAM_TEXT, &item->histogram, &item->histogram_length);
    case TAGS: return read_tags(at, end, item);
    default: break;
    }
    assert(field == NAME || field == TYPE || field == TIME);
    at = read_string(at, end, MAX_NAME, &text, &length);
    if (at == NULL)
        return NULL;
    if (field == NAME) {
        item->name = text;
        item->name_length = length;
        return is_name(text, length) ? at : NULL;
    }
    if (field == TIME)
        return read_time(text, length, &item->recorded_at) ? at : NULL;
    item->is_counter = length == 7 && memcmp(text, "counter", 7) == 0;
    return item->is_counter || (length == 5 && memcmp(text, "value", 5) == 0) ? at : NULL;
}

/* Reads an object in which each field is one of ``allowed`` and comes at most once. ``present`` gets its fields. */
static const char *read_object(const char *at, const char *end, unsigned allowed, struct item *item, unsigned *present)
{
    assert(at <= end && item != NULL);
    assert(present != NULL);
    *present = 0;
    item->histogram = item->tags = NULL;
    at = expect(at, end, '{');
    while (at != NULL) {
        const char *text;
        int length;
        at = read_string(at, end, MAX_NAME, &text, &length);
        if (at == NULL)
            return NULL;
        enum field field = field_of(text, length);
        if (!(field & allowed) || *present & field || (at = expect(at, end, ':')) == NULL)
            return NULL;
        assert((field & (field - 1)) == 0);
        *present |= field;
        at = read_field(at, end, field, item);
        if (at == NULL || (at = skip(at, end)) == end)
            return NULL;
        if (*at == '}')
            return at + 1;
        at = expect(at, end, ',');
    }
    return NULL;
}

/* Whether the item's time is within the bounds. An item without a time gets the time of now. */
static int has_time(struct item *item, const struct bounds *bounds, unsigned present)
{
    assert(item != NULL && bounds != NULL);
    if (!(present & TIME))
        item->recorded_at = bounds->now;
    else if ((double)item->recorded_at < bounds->oldest || (double)item->recorded_at > bounds->newest)
        return 0;
    assert(item->name_length > 0);
    return 1;
}

static const char *read_item(const char *at, const char *end, const struct bounds *bounds, struct item *item)
{
    assert(at <= end);
    unsigned present;
    at = read_object(at, end, ~0U, item, &present);
    unsigned summary = present & (COUNT | LOW | HIGH);
    if (at == NULL || (present & (NAME | TYPE | VALUE)) != (NAME | TYPE | VALUE))
        return NULL;
    item->is_summary = summary != 0;
    if (summary && (summary != (COUNT | LOW | HIGH) || item->weight <= 0 || item->low > item->high))
        return NULL;
    if (item->histogram != NULL
        && (!summary || item->is_counter
            || !fits_summary(item->histogram, (size_t)item->histogram_length, item->weight, item->low, item->high)))
        return NULL;
    return has_time(item, bounds, present) ? at : NULL;
}

int read_single(const char *at, const char *end, int is_counter, const struct bounds *bounds, struct item *item)
{
    assert(at != NULL && at <= end);
    assert(bounds != NULL && item != NULL);
    unsigned present;
    at = read_object(at, end, NAME | VALUE | TIME | TAGS, item, &present);
    if (at == NULL || skip(at, end) != end || !(present & NAME) || !(is_counter || present & VALUE))
        return 0;
    item->is_counter = is_counter;
    item->is_summary = 0;
    item->value = present & VALUE ? item->value : UNIT;
    return has_time(item, bounds, present);
}

int read_items(const char *at, const char *end, const struct bounds *bounds, struct item *items)
{
    assert(at != NULL && at <= end);
    assert(bounds != NULL && items != NULL);
    const char *text;
    int length, count = 0;
    at = expect(at, end, '{');
    if (at == NULL || (at = read_string(at, end, MAX_NAME, &text, &length)) == NULL || length != 7 || memcmp(text, "metrics", 7) != 0
        || (at = expect(at, end, ':')) == NULL || (at = expect(at, end, '[')) == NULL)
        return 0;
    while (count < bounds->most && (at = read_item(at, end, bounds, &items[count])) != NULL) {
        count++;
        at = skip(at, end);
        if (at == end || (*at != ',' && *at != ']'))
            return 0;
        if (*at++ == ']')
            break;
        if (count == bounds->most)
            return 0;
    }
    if (at == NULL || (at = expect(at, end, '}')) == NULL)
        return 0;
    assert(count <= bounds->most);
    return skip(at, end) == end ? count : 0;
}

/* Returns the first byte after the string in which ``at`` lies; NULL if the string does not end. */
static const char *end_of_string(const char *at, const char *end)
{
    assert(at != NULL && at <= end);
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    assert(at >= end || *at == '"');
    return at < end ? at + 1 : NULL;
}

/* Returns the comma or closing bracket after an item; NULL if there is none. */
static const char *end_of_item(const char *at, const char *end)
{
    assert(at != NULL && at <= end);
    ptrdiff_t depth = 0;
    while (at != NULL && at < end) {
        char byte = *at;
        if (depth == 0 && (byte == ',' || byte == ']' || byte == '}'))
            return at;
        depth += (byte == '[' || byte == '{') - (byte == ']' || byte == '}');
        assert(depth >= 0);
        at = byte == '"' ? end_of_string(at + 1, end) : at + 1;
    }
    return NULL;
}

/* Returns 1 if only the object's closing brace follows; else SPANS_TORN or SPANS_OTHER. */
static int read_tail(const char *at, const char *end)
{
    assert(at != NULL && at <= end);
    at = skip(at, end);
    assert(at <= end);
    if (at == end)
        return SPANS_TORN;
    return *at == '}' && skip(at + 1, end) == end ? 1 : SPANS_OTHER;
}

int read_spans(const char *at, const char *end, int most, struct span *spans)
{
    assert(at != NULL && at <= end);
    assert(most > 0 && spans != NULL);
    const char *text;
    int length, count = 0, tail;
    at = expect(at, end, '{');
    if (at == NULL || (at = read_string(at, end, MAX_NAME, &text, &length)) == NULL || length != 7 || memcmp(text, "metrics", 7) != 0
        || (at = expect(at, end, ':')) == NULL || (at = expect(at, end, '[')) == NULL)
        return SPANS_OTHER;
    const char *first = skip(at, end);
    if (first < end && *first == ']')
        return (tail = read_tail(first + 1, end)) < 0 ? tail : 0;
    while (1) {
        const char *begin = at;
        at = end_of_item(begin, end);
        if (at == NULL)
            return SPANS_TORN;
        if (count < most)
            spans[count] = (struct span){begin, at};
        if (++count == COUNTED * most)
            return count;
        if (*at == '}')
            return SPANS_OTHER;
        if (*at++ == ']')
            return (tail = read_tail(at, end)) < 0 ? tail : count;
    }
}
