/* Lines in usual forms, counted by name and tail as sent. Knows nothing of Python.
 *
 * Counters and timings are summed. Of sets, each member is kept once. Of a gauge's lines, only the last one is left.
 * Lines in other forms are left as sent and in order, for the whole grammar (protocol/statsd.py). So this table is
 * faster than the grammar but never gives another result.
 */
#ifndef FIESTA_TABLE_H
#define FIESTA_TABLE_H

#include "buckets.h"
#include "members.h"
#include "number.h"

#include <stddef.h>
#include <stdint.h>

/* How the lines of a series are counted. */
enum form {
    SUMS, /* numbers are added up */
    SPREAD, /* and counted by bucket too */
    GAUGE, /* the last number counts; a line whose number has a sign is left */
    SIGNED_GAUGE, /* the last number counts, whatever its sign */
    SET, /* each different member counts once */
    FORMS,
};

/* A gauge's last line, without its name and its tail. */
struct gauge {
    int64_t stamp; /* when it was read */
    uint32_t order; /* of the line among those of all gauges; 0 when it does not wait */
    uint32_t left; /* lines of the gauge that were left since the last take */
    uint8_t length;
    char text[LONGEST_NUMBER];
};

struct series {
    uint64_t hash;
    uint32_t key; /* offset in keys of its name, which its tail follows */
    uint16_t name_length;
    uint16_t tail_length;
    wide limit; /* values must be between -limit and limit, both excluded; with 0 its lines are not counted */
    void *meaning;
    enum form form;
    int64_t lines; /* this and the fields below: since the last take; with 0 the fields below are not set */
    int64_t samples;
    union {
        struct {
            wide total, low, high;
        };
        struct gauge gauge; /* empty with 0 lines */
        struct set set; /* empty with 0 lines */
    };
    struct buckets buckets;
};

static const int64_t MAX_LIMIT = 1000000000000LL;

enum {
    MAX_KEY = 1024, /* bytes of a name and its tail; others are left */
    SLOTS = 4, /* per series; with 2 of them a look-up finds others' series more often, and takes 10 % longer */
};

/* Returns the limit of a new name and tail, a whole number of at most MAX_LIMIT. 0: do not count their lines.
 * -1: a failure, which ends the counting. The table stores ``meaning`` with the series, and ``form``. A limit of 0 may
 * come without a meaning. */
typedef int64_t (*learn_fn)(void *context, const char *name, size_t name_length, const char *tail, size_t tail_length,
    void **meaning, enum form *form);

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
    struct members members;
    uint64_t *waiting; /* the indexes of the gauges whose last line waits, in their lower halves; NULL before the first */
    uint32_t waiting_count, last_order;
    int64_t stamp; /* when the lines that are counted now were read, or 0 */
    learn_fn learn;
    uint32_t to_learn; /* how many more new series may be learned now; lines of others are left */
    void (*note)(void *context, int64_t stamp); /* says when the lines were read that were left since the last call */
    void *context;
};

/* Learns a new series. Returns NULL when there is no room, or after a failure; then it sets ``failed``. */
struct series *make_series(struct table *table, uint64_t hash, const char *name, size_t name_length, const char *tail,
    size_t tail_length, int *failed);

/* Stores a line as sent, with a newline. Returns -1 when there is no memory. */
int leave(struct table *table, const char *line, size_t length);

/* Begins anew with the series that were touched, after the caller has taken over their buckets and the members. */
void table_reset(struct table *table);

/* Frees the buckets of all series. */
void table_free_buckets(struct table *table);

/* Forgets every series and frees their memory, and that of the members. ``left`` stays. The caller must release the meanings and the buckets. */
void table_empty(struct table *table);

/* Frees all memory. */
void table_free(struct table *table);

#endif
