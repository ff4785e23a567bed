#include "journal.h"

#include <assert.h>
#include <string.h>

enum { PENDING = 1, KIND = 2, COUNT = 3 }; /* words of the map */

static_assert(sizeof(struct mmsghdr) * PACKETS <= JOURNAL_SLOTS - JOURNAL_MESSAGES, "the lengths stay in their place");
static_assert(STRIDE >= MAX_DATAGRAM && JOURNAL_RECORDS % 4096 == 0, "a datagram stays in its own place");
static_assert(MAX_DATAGRAM <= MAX_RECORD, "a datagram is one record");

/* A killed process leaves its memory as its instructions left it. So only the compiler must keep the order. */
static inline void in_this_order(void)
{
    __asm__ volatile("" ::: "memory");
}

static uint64_t *words(const struct journal *journal)
{
    assert(journal->map != NULL);
    assert(((uintptr_t)journal->map & 7) == 0);
    return (uint64_t *)(void *)journal->map;
}

static struct mmsghdr *messages(const struct journal *journal)
{
    assert(journal->map != NULL);
    assert(((uintptr_t)journal->map & 7) == 0);
    return (struct mmsghdr *)(void *)(journal->map + JOURNAL_MESSAGES);
}

int journal_has_room(const struct journal *journal, size_t bytes)
{
    if (journal->end == NULL)
        return 0;
    assert(*journal->end >= JOURNAL_RECORDS);
    assert(*journal->end <= journal->room);
    return journal->room - *journal->end >= bytes;
}

static char *put(char *at, unsigned kind, const char *text, size_t length)
{
    assert(length <= MAX_RECORD);
    assert(kind <= UINT8_MAX);
    uint32_t head = (uint32_t)length | (uint32_t)kind << 24;
    memcpy(at, &head, RECORD_HEAD);
    memcpy(at + RECORD_HEAD, text, length);
    return at + RECORD_HEAD + length;
}

void journal_append(struct journal *journal, unsigned kind, const char *text, size_t length)
{
    assert(journal_has_room(journal, RECORD_HEAD + length));
    char *after = put(journal->map + *journal->end, kind, text, length);
    in_this_order();
    *journal->end = (uint64_t)(after - journal->map);
    assert(*journal->end <= journal->room);
}

void journal_begin(struct journal *journal, unsigned kind, int count)
{
    assert(count >= 1 && count <= PACKETS);
    assert(journal_has_room(journal, (size_t)count * (RECORD_HEAD + MAX_DATAGRAM)));
    uint64_t *word = words(journal);
    word[KIND] = kind;
    word[COUNT] = (uint64_t)count;
    /* The kernel cannot read into a page that it must first bring in, when a kill comes at that moment. */
    for (int index = 0; index < count; index++)
        *(volatile char *)(journal->map + JOURNAL_SLOTS + (size_t)index * STRIDE) = 0;
    assert(word[PENDING] == 0);
    in_this_order();
    word[PENDING] = *journal->end;
    in_this_order();
}

void journal_commit(struct journal *journal)
{
    uint64_t *word = words(journal);
    const struct mmsghdr *message = messages(journal);
    char *at = journal->map + *journal->end;
    assert(word[PENDING] == *journal->end);
    assert(word[COUNT] <= PACKETS && word[KIND] <= UINT8_MAX);
    for (uint64_t index = 0; index < word[COUNT]; index++) {
        size_t length = message[index].msg_len;
        unsigned cut = message[index].msg_hdr.msg_flags & MSG_TRUNC ? CUT : 0;
        if (length)
            at = put(at, (unsigned)word[KIND] | cut, journal->map + JOURNAL_SLOTS + index * STRIDE, length);
    }
    assert((uint64_t)(at - journal->map) <= journal->room);
    in_this_order();
    *journal->end = (uint64_t)(at - journal->map);
    in_this_order();
    word[PENDING] = 0;
}

int journal_finish(struct journal *journal)
{
    const uint64_t *word = words(journal);
    assert(journal->end != NULL);
    if (word[PENDING] != *journal->end)
        return 0; /* all that was read is in */
    if (word[COUNT] > PACKETS || word[KIND] > UINT8_MAX)
        return -1;
    if (!journal_has_room(journal, word[COUNT] * (RECORD_HEAD + MAX_DATAGRAM)))
        return -1;
    for (uint64_t index = 0; index < word[COUNT]; index++) {
        if (messages(journal)[index].msg_len > MAX_DATAGRAM)
            return -1;
    }
    journal_commit(journal);
    assert(word[PENDING] == 0);
    return 0;
}
