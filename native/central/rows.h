/* Reads rows of Python (central.store.base.Row) as numbers. */
#ifndef FIESTA_ROWS_H
#define FIESTA_ROWS_H

#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "lines.h"

/* Reads ``count`` rows of a list into ``rows``, which the caller has filled with zeros. Returns 1; 0 if a number does not
 * fit into 64 bits or a row has only a part of a summary: then plain Python must write them; -1 with an exception if a
 * field is of another type. Call release_rows afterwards in each case. */
int read_rows(PyObject *list, struct row *rows, size_t count);

/* Gives back the histograms of the rows. */
void release_rows(struct row *rows, size_t count);

#endif
