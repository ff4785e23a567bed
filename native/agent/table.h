/* Counters and timings in usual forms, summed by name and tail as sent. Knows nothing of Python.
 *
 * Lines in other forms are stored as sent and in order, for the whole grammar (protocol/statsd.py). So this table is
 * faster than the grammar but never gives another result.
 */
#ifndef FIESTA_TABLE_H
#define FIESTA_TABLE_H

#include "buckets.h"

#include <stddef.h>
#include <stdint.h>

typedef __int128 wide; /* 10^-18 units: 1.7 * 10^8 values below 10^12 fit */

struct series {
    uint64_t hash;
    uint32_t key; /* offset in keys of its name, which its tail follows */
    uint16_t name_length;
    uint16_t tail_length;
    wide limit; /* values must be between -limit and limit, both excluded; with 0 its lines are not counted */
    void *meaning;
    int64_t lines; /* this and the fields below: since the last take; with 0 the fields below are not set */
    int64_t samples;
    wide total, low, high;
    struct buckets buckets;
    int has_buckets; /* whether its values are counted by bucket too */
};

static const int64_t MAX_LIMIT = 1000000000000LL;

/* Returns the limit of a new name and tail, a whole number of at most MAX_LIMIT. 0: do not count their lines.
 * -1: a failure, which ends the counting. The table stores ``meaning`` with the series, and ``has_buckets``. A limit of 0
 * may come without a meaning. */
typedef int64_t (*learn_fn)(void *context, const char *name, size_t name_length, const char *tail, size_t tail_length,
    void **meaning, int *has_buckets);

struct table {
    struct series *series;
    uint32_t series_count, series_room;
    uint32_t *slots; /* index + 1 into series, 0 for none; a power of two of them, at most a quarter in use */
    uint32_t slot_count;
    char *keys;
    size_t keys_length, keys_room;
    uint32_t *touched; /* indexes of the series with lines, in the order of their first line */
    uint32_t touched_count;
    char *left; /* lines that were not counted, as sent, each with a newline */
    size_t left_length, left_room;
    uint64_t seed;
    size_t buckets_bytes; /* of all series together */
    int full; /* there is no room for another series, or for more buckets, until the table is emptied */
    learn_fn learn;
    void *context;
};

/* Counts lines. Returns 0, or -1 when there was no memory or ``learn`` failed: then the rest of the text was not
 * counted. */
int table_count(struct table *table, const char *text, size_t length);

/* Begins anew with the series that were touched, after the caller has taken over their buckets. */
void table_reset(struct table *table);

/* Frees the buckets of all series. */
void table_free_buckets(struct table *table);

/* Forgets every series and frees their memory. ``left`` stays. The caller must release the meanings and the buckets. */
void table_empty(struct table *table);

/* Frees all memory. */
void table_free(struct table *table);

#endif
