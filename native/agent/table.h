/* Counters and timings in everyday forms, summed by name and tail as sent. Knows nothing of Python.
 *
 * Whatever it is not sure of it leaves, line by line and in order, to whoever knows the whole grammar
 * (protocol/statsd.py): so it can only be quicker, and never of another opinion.
 */
#ifndef FIESTA_TABLE_H
#define FIESTA_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef __int128 wide; /* 10^-18 units: 1.7 * 10^8 values below 10^12 fit */

struct series {
    uint64_t hash;
    uint32_t key; /* where in keys its name and tail are, one after the other */
    uint16_t name_length;
    uint16_t tail_length;
    wide limit; /* values must be between -limit and limit, both excluded; 0 leaves its lines alone */
    void *meaning;
    int64_t lines; /* since the last take, as all that follows; 0 says that the rest is not set */
    int64_t samples;
    wide total, low, high;
};

static const int64_t MAX_LIMIT = 1000000000000LL;

/* The limit of a name and tail never seen before, in whole numbers, at most MAX_LIMIT; 0 when their lines are
 * to be left alone, -1 after a failure, which ends the counting. ``meaning`` is kept for whoever takes. */
typedef int64_t (*learn_fn)(
    void *context, const char *name, size_t name_length, const char *tail, size_t tail_length, void **meaning);

struct table {
    struct series *series;
    uint32_t series_count, series_room;
    uint32_t *slots; /* index + 1 into series, 0 for none; a power of two of them, at most half in use */
    uint32_t slot_count;
    char *keys;
    size_t keys_length, keys_room;
    uint32_t *touched; /* those with lines, in the order of their first */
    uint32_t touched_count;
    char *left; /* lines left alone, as sent, each with a newline */
    size_t left_length, left_room;
    uint64_t seed;
    int full; /* no room for another series until it is emptied */
    learn_fn learn;
    void *context;
};

/* 0, or -1 when memory is out or ``learn`` failed: then the rest of the text was not counted. */
int table_count(struct table *table, const char *text, size_t length);

/* Forgets every series and gives their memory back; ``left`` stays. Meanings are the caller's to release. */
void table_empty(struct table *table);

/* Gives all memory back. */
void table_free(struct table *table);

#endif
