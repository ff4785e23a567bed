/* Counts what was read: asks Python what is new, and notes when lines were read that are left. */
#ifndef FIESTA_COUNTING_H
#define FIESTA_COUNTING_H

#include "core.h"

enum { LEARNED_AT_ONCE = 500 }; /* new series of one feed or read: to learn one takes some 5 us without other work */

/* Returns -1 and sets an exception while ``learn`` runs, or while a thread serves a socket and the caller does not hold
 * the core. The table and the room for datagrams must not change then. */
int refuse_reentry(const Core *self);

/* Counts lines. Before, the caller says in ``to_learn`` how many new series may be learned. Returns -1 with an exception
 * set when ``learn`` failed or there was no memory. ``stamp`` is when the lines were read, or 0. */
int count(Core *self, const char *text, size_t length, int64_t stamp);

/* The same, without Python: the caller has no lock of the interpreter. Returns -1 when there was no memory. ``sender`` may
 * be NULL. */
int count_alone(Core *self, const char *text, size_t length, int64_t stamp, const struct msghdr *sender);

/* The note of the table: keeps when the lines were read that were left since the last note. */
void note_left(void *context, int64_t stamp);

/* The stamp of this moment, or 0 where nobody asks for it. */
int64_t stamp_of_now(const Core *self);

/* The learn_fn of the table: asks ``learn`` in Python. */
int64_t ask(void *context, const char *name, size_t name_length, const char *tail, size_t tail_length, void **meaning,
    enum form *form);

#endif
