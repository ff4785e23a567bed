/* The body of a batch in everyday form: JSON without escapes, plain numbers, times as 2026-02-15T00:00:00Z. Knows nothing
 * of Python.
 *
 * Whatever it is not sure of, and whatever breaks a rule, is left to whoever knows all rules (protocol/item.py), the
 * whole batch: so it can only be quicker, and never of another opinion.
 */
#ifndef FIESTA_ITEMS_H
#define FIESTA_ITEMS_H

#include <stdint.h>

struct item {
    const char *name; /* in the body */
    int name_length;
    int is_counter;
    int is_summary; /* else the last three are not set */
    int64_t value, recorded_at; /* units of 1/10,000; seconds since the epoch */
    int64_t weight, low, high;
};

struct bounds {
    double oldest, newest; /* times outside of these break a rule */
    int64_t now; /* the time of an item without one */
    int most; /* items, for which there is room */
};

/* Where an item stands in the body. */
struct span {
    const char *begin, *end;
};

/* The body is no batch in everyday form; it ends too early. COUNTED times as many as there is room for are counted. */
enum { SPANS_OTHER = -1, SPANS_TORN = -2, COUNTED = 100 };

/* How many items a body has, of which the first ``most`` are kept; or one of the above. What is in the items is not
 * looked at. */
int read_spans(const char *at, const char *end, int most, struct span *spans);

/* How many items there are; 0 when the batch is not in everyday form. */
int read_items(const char *at, const char *end, const struct bounds *bounds, struct item *items);

#endif
