/* The object that Python has: the table, and the journal of what was read. */
#ifndef FIESTA_CORE_H
#define FIESTA_CORE_H

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "journal.h"
#include "table.h"

typedef struct {
    PyObject_HEAD
    struct table table;
    PyObject *learn;
    PyObject *sums_type;
    char *packets; /* room for PACKETS datagrams, made by the first read without a journal */
    int counting;
    struct journal journal;
    Py_buffer map; /* holds the journal's memory; its ``obj`` is NULL without one */
    PyObject *make_room;
} Core;

/* Returns -1 and sets an exception while ``learn`` runs. The table and the room for datagrams must not change then. */
int refuse_reentry(const Core *self);

/* Counts lines. Returns -1 with an exception set when ``learn`` failed or there was no memory. */
int count(Core *self, const char *text, size_t length);

/* The methods that read datagrams and keep what was read; see core.pyi. */
PyObject *core_read(PyObject *object, PyObject *args);
PyObject *core_receive(PyObject *object, PyObject *args);
PyObject *core_open_journal(PyObject *object, PyObject *args);
PyObject *core_aim_journal(PyObject *object, PyObject *args);
PyObject *core_finish_journal(PyObject *object, PyObject *none);
PyObject *core_close_journal(PyObject *object, PyObject *none);
PyObject *core_keep(PyObject *object, PyObject *args);

/* Releases the journal's memory, if there is a journal. */
void close_journal(Core *self);

#endif
