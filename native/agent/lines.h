/* Counts lines in the table. Knows nothing of Python. */
#ifndef FIESTA_LINES_H
#define FIESTA_LINES_H

#include "table.h"

/* Counts lines. Returns 0, or -1 when there was no memory or ``learn`` failed: then the rest of the text was not
 * counted. */
int table_count(struct table *table, const char *text, size_t length);

#endif
