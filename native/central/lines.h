/* Writes a group's rows, and their sums per minute and hour, as lines of text. The bytes are the same as those that
 * central/store/mysql/rows.py writes. It uses nothing of Python. */
#ifndef FIESTA_LINES_H
#define FIESTA_LINES_H

#include <stddef.h>
#include <stdint.h>

struct row {
    int64_t metric_id, recorded_at, value; /* units of 1/10,000 */
    int64_t weight, low, high; /* set only if is_summary */
    int is_summary;
    const unsigned char *histogram; /* the caller's; NULL where there is none */
    size_t histogram_length;
    int64_t series_id; /* 0 without tags */
    void *owner; /* of the histogram, for the caller */
};

struct text {
    char *bytes;
    size_t length, room;
};

struct group {
    struct row *rows; /* owned by the caller; write_lines sorts them, and changes metric_id */
    size_t count;
    uint64_t base; /* the id of the first point */
    int summaries, series, histograms; /* these and all below are results: whether a row is a summary, or has one */
    struct text points, minutes, hours;
};

/* Returns 0; -1 if there is no memory; 1 if a time is not in the years 1 to 9999. */
int write_lines(struct group *group);

/* Frees the memory of the texts. */
void free_lines(struct group *group);

#endif
