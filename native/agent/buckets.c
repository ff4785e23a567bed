#include "buckets.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SAMPLES_BYTES = 5, NOTED_BYTES = NOTED * (int)sizeof(int16_t) };

static_assert(MAX_VALUE_BUCKET <= INT16_MAX, "a noted bucket fits");

/* Makes counts for the buckets from low to high, with those so far, and a quarter more on each side that grows. */
static int count_between(struct buckets *buckets, int32_t low, int32_t high, size_t *bytes)
{
    size_t had = 0;
    if (buckets->counts)
        had = (size_t)(buckets->last - buckets->first + 1) * sizeof *buckets->counts;
    int32_t more = (high - low) / 4 + 8;
    struct buckets made = {.noted = buckets->noted, .first = low - more, .last = high + more, .samples = buckets->samples};
    if (buckets->counts && low >= buckets->first)
        made.first = buckets->first;
    if (buckets->counts && high <= buckets->last)
        made.last = buckets->last;
    if (made.first < -MAX_VALUE_BUCKET)
        made.first = -MAX_VALUE_BUCKET;
    if (made.last > MAX_VALUE_BUCKET)
        made.last = MAX_VALUE_BUCKET;
    size_t size = (size_t)(made.last - made.first + 1) * sizeof *made.counts;
    assert(made.first <= low && made.last >= high && *bytes >= had);
    if (size > MAX_BUCKETS_BYTES - (*bytes - had))
        return 0;
    made.counts = calloc(size, 1);
    if (made.counts == NULL)
        return -1;
    assert(made.counts[0] == 0);
    if (buckets->counts != NULL)
        memcpy(made.counts + (buckets->first - made.first), buckets->counts, had);
    free(buckets->counts);
    *buckets = made;
    count_noted(buckets);
    *bytes += size - had;
    assert(*bytes <= MAX_BUCKETS_BYTES);
    return 1;
}

int make_room(struct buckets *buckets, int32_t low, int32_t high, int64_t samples, size_t *bytes)
{
    assert(low >= -MAX_VALUE_BUCKET && high <= MAX_VALUE_BUCKET);
    assert(*bytes <= MAX_BUCKETS_BYTES);
    if (no_buckets(buckets) && samples <= NOTED) {
        if (NOTED_BYTES > MAX_BUCKETS_BYTES - *bytes)
            return 0;
        buckets->noted = malloc(NOTED_BYTES);
        if (buckets->noted == NULL)
            return -1;
        *bytes += NOTED_BYTES;
        return 1;
    }
    for (uint32_t sample = 0; buckets->noted != NULL && sample < buckets->samples; sample++) {
        low = buckets->noted[sample] < low ? buckets->noted[sample] : low;
        high = buckets->noted[sample] > high ? buckets->noted[sample] : high;
    }
    if (buckets->counts != NULL) {
        low = buckets->first < low ? buckets->first : low;
        high = buckets->last > high ? buckets->last : high;
    }
    assert(low <= high);
    return count_between(buckets, low, high, bytes);
}

size_t bound_of_buckets(const struct buckets *buckets)
{
    assert(!no_buckets(buckets));
    size_t entries = buckets->samples;
    for (int32_t bucket = buckets->first; buckets->counts != NULL && bucket <= buckets->last; bucket++)
        entries += buckets->counts[bucket - buckets->first] != 0;
    assert(entries > 0);
    return 1 + entries * (MAX_BUCKET_BYTES + MAX_SAMPLES_BYTES);
}

/* Sorts the noted buckets. They are few, so this is the fastest way. */
static void sort(struct buckets *buckets)
{
    assert(buckets->noted != NULL);
    assert(buckets->counts == NULL && buckets->samples <= NOTED);
    for (uint32_t next = 1; next < buckets->samples; next++) {
        int16_t bucket = buckets->noted[next];
        uint32_t place = next;
        for (; place > 0 && buckets->noted[place - 1] > bucket; place--)
            buckets->noted[place] = buckets->noted[place - 1];
        buckets->noted[place] = bucket;
    }
}

size_t encode_buckets(struct buckets *buckets, unsigned char *bytes)
{
    assert(!no_buckets(buckets));
    assert(bytes != NULL);
    struct writer writer = write_histogram(bytes, 1);
    if (buckets->counts != NULL) {
        count_noted(buckets);
        for (int32_t bucket = buckets->first; bucket <= buckets->last; bucket++)
            if (buckets->counts[bucket - buckets->first] != 0)
                put_entry(&writer, bucket, buckets->counts[bucket - buckets->first]);
    } else {
        sort(buckets);
        for (uint32_t next = 0, begin = 0; begin < buckets->samples; begin = next) {
            while (next < buckets->samples && buckets->noted[next] == buckets->noted[begin])
                next++;
            put_entry(&writer, buckets->noted[begin], next - begin);
        }
    }
    assert(writer.begun);
    return (size_t)(writer.at - bytes);
}

void free_buckets(struct buckets *buckets)
{
    assert(buckets != NULL);
    free(buckets->noted);
    free(buckets->counts);
    *buckets = (struct buckets){0};
    assert(no_buckets(buckets));
}
