/* The methods of the core that read datagrams. What was read is in the journal before it is counted. */
#include "receive.h"

#include "counting.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Lets Python find room for so many bytes. It may aim at another place, or at none. Returns -1 with an exception set. */
static int ask_for_room(Core *self, size_t bytes)
{
    assert(self->make_room != NULL && !self->counting);
    assert(!journal_has_room(&self->journal, bytes));
    PyObject *answer = PyObject_CallFunction(self->make_room, "n", (Py_ssize_t)bytes);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* Whether what comes now is kept: 1 or 0, or -1 with an exception set. */
static int keeps(Core *self, size_t bytes)
{
    assert(bytes > 0);
    if (self->journal.end == NULL || journal_has_room(&self->journal, bytes))
        return self->journal.end != NULL;
    if (ask_for_room(self, bytes))
        return -1;
    assert(!PyErr_Occurred());
    return journal_has_room(&self->journal, bytes);
}

int lacks_room(const Core *self)
{
    assert(self->journal.map != NULL || self->journal.end == NULL);
    return self->journal.end != NULL && !journal_has_room(&self->journal, READ_NEEDS);
}

int runs_low(const Core *self)
{
    assert(self->journal.map != NULL || self->journal.end == NULL);
    return self->journal.end != NULL && !self->journal.low && !journal_has_room(&self->journal, 2 * (size_t)READ_NEEDS);
}

int make_packets(Core *self)
{
    assert(!self->counting);
    if (self->packets == NULL)
        self->packets = malloc((size_t)PACKETS * STRIDE);
    return self->packets == NULL ? -1 : 0;
}

int read_batch(Core *self, int fd, int limit, unsigned kind, struct sender *senders, struct batch *batch)
{
    assert(limit >= 1 && limit <= PACKETS);
    assert(kind <= UINT8_MAX);
    int kept = keeps(self, (size_t)limit * (RECORD_HEAD + MAX_DATAGRAM) + STAMP_RECORD);
    if (kept < 0)
        return -1;
    if (!kept && make_packets(self)) {
        PyErr_NoMemory();
        return -1;
    }
    char *slots = kept ? self->journal.map + JOURNAL_SLOTS : self->packets;
    batch->messages = kept ? (struct mmsghdr *)(void *)(self->journal.map + JOURNAL_MESSAGES) : batch->own;
    for (int index = 0; index < limit; index++) {
        batch->places[index] = (struct iovec){slots + (size_t)index * STRIDE, MAX_DATAGRAM};
        struct msghdr header = {.msg_iov = &batch->places[index], .msg_iovlen = 1};
        if (senders != NULL) {
            header.msg_name = &senders[index].address;
            header.msg_namelen = sizeof senders[index].address;
            header.msg_control = senders[index].control;
            header.msg_controllen = sizeof senders[index].control;
        }
        batch->messages[index] = (struct mmsghdr){.msg_hdr = header};
    }
    batch->stamp = stamp_of_now(self);
    if (kept)
        journal_begin(&self->journal, kind, limit, batch->stamp);
    batch->received = recvmmsg(fd, batch->messages, (unsigned)limit, MSG_DONTWAIT, NULL);
    assert(batch->received <= limit);
    batch->fault = batch->received < 0 ? errno : batch->received < limit ? EAGAIN : 0;
    if (batch->received < 0)
        batch->received = 0;
    if (kept)
        journal_commit(&self->journal);
    assert(batch->received >= 0 && batch->fault >= 0);
    return 0;
}

static int limit_of(int at_most)
{
    int limit = at_most < 1 ? 1 : at_most < PACKETS ? at_most : PACKETS;
    assert(limit >= 1 && limit <= PACKETS);
    return limit;
}

PyObject *core_read(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    int fd, at_most;
    struct batch batch;
    if (!PyArg_ParseTuple(args, "ii:read", &fd, &at_most) || refuse_reentry(self))
        return NULL; /* before the read, because datagrams that are read and not counted are lost */
    if (read_batch(self, fd, limit_of(at_most), 0, NULL, &batch))
        return NULL;
    assert(batch.received >= 0 && batch.received <= PACKETS);
    long long bytes = 0;
    self->table.to_learn = LEARNED_AT_ONCE;
    for (int index = 0; index < batch.received; index++) {
        assert(batch.messages[index].msg_len <= MAX_DATAGRAM);
        bytes += batch.messages[index].msg_len;
        if (count(self, batch.places[index].iov_base, batch.messages[index].msg_len, batch.stamp))
            return NULL;
    }
    return Py_BuildValue("(iLi)", batch.received, bytes, batch.fault);
}

/* One datagram: its bytes, whether it was cut, the address and the credentials of its sender. */
static PyObject *datagram_of(const struct mmsghdr *message)
{
    const struct msghdr *header = &message->msg_hdr;
    const char *credentials = NULL;
    Py_ssize_t length = 0;
    assert(header->msg_iovlen == 1);
    assert(message->msg_len <= MAX_DATAGRAM);
    const struct cmsghdr *control = CMSG_FIRSTHDR(header);
    if (control != NULL && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_CREDENTIALS
        && control->cmsg_len == CMSG_LEN(CREDENTIALS)) {
        credentials = (const char *)CMSG_DATA(control);
        length = CREDENTIALS;
    }
    return Py_BuildValue("(y#Ny#y#)", header->msg_iov->iov_base, (Py_ssize_t)message->msg_len,
        PyBool_FromLong(header->msg_flags & MSG_TRUNC), header->msg_namelen ? header->msg_name : "",
        (Py_ssize_t)header->msg_namelen, credentials ? credentials : "", length);
}

PyObject *core_receive(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    int fd, at_most;
    unsigned kind;
    struct sender senders[PACKETS];
    struct batch batch;
    if (!PyArg_ParseTuple(args, "iiI:receive", &fd, &at_most, &kind) || refuse_reentry(self))
        return NULL;
    if (kind > UINT8_MAX) {
        PyErr_SetString(PyExc_ValueError, "a kind is a number below 256");
        return NULL;
    }
    if (read_batch(self, fd, limit_of(at_most), kind, senders, &batch))
        return NULL;
    assert(batch.received >= 0 && batch.received <= PACKETS);
    PyObject *packets = PyList_New(0);
    assert(packets != NULL || PyErr_Occurred());
    for (int index = 0; packets != NULL && index < batch.received; index++) {
        PyObject *packet = datagram_of(&batch.messages[index]);
        if (packet == NULL || PyList_Append(packets, packet))
            Py_CLEAR(packets);
        Py_XDECREF(packet);
    }
    return packets == NULL ? NULL : Py_BuildValue("(Ni)", packets, batch.fault);
}

PyObject *core_open_journal(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    PyObject *map, *make_room;
    int fd = -1;
    long long first = 0;
    if (!PyArg_ParseTuple(args, "OO|iL:open_journal", &map, &make_room, &fd, &first) || refuse_reentry(self))
        return NULL;
    close_journal(self);
    if (fd >= 0 && make_packets(self))
        return PyErr_NoMemory();
    if (PyObject_GetBuffer(map, &self->map, PyBUF_WRITABLE))
        return NULL;
    if (self->map.len < JOURNAL_RECORDS || ((uintptr_t)self->map.buf & 7) != 0) {
        close_journal(self);
        PyErr_SetString(PyExc_ValueError, "the map is too small for a journal");
        return NULL;
    }
    Py_INCREF(make_room);
    self->make_room = make_room;
    self->journal = (struct journal){.map = self->map.buf, .fd = fd, .first = first, .staging = self->packets};
    assert(self->journal.map != NULL);
    assert(self->journal.end == NULL);
    Py_RETURN_NONE;
}

PyObject *core_aim_journal(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    unsigned word;
    unsigned long long room;
    if (!PyArg_ParseTuple(args, "IK:aim_journal", &word, &room) || refuse_reentry(self))
        return NULL;
    self->journal.end = NULL;
    assert(self->journal.map == NULL || self->map.len >= JOURNAL_RECORDS);
    if (word == 0)
        Py_RETURN_NONE;
    if (self->journal.map == NULL || word >= JOURNAL_WORDS || room > (unsigned long long)self->map.len) {
        PyErr_SetString(PyExc_ValueError, "the journal has no such place");
        return NULL;
    }
    uint64_t *end = (uint64_t *)(void *)self->journal.map + word;
    if (*end < JOURNAL_RECORDS || *end > room) {
        PyErr_SetString(PyExc_ValueError, "the journal does not end in its room");
        return NULL;
    }
    self->journal.end = end;
    self->journal.room = room;
    self->journal.low = 0;
    assert(journal_has_room(&self->journal, 0));
    Py_RETURN_NONE;
}

PyObject *core_finish_journal(PyObject *object, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)object;
    assert(self->journal.map != NULL || self->journal.end == NULL);
    if (self->journal.end == NULL || journal_finish(&self->journal)) {
        PyErr_SetString(PyExc_ValueError, "the journal is damaged");
        return NULL;
    }
    assert(self->journal.end != NULL);
    Py_RETURN_NONE;
}

PyObject *core_keep(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    unsigned kind;
    const char *text;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "Iy#:keep", &kind, &text, &length) || refuse_reentry(self))
        return NULL;
    if (kind > UINT8_MAX || length > MAX_RECORD) {
        PyErr_SetString(PyExc_ValueError, "this is no record");
        return NULL;
    }
    int kept = keeps(self, (size_t)length + RECORD_HEAD + STAMP_RECORD);
    assert(kept <= 1);
    if (kept < 0)
        return NULL;
    assert(!kept || journal_has_room(&self->journal, (size_t)length + RECORD_HEAD));
    if (kept)
        journal_append(&self->journal, kind, text, (size_t)length, stamp_of_now(self));
    return PyBool_FromLong(kept);
}

void close_journal(Core *self)
{
    assert(!self->counting);
    self->journal = (struct journal){0};
    Py_CLEAR(self->make_room);
    if (self->map.obj != NULL)
        PyBuffer_Release(&self->map);
    assert(self->map.obj == NULL);
}

PyObject *core_close_journal(PyObject *object, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)object;
    if (refuse_reentry(self))
        return NULL;
    close_journal(self);
    assert(self->journal.map == NULL && self->journal.end == NULL);
    assert(self->make_room == NULL);
    Py_RETURN_NONE;
}
