/* Gauges: of the lines of one gauge that follow each other, only the last one matters. The others are counted.
 *
 * The last line waits here, and is left for the whole grammar before any other line is left that may change a gauge. So
 * the lines that are left change every gauge as all lines that were read would, in the same order. Knows nothing of
 * Python. */
#ifndef FIESTA_GAUGES_H
#define FIESTA_GAUGES_H

#include "table.h"

enum { MAX_WAITING = 1 << 14 }; /* gauges whose last line waits; beyond that, all of them are left */

/* Lets a line take the place of the one that waits. ``text`` is its value. Returns -1 when there is no memory; then
 * nothing has changed. */
int let_wait(struct table *table, struct series *series, const char *text, size_t length);

/* Leaves all lines that wait. Returns -1 when there is no memory; then some of them still wait. */
int leave_gauges(struct table *table);

/* Whether a line that is left may change a gauge. */
int may_change_gauges(const char *line, size_t length);

#endif
