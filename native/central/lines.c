#include "lines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef __int128 wide; /* holds the sum of 10^18 numbers of 64 bits */

enum { UNIT = 10000, DECIMALS = 4, LONGEST = 256 /* every line without a histogram is shorter */ };

static const int64_t FIRST_SECOND = -62135596800LL, LAST_SECOND = 253402300799LL; /* of the years 1 to 9999 */

static_assert(LONGEST > 20 + 1 + 14 + 4 * (2 + 39 + 1) + 21, "a line holds a key, four sums of 128 bits and a series");

struct sums {
    int64_t metric_id, bucket;
    wide samples, total;
    int64_t low, high;
};

/* Room for a line, and for ``digits`` of a histogram in it. */
static int reserve(struct text *text, size_t digits)
{
    assert(text->length <= text->room);
    size_t needed = LONGEST + digits, room = text->room ? text->room : 65536;
    if (text->room - text->length >= needed)
        return 0;
    while (room - text->length < needed)
        room *= 2;
    char *larger = realloc(text->bytes, room);
    if (larger == NULL)
        return -1;
    text->bytes = larger;
    text->room = room;
    assert(text->room - text->length >= needed);
    return 0;
}

/* Makes the bytes up to ``to``, which end with a newline, a part of the text. */
static void end_line(struct text *text, const char *to)
{
    assert(to > text->bytes + text->length && to[-1] == '\n');
    assert(to <= text->bytes + text->room);
    text->length = (size_t)(to - text->bytes);
}

/* Each writer below expects enough room, and returns the place for the next byte. */

static char *put_whole(char *to, unsigned __int128 number)
{
    assert(to != NULL);
    char digits[40], *at = digits + sizeof digits;
    while (number > UINT64_MAX) {
        *--at = (char)('0' + (int)(number % 10));
        number /= 10;
    }
    for (uint64_t rest = (uint64_t)number; rest || at == digits + sizeof digits; rest /= 10)
        *--at = (char)('0' + rest % 10);
    size_t length = (size_t)(digits + sizeof digits - at);
    assert(length >= 1 && length <= 39);
    memcpy(to, at, length);
    return to + length;
}

static char *put_fixed(char *to, uint64_t number, int length)
{
    assert(length >= 1 && length <= 6);
    for (int place = length - 1; place >= 0; place--, number /= 10)
        to[place] = (char)('0' + number % 10);
    assert(number == 0); /* else digits are missing */
    return to + length;
}

static char *put_units(char *to, wide units)
{
    assert(to != NULL);
    unsigned __int128 size = units < 0 ? -(unsigned __int128)units : (unsigned __int128)units;
    if (units < 0)
        *to++ = '-';
    unsigned __int128 whole = size <= UINT64_MAX ? (uint64_t)size / UNIT : size / UNIT;
    uint64_t fraction = (uint64_t)(size - whole * UNIT);
    assert(fraction < UNIT);
    to = put_whole(to, whole);
    if (fraction) {
        *to++ = '.';
        to = put_fixed(to, fraction, DECIMALS);
    }
    return to;
}

/* Writes seconds since the epoch as YYYYMMDDhhmmss. Years start in March here, so that a leap day is a year's last. */
static char *put_stamp(char *to, int64_t seconds)
{
    assert(seconds >= FIRST_SECOND && seconds <= LAST_SECOND);
    int64_t days = seconds / 86400, second = seconds % 86400;
    if (second < 0) {
        second += 86400;
        days--;
    }
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), shifted = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * shifted + 2) / 5 + 1, month = shifted < 10 ? shifted + 3 : shifted - 9;
    assert(month >= 1 && month <= 12);
    assert(day >= 1 && day <= 31);
    to = put_fixed(to, (uint64_t)(year + era * 400 + (month <= 2)), 4);
    to = put_fixed(to, (uint64_t)month, 2);
    to = put_fixed(to, (uint64_t)day, 2);
    return put_fixed(to, (uint64_t)(second / 3600 * 10000 + second % 3600 / 60 * 100 + second % 60), 6);
}

static char *put_null(char *to)
{
    assert(to != NULL);
    memcpy(to, ",NULL", 5);
    return to + 5;
}

static char *put_field(char *to, wide units)
{
    assert(to != NULL);
    *to++ = ',';
    return put_units(to, units);
}

static char *put_id(char *to, int64_t id)
{
    assert(to != NULL);
    if (id < 0)
        *to++ = '-';
    return put_whole(to, (unsigned __int128)(id < 0 ? -(wide)id : id));
}

static char *put_key(char *to, int64_t metric_id, int64_t seconds)
{
    assert(to != NULL);
    to = put_id(to, metric_id);
    *to++ = ',';
    return put_stamp(to, seconds);
}

/* The bytes as a literal of SQL. */
static char *put_histogram(char *to, const unsigned char *bytes, size_t length)
{
    static const char DIGITS[] = "0123456789abcdef";
    assert(to != NULL && bytes != NULL);
    assert(length > 0);
    memcpy(to, ",0x", 3);
    to += 3;
    for (size_t index = 0; index < length; index++) {
        *to++ = DIGITS[bytes[index] >> 4];
        *to++ = DIGITS[bytes[index] & 15];
    }
    return to;
}

static int write_point(const struct group *group, struct text *text, const struct row *row, uint64_t id)
{
    assert(group->summaries || !row->is_summary);
    assert(group->histograms || row->histogram == NULL);
    assert(row->recorded_at >= FIRST_SECOND && row->recorded_at <= LAST_SECOND);
    if (reserve(text, 2 * row->histogram_length))
        return -1;
    char *to = put_key(text->bytes + text->length, row->metric_id, row->recorded_at);
    *to++ = ',';
    to = put_field(put_whole(to, id), row->value);
    if (row->is_summary)
        to = put_field(put_field(put_field(to, row->weight), row->low), row->high);
    else if (group->summaries)
        to = put_null(put_null(put_null(to)));
    if (row->series_id) {
        *to++ = ',';
        to = put_id(to, row->series_id);
    } else if (group->series)
        to = put_null(to);
    if (row->histogram != NULL)
        to = put_histogram(to, row->histogram, row->histogram_length);
    else if (group->histograms)
        to = put_null(to);
    *to++ = '\n';
    end_line(text, to);
    return 0;
}

static int write_sums(struct text *text, const struct sums *sums)
{
    assert(text != NULL);
    assert(sums->bucket % 60 == 0);
    if (reserve(text, 0))
        return -1;
    char *to = put_key(text->bytes + text->length, sums->metric_id, sums->bucket);
    to = put_field(put_field(put_field(put_field(to, sums->samples), sums->total), sums->low), sums->high);
    *to++ = '\n';
    end_line(text, to);
    return 0;
}

static int64_t bucket_of(int64_t seconds, int64_t width)
{
    assert(width > 0);
    int64_t rest = seconds % width, bucket = seconds - (rest < 0 ? rest + width : rest);
    assert(bucket <= seconds && bucket % width == 0);
    return bucket;
}

/* Writes one line per bucket. The rows are sorted, so each bucket's rows lie together. */
static int write_rollup(struct text *text, const struct row *rows, size_t count, int64_t width)
{
    assert(rows != NULL || count == 0);
    assert(width == 60 || width == 3600);
    struct sums sums = {0};
    for (size_t index = 0; index < count; index++) {
        const struct row *row = &rows[index];
        int64_t bucket = bucket_of(row->recorded_at, width);
        int64_t low = row->is_summary ? row->low : row->value, high = row->is_summary ? row->high : row->value;
        int64_t weight = row->is_summary ? row->weight : UNIT;
        if (index && row->metric_id == sums.metric_id && bucket == sums.bucket) {
            sums.samples += weight;
            sums.total += row->value;
            sums.low = low < sums.low ? low : sums.low;
            sums.high = high > sums.high ? high : sums.high;
            continue;
        }
        assert(!index || row->metric_id > sums.metric_id || (row->metric_id == sums.metric_id && bucket > sums.bucket));
        if (index && write_sums(text, &sums))
            return -1;
        sums = (struct sums){row->metric_id, bucket, weight, row->value, low, high};
    }
    return count ? write_sums(text, &sums) : 0;
}

struct place {
    int64_t metric_id, recorded_at;
    size_t index;
};

static int compare(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    assert(a != NULL && b != NULL);
    if (a->metric_id != b->metric_id)
        return a->metric_id < b->metric_id ? -1 : 1;
    if (a->recorded_at != b->recorded_at)
        return a->recorded_at < b->recorded_at ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* Sorts rows by metric and time. Rows of the same second keep their order. */
static int sort_rows(struct row *rows, size_t count)
{
    assert(rows != NULL);
    assert(count > 0 && count <= SIZE_MAX / sizeof(struct row));
    struct place *places = malloc(count * sizeof *places);
    struct row *sorted = malloc(count * sizeof *sorted);
    if (places && sorted) {
        for (size_t index = 0; index < count; index++)
            places[index] = (struct place){rows[index].metric_id, rows[index].recorded_at, index};
        qsort(places, count, sizeof *places, compare);
        for (size_t index = 0; index < count; index++)
            sorted[index] = rows[places[index].index];
        assert(compare(&places[0], &places[count - 1]) <= 0);
        memcpy(rows, sorted, count * sizeof *sorted);
    }
    int result = places && sorted ? 0 : -1;
    free(places);
    free(sorted);
    return result;
}

static int write_rollups(struct group *group, const struct row *rows, size_t count)
{
    assert(group != NULL);
    assert(rows != NULL || count == 0);
    return write_rollup(&group->minutes, rows, count, 60) || write_rollup(&group->hours, rows, count, 3600) ? -1 : 0;
}

/* Moves the rows with tags to the front, as rows of their series. Returns how many there are. */
static size_t keep_series(struct row *rows, size_t count)
{
    assert(rows != NULL);
    size_t kept = 0;
    for (size_t index = 0; index < count; index++) {
        if (rows[index].series_id == 0)
            continue;
        struct row row = rows[index];
        row.metric_id = row.series_id;
        rows[index] = rows[kept]; /* not lost: the caller still owns its histogram */
        rows[kept++] = row;
    }
    assert(kept <= count);
    return kept;
}

int write_lines(struct group *group)
{
    assert(group->rows != NULL || group->count == 0);
    assert(group->points.length == 0 && group->minutes.length == 0 && group->hours.length == 0);
    assert(group->count == 0 || group->base <= UINT64_MAX - (group->count - 1));
    if (group->count == 0)
        return 0;
    for (size_t index = 0; index < group->count; index++) {
        const struct row *row = &group->rows[index];
        if (row->recorded_at < FIRST_SECOND || row->recorded_at > LAST_SECOND)
            return 1;
        group->summaries |= row->is_summary;
        group->series |= row->series_id != 0;
        group->histograms |= row->histogram != NULL;
    }
    if (sort_rows(group->rows, group->count))
        return -1;
    for (size_t index = 0; index < group->count; index++)
        if (write_point(group, &group->points, &group->rows[index], group->base + index))
            return -1;
    if (write_rollups(group, group->rows, group->count))
        return -1;
    size_t tagged = group->series ? keep_series(group->rows, group->count) : 0;
    return tagged && (sort_rows(group->rows, tagged) || write_rollups(group, group->rows, tagged)) ? -1 : 0;
}

void free_lines(struct group *group)
{
    assert(group->points.length <= group->points.room);
    assert(group->minutes.length <= group->minutes.room && group->hours.length <= group->hours.room);
    free(group->points.bytes);
    free(group->minutes.bytes);
    free(group->hours.bytes);
    group->points = group->minutes = group->hours = (struct text){0};
}
