/* Histograms as bytes: checked, read, added up and written. See protocol/histogram.py, which gives the same results.
 * Knows nothing of Python.
 */
#ifndef FIESTA_HISTOGRAM_H
#define FIESTA_HISTOGRAM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned __int128 weight; /* units of 10^-4; those of a histogram add up to at most MAX_WEIGHT */

enum {
    UNIT = 10000, /* the weight of one sample */
    MAX_BUCKET = 7725,
    BITS = 7, /* 128 buckets per octave */
    PER_OCTAVE = 1 << BITS,
    EXACT = 2 * PER_OCTAVE, /* magnitudes below this have a bucket of their own */
    MAX_BUCKET_BYTES = 2, /* a varint of a bucket or a gap */
    MAX_COUNT_BYTES = 19,
};

static_assert(2 * MAX_BUCKET + 1 < 1 << (7 * MAX_BUCKET_BYTES), "a gap, or a bucket with its sign, fits its bytes");

/* 10^38 - 1: the largest DECIMAL(38, 4), as the rollups have them for sums. It has 127 bits, so it fits MAX_COUNT_BYTES. A
 * summary weighs 10^20 - 1 at most, and its count says so. */
static const weight MAX_WEIGHT = (weight)10000000000000000000ULL * 10000000000000000000ULL - 1;

/* What a histogram says of all its samples. */
struct span {
    weight total;
    int32_t first, last; /* buckets */
    uint32_t buckets;
};

struct reader {
    const unsigned char *at, *end;
    int whole;
    int begun;
    int32_t bucket; /* of the last entry that was read, and its weight */
    weight weight;
};

struct writer {
    unsigned char *at;
    int begun;
    int32_t bucket; /* of the last entry that was written */
};

/* The sum of histograms: a weight for each bucket from first to last. */
struct sum {
    int32_t first, last;
    weight *weights;
};

/* The bucket of a value in units. -v has the negative of the bucket of v. */
static inline int32_t bucket_of(int64_t units)
{
    uint64_t magnitude = units < 0 ? 0 - (uint64_t)units : (uint64_t)units;
    if (magnitude < EXACT)
        return (int32_t)units;
    int shift = 63 - __builtin_clzll(magnitude) - BITS;
    int32_t bucket = (int32_t)(((shift + 1) << BITS) + (int)((magnitude >> shift) & (PER_OCTAVE - 1)));
    assert(shift > 0 && bucket <= MAX_BUCKET);
    return units < 0 ? -bucket : bucket;
}

/* Returns 0, or -1 when plain Python would never write these bytes. Only on 0 the span is set. */
int check_histogram(const unsigned char *bytes, size_t length, struct span *span);

/* Begins to read bytes that were checked. */
struct reader read_histogram(const unsigned char *bytes, size_t length);

/* Reads the next entry. Returns 0 at the end. */
int next_entry(struct reader *reader);

/* Begins to write into ``bytes``: 1 byte, and MAX_BUCKET_BYTES + MAX_COUNT_BYTES per entry. ``whole`` says that every
 * weight is a whole number of samples; counts are then samples, else units. */
struct writer write_histogram(unsigned char *bytes, int whole);

/* Writes an entry. Buckets must rise, and the count must not be 0. */
void put_entry(struct writer *writer, int32_t bucket, weight count);

/* Makes room for buckets from first to last, all with a weight of 0. Returns -1 when there is no memory. */
int open_sum(struct sum *sum, int32_t first, int32_t last);

/* Adds bytes that were checked and whose buckets lie within the sum. */
void add_histogram(struct sum *sum, const unsigned char *bytes, size_t length);

/* How many bytes ``write_sum`` writes at most. */
size_t bound_of_sum(const struct sum *sum);

/* Writes a sum with at least one weight, and returns how many bytes it took. */
size_t write_sum(const struct sum *sum, unsigned char *bytes);

void free_sum(struct sum *sum);

#endif
