#include "mirror.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

static enum mirrored reason_of(int fault)
{
    assert(fault > 0);
    assert(fault != EINTR); /* a call that does not wait is not interrupted */
    if (fault == ECONNREFUSED)
        return REFUSED;
    if (fault == EAGAIN || fault == EWOULDBLOCK || fault == ENOBUFS)
        return BUFFER_FULL;
    return fault == EMSGSIZE ? TOO_LONG : FAILED;
}

void hand_on(struct mirror *mirror, const char *bytes, size_t length)
{
    assert(bytes != NULL && mirror->fd >= NO_MIRROR);
    if (mirror->fd == NO_MIRROR)
        return;
    if (mirror->fd == NOT_OPEN) {
        mirror->counts[NO_SOCKET]++;
        return;
    }
    ssize_t sent = send(mirror->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == ECONNREFUSED) { /* an earlier datagram was refused, and this one was not sent */
        mirror->counts[SENT]--;
        mirror->counts[REFUSED]++;
        sent = send(mirror->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    mirror->counts[sent < 0 ? reason_of(errno) : SENT]++;
    assert(sent < 0 || (size_t)sent == length);
}
