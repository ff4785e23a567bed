/* Reads datagrams, and keeps a journal of what was read. */
#ifndef FIESTA_RECEIVE_H
#define FIESTA_RECEIVE_H

#include "core.h"

enum {
    CREDENTIALS = 3 * sizeof(int), /* process, user and group */
    READ_NEEDS = PACKETS * (RECORD_HEAD + MAX_DATAGRAM) + STAMP_RECORD, /* room in the journal for one read */
};

struct sender {
    struct sockaddr_storage address;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CREDENTIALS)];
};

struct batch {
    struct iovec places[PACKETS];
    struct mmsghdr own[PACKETS]; /* used while nothing is kept */
    struct mmsghdr *messages;
    int64_t stamp; /* when it was read: nanoseconds of CLOCK_MONOTONIC, 0 where nobody asks for it */
    int received, fault;
};

/* Whether the journal has no room for one read, and whether it will soon have none and the main thread does not know. */
int lacks_room(const Core *self);
int runs_low(const Core *self);

/* Gives room for datagrams outside of a journal. Returns -1 when there is no memory. */
int make_packets(Core *self);

/* Reads at most ``limit`` datagrams into the journal, or into memory while nothing is kept. ``senders`` may be NULL.
 * Returns -1 with an exception set; never where there is room in the journal, and for packets. */
int read_batch(Core *self, int fd, int limit, unsigned kind, struct sender *senders, struct batch *batch);

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
