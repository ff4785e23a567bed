#include "histogram.h"

#include <stdlib.h>

enum { UNITS = 0, WHOLE = 1 }; /* the flags */

/* Reads a varint of at most MAX_COUNT_BYTES. Returns the first byte after it. NULL: it is cut, or longer than need be,
 * or larger than any count. */
static const unsigned char *read_varint(const unsigned char *at, const unsigned char *end, weight *number)
{
    assert(at != NULL && at <= end);
    assert(number != NULL);
    const unsigned char *begin = at;
    *number = 0;
    for (int shift = 0; at < end && shift < 7 * MAX_COUNT_BYTES; shift += 7) {
        unsigned char byte = *at++;
        weight bits = (weight)(byte & 0x7F) << shift;
        if (bits >> shift != (byte & 0x7F)) /* the last byte has more bits than are left */
            return NULL;
        *number |= bits;
        if (byte < 0x80) {
            assert(at - begin <= MAX_COUNT_BYTES);
            return *number > MAX_WEIGHT || (byte == 0 && at - begin > 1) ? NULL : at;
        }
    }
    return NULL;
}

static int is_whole(weight number)
{
    assert(UNIT == 10000);
    assert(number <= MAX_WEIGHT);
    return (number >> 64 ? (uint64_t)(number % UNIT) : (uint64_t)number % UNIT) == 0;
}

/* Reads one entry of any length. Returns 1, or -1 when the bytes are bad. */
static int try_long_entry(struct reader *reader)
{
    weight number, count;
    assert(reader->at < reader->end);
    reader->at = read_varint(reader->at, reader->end, &number);
    if (reader->at == NULL || number > 2 * MAX_BUCKET + 1 || (reader->begun && number == 0))
        return -1;
    int32_t small = (int32_t)number;
    /* The first bucket has its sign in its lowest bit (zigzag); the others follow at a distance. */
    int32_t bucket = reader->begun ? reader->bucket + small : small % 2 ? -(small + 1) / 2 : small / 2;
    reader->at = read_varint(reader->at, reader->end, &count);
    if (reader->at == NULL || count == 0 || bucket > MAX_BUCKET || bucket < -MAX_BUCKET)
        return -1;
    if (reader->whole && count > MAX_WEIGHT / UNIT)
        return -1;
    reader->begun = 1;
    reader->bucket = bucket;
    reader->weight = reader->whole ? count * UNIT : count;
    assert(reader->weight > 0);
    return 1;
}

/* Reads one entry. Returns 1, 0 at the end, -1 when the bytes are bad. */
static int try_entry(struct reader *reader)
{
    const unsigned char *at = reader->at;
    assert(at <= reader->end);
    if (at == reader->end)
        return 0;
    /* Nearly every entry is a gap and a count of one byte each. The first entry has no gap. */
    if (!reader->begun || reader->end - at < 2 || (at[0] | at[1]) > 0x7F)
        return try_long_entry(reader);
    if (at[0] == 0 || at[1] == 0 || reader->bucket + at[0] > MAX_BUCKET)
        return -1;
    reader->at = at + 2;
    reader->bucket += at[0];
    reader->weight = reader->whole ? (uint64_t)at[1] * UNIT : at[1];
    assert(reader->weight > 0);
    return 1;
}

int check_histogram(const unsigned char *bytes, size_t length, struct span *span)
{
    assert(span != NULL);
    assert(bytes != NULL);
    if (length == 0 || (bytes[0] != UNITS && bytes[0] != WHOLE))
        return -1;
    struct reader reader = read_histogram(bytes, length);
    struct span seen = {0};
    int fine = 0, result;
    while ((result = try_entry(&reader)) > 0) {
        if (seen.buckets++ == 0)
            seen.first = reader.bucket;
        seen.last = reader.bucket;
        if (reader.weight > MAX_WEIGHT - seen.total)
            return -1;
        seen.total += reader.weight;
        fine |= !reader.whole && !is_whole(reader.weight);
    }
    if (result < 0 || seen.buckets == 0 || fine == reader.whole)
        return -1;
    assert(seen.first <= seen.last && seen.total > 0 && seen.total <= MAX_WEIGHT);
    *span = seen;
    return 0;
}

struct reader read_histogram(const unsigned char *bytes, size_t length)
{
    assert(length > 0);
    assert(bytes[0] == UNITS || bytes[0] == WHOLE);
    return (struct reader){.at = bytes + 1, .end = bytes + length, .whole = bytes[0] == WHOLE};
}

int next_entry(struct reader *reader)
{
    assert(reader->at != NULL);
    int result = try_entry(reader);
    assert(result >= 0);
    assert(result == 0 || reader->begun);
    return result;
}

static unsigned char *put_varint(unsigned char *at, weight number)
{
    assert(at != NULL);
    assert(number <= MAX_WEIGHT);
    for (; number > 0x7F; number >>= 7)
        *at++ = (unsigned char)((number & 0x7F) | 0x80);
    *at++ = (unsigned char)number;
    return at;
}

struct writer write_histogram(unsigned char *bytes, int whole)
{
    assert(bytes != NULL);
    assert(whole == 0 || whole == 1);
    *bytes = whole ? WHOLE : UNITS;
    return (struct writer){.at = bytes + 1};
}

void put_entry(struct writer *writer, int32_t bucket, weight count)
{
    assert(bucket >= -MAX_BUCKET && bucket <= MAX_BUCKET && count > 0);
    assert(!writer->begun || bucket > writer->bucket);
    int32_t number = writer->begun ? bucket - writer->bucket : bucket < 0 ? -2 * bucket - 1 : 2 * bucket;
    writer->at = put_varint(put_varint(writer->at, (weight)number), count);
    writer->begun = 1;
    writer->bucket = bucket;
}

int open_sum(struct sum *sum, int32_t first, int32_t last)
{
    assert(-MAX_BUCKET <= first && first <= last && last <= MAX_BUCKET);
    *sum = (struct sum){.first = first, .last = last};
    sum->weights = calloc((size_t)(last - first + 1), sizeof *sum->weights);
    assert(sizeof *sum->weights == 16);
    return sum->weights == NULL ? -1 : 0;
}

void add_histogram(struct sum *sum, const unsigned char *bytes, size_t length)
{
    assert(sum->weights != NULL);
    struct reader reader = read_histogram(bytes, length);
    while (next_entry(&reader)) {
        assert(reader.bucket >= sum->first && reader.bucket <= sum->last);
        sum->weights[reader.bucket - sum->first] += reader.weight;
    }
}

size_t bound_of_sum(const struct sum *sum)
{
    assert(sum->first <= sum->last);
    size_t entries = 0;
    for (int32_t bucket = sum->first; bucket <= sum->last; bucket++)
        entries += sum->weights[bucket - sum->first] != 0;
    assert(entries > 0);
    return 1 + entries * (MAX_BUCKET_BYTES + MAX_COUNT_BYTES);
}

size_t write_sum(const struct sum *sum, unsigned char *bytes)
{
    assert(bytes != NULL && sum->weights != NULL);
    int whole = 1;
    for (int32_t bucket = sum->first; bucket <= sum->last && whole; bucket++)
        whole = is_whole(sum->weights[bucket - sum->first]);
    struct writer writer = write_histogram(bytes, whole);
    for (int32_t bucket = sum->first; bucket <= sum->last; bucket++) {
        weight one = sum->weights[bucket - sum->first];
        if (one != 0)
            put_entry(&writer, bucket, whole ? one / UNIT : one);
    }
    assert(writer.begun);
    return (size_t)(writer.at - bytes);
}

void free_sum(struct sum *sum)
{
    assert(sum != NULL);
    free(sum->weights);
    sum->weights = NULL;
    assert(sum->weights == NULL);
}
