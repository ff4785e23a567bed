/* Looks up the names and series of items (protocol.item.Item) in the caches of central/ingest, and makes rows of items. The
 * items, names and series are Python's own. */
#ifndef FIESTA_LOOKUP_H
#define FIESTA_LOOKUP_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

/* Makes a tuple of a type without its Python constructor. Takes over the references in ``fields``, also if it fails. A
 * field that is NULL stands for one that could not be made, with an exception set. */
PyObject *make_tuple(PyTypeObject *type, PyObject **fields, int count);

/* Takes items, the type of a row (central.store.base.Row), the metrics by name, the ids of series by metric and tags, and
 * the overflow series by metric. Returns a list with a row for each item. KeyError for a name or a series that is in none
 * of them. */
PyObject *make_rows(PyObject *module, PyObject *args);

/* Takes items, the metrics by name and the ids of series by metric and tags. Returns a list of the metrics' ids and tags,
 * as tuples, of those items whose series is not there. KeyError for a name that is not there. */
PyObject *missing_series(PyObject *module, PyObject *args);

#endif
