/* What the main thread does with a core that a thread serves. */
#ifndef FIESTA_SHARE_H
#define FIESTA_SHARE_H

#include "core.h"

/* Gives a new core its locks and its first part. Returns -1 with an exception set. */
int begin_sharing(Core *self);
void end_sharing(Core *self);

/* The methods of a core that a thread serves. */
PyObject *core_hold(PyObject *object, PyObject *none);
PyObject *core_let_go(PyObject *object, PyObject *none);
PyObject *core_wants(PyObject *object, PyObject *none);
PyObject *core_served(PyObject *object, PyObject *none);
PyObject *core_teach(PyObject *object, PyObject *args);
PyObject *core_stamp(PyObject *object, PyObject *args);
PyObject *core_parts(PyObject *object, PyObject *none);
PyObject *core_mirror(PyObject *object, PyObject *args);

#endif
