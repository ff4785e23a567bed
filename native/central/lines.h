/* A group's rows as lines of text, and their sums by minute and hour: what central/store/mysql/rows.py makes, byte for
 * byte. Knows nothing of Python. */
#ifndef FIESTA_LINES_H
#define FIESTA_LINES_H

#include <stddef.h>
#include <stdint.h>

struct row {
    int64_t metric_id, recorded_at, value; /* units of 1/10,000 */
    int64_t weight, low, high; /* set where it is a summary */
    int is_summary;
};

struct text {
    char *bytes;
    size_t length, room;
};

struct group {
    struct row *rows; /* the caller's; in any order, and in the order of the key afterwards */
    size_t count;
    uint64_t base; /* the id of the first point */
    int summaries; /* from here on: what was made */
    struct text points, minutes, hours;
};

/* 0; -1 when memory is out; 1 when a time is none of the years 1 to 9999. */
int write_lines(struct group *group);

/* Gives the texts' memory back. */
void free_lines(struct group *group);

#endif
