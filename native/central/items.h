/* Reads the body of a batch or of one metric in everyday form: JSON without escapes, plain numbers, times as
 * 2026-02-15T00:00:00Z. It uses nothing of Python.
 *
 * If anything in the body is unusual or breaks a rule, it does not read the body. Then Python reads it, with all rules
 * (protocol/item.py). So this code is faster than Python, and never disagrees with it.
 */
#ifndef FIESTA_ITEMS_H
#define FIESTA_ITEMS_H

#include <stdint.h>

struct item {
    const char *name; /* points into the body */
    int name_length;
    int is_counter;
    int is_summary; /* if 0, weight, low and high are not set */
    int64_t value, recorded_at; /* units of 1/10,000; seconds since the epoch */
    int64_t weight, low, high;
    const char *histogram; /* its text in the body, whose bytes are a histogram of these samples; NULL without one */
    int histogram_length;
    const char *tags; /* the object of tags in the body, behind its opening brace; NULL without one */
    int tags_length;
};

struct bounds {
    double oldest, newest; /* times before or after these break a rule */
    int64_t now; /* the time of an item that has none */
    int most; /* the number of items for which there is room */
};

/* The place of an item in the body. */
struct span {
    const char *begin, *end;
};

/* SPANS_OTHER: the body is not a batch in everyday form. SPANS_TORN: the body ends too early. Counting stops at COUNTED
 * times the items for which there is room. */
enum { SPANS_OTHER = -1, SPANS_TORN = -2, COUNTED = 100 };

/* Returns the number of items in the body, and writes the spans of the first ``most``; or SPANS_OTHER or SPANS_TORN. It
 * does not read the items themselves. */
int read_spans(const char *at, const char *end, int most, struct span *spans);

/* Returns the number of items read; 0 if the batch is not in everyday form. */
int read_items(const char *at, const char *end, const struct bounds *bounds, struct item *items);

/* Returns 1 if the body of one counter, or else of one value, was read; 0 if it is not in everyday form. */
int read_single(const char *at, const char *end, int is_counter, const struct bounds *bounds, struct item *item);

#endif
