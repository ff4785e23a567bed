/* How the values of a timing are spread (native/protocol/histogram.h). Samples are noted one by one. When they are many,
 * there is a count for each bucket from the smallest to the largest, and what is noted is added to the counts together:
 * so the processor waits for many of them at once, where they are not in its cache. Knows nothing of Python.
 */
#ifndef FIESTA_BUCKETS_H
#define FIESTA_BUCKETS_H

#include "protocol/histogram.h"

enum {
    NOTED = 64, /* samples that are noted one by one */
    MAX_VALUE_BUCKET = 6143, /* of 10^16 units: no value of the core rounds to more */
    MAX_BUCKETS_BYTES = 32 << 20, /* of all series together; one series takes 49 kB at most */
};

struct buckets {
    int16_t *noted; /* not in the counts yet; NULL before the first sample, and when the first ones were too many */
    uint32_t *counts; /* of the buckets from first to last; NULL while all samples are noted */
    int32_t first, last;
    uint32_t samples; /* how many are noted */
};

/* Makes room as reserve_buckets says. Only that calls it. */
int make_room(struct buckets *buckets, int32_t low, int32_t high, int64_t samples, size_t *bytes);

/* Makes room for samples between two buckets. ``bytes`` is the memory of all series together, and is kept up. Returns 1,
 * 0 when that would exceed MAX_BUCKETS_BYTES, -1 when there is no memory. Only on 1 anything has changed. */
static inline int reserve_buckets(
    struct buckets *buckets, int32_t low, int32_t high, int64_t samples, size_t *bytes)
{
    assert(low <= high);
    assert(samples > 0);
    if (buckets->counts != NULL ? low >= buckets->first && high <= buckets->last
                                : buckets->noted != NULL && buckets->samples + samples <= NOTED)
        return 1;
    return make_room(buckets, low, high, samples, bytes);
}

/* Adds what is noted to the counts, which there must be. */
static inline void count_noted(struct buckets *buckets)
{
    assert(buckets->counts != NULL && buckets->samples <= NOTED);
    assert(buckets->noted != NULL || buckets->samples == 0);
    for (uint32_t sample = 0; sample < buckets->samples; sample++)
        buckets->counts[buckets->noted[sample] - buckets->first]++;
    buckets->samples = 0;
}

/* Counts a sample. There must be room for it. */
static inline void add_to_bucket(struct buckets *buckets, int32_t bucket)
{
    assert(bucket >= -MAX_VALUE_BUCKET && bucket <= MAX_VALUE_BUCKET);
    assert(buckets->counts == NULL || (bucket >= buckets->first && bucket <= buckets->last));
    if (buckets->noted == NULL) {
        buckets->counts[bucket - buckets->first]++;
        return;
    }
    if (buckets->samples == NOTED)
        count_noted(buckets);
    buckets->noted[buckets->samples++] = (int16_t)bucket;
}

/* Whether there is no sample. */
static inline int no_buckets(const struct buckets *buckets)
{
    assert(buckets->noted != NULL || buckets->samples == 0);
    assert(buckets->samples <= NOTED);
    return buckets->noted == NULL && buckets->counts == NULL;
}

/* How many bytes ``encode_buckets`` writes at most. There must be a sample. */
size_t bound_of_buckets(const struct buckets *buckets);

/* Writes the histogram of at least one sample. Returns how many bytes it took. */
size_t encode_buckets(struct buckets *buckets, unsigned char *bytes);

/* Frees the memory. */
void free_buckets(struct buckets *buckets);

#endif
