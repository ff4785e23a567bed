#include "journal.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

enum { PENDING = 1, KIND = 2, COUNT = 3, STAMPED = 7, NOT_STAMPED = 15 }; /* words of the map */

static_assert(sizeof(struct mmsghdr) * PACKETS <= JOURNAL_SLOTS - JOURNAL_MESSAGES, "the lengths stay in their place");
static_assert(STRIDE >= MAX_DATAGRAM && JOURNAL_RECORDS % 4096 == 0, "a datagram stays in its own place");
static_assert(MAX_DATAGRAM <= MAX_RECORD, "a datagram is one record");
static_assert(PACKETS * (RECORD_HEAD + MAX_DATAGRAM) + STAMP_RECORD <= STAGING, "the records of one read are staged");

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

static uint64_t guarded(uint64_t number)
{
    assert(number <= UINT32_MAX);
    uint64_t word = number | ~number << 32;
    assert((uint32_t)word == number);
    return word;
}

/* The number in a word, or a larger one than any when the word is damaged. */
static uint64_t number_in(uint64_t word)
{
    uint64_t number = word & UINT32_MAX;
    assert(number <= UINT32_MAX);
    return word == guarded(number) ? number : UINT64_MAX;
}

static uint64_t eight(const char *text)
{
    uint64_t value;
    assert(text != NULL);
    memcpy(&value, text, sizeof value);
    return value;
}

/* Each step is a bijection of what it takes, so a change of one word of the text always changes the state. Four states
 * side by side, because a multiplication takes four cycles. */
static uint32_t check_of(uint64_t seed, const char *text, size_t length)
{
    const uint64_t odd = 0x9E3779B97F4A7C15u;
    assert(length >= 1 && length <= MAX_RECORD);
    assert(text != NULL);
    uint64_t a = seed * odd, b = a + odd, c = b + odd, d = c + odd, last = 0;
    for (; length >= 32; length -= 32, text += 32) {
        a = (a ^ eight(text)) * odd;
        b = (b ^ eight(text + 8)) * odd;
        c = (c ^ eight(text + 16)) * odd;
        d = (d ^ eight(text + 24)) * odd;
    }
    for (; length >= 8; length -= 8, text += 8) {
        a = (a ^ eight(text)) * odd;
        a ^= a >> 29;
    }
    memcpy(&last, text, length);
    a = (a ^ last) * odd;
    a = (a ^ a >> 32 ^ b) * odd;
    a = (a ^ a >> 32 ^ c) * odd;
    a = (a ^ a >> 32 ^ d) * odd;
    return (uint32_t)(a >> 32 ^ a);
}

static uint64_t seed_of(uint32_t head, uint64_t offset, uint64_t generation)
{
    assert(offset >= JOURNAL_RECORDS);
    assert(offset <= UINT32_MAX);
    return (offset << 32 | head) ^ generation * 0xD6E8FEB86659FD93u;
}

/* Records that are made before they are appended together. */
struct records {
    char *bytes; /* in the staging room, or in their place in the map */
    size_t length;
};

/* ``most`` is how many bytes they may have, or a little more. */
static struct records begin_records(const struct journal *journal, size_t most)
{
    assert(journal->end != NULL);
    assert(journal->fd < 0 || journal->staging != NULL);
    int staged = journal->fd >= 0 && most >= BY_WRITE && most <= STAGING;
    return (struct records){staged ? journal->staging : journal->map + *journal->end, 0};
}

static void put(const struct journal *journal, struct records *records, unsigned kind, const char *text, size_t length)
{
    assert(length <= MAX_RECORD);
    assert(kind <= UINT8_MAX);
    uint32_t head[2] = {(uint32_t)length | (uint32_t)kind << 24, 0};
    head[1] = check_of(seed_of(head[0], *journal->end + records->length, journal->end[-1]), text, length);
    char *at = records->bytes + records->length;
    memcpy(at, head, RECORD_HEAD);
    memcpy(at + RECORD_HEAD, text, length);
    records->length += RECORD_HEAD + length;
}

static void put_stamp(const struct journal *journal, struct records *records, int64_t stamp)
{
    assert(records->bytes != NULL);
    assert(stamp > 0);
    char bytes[sizeof stamp];
    memcpy(bytes, &stamp, sizeof stamp);
    put(journal, records, STAMP, bytes, sizeof bytes);
}

/* Makes the records those of the file. What pwrite does not take whole goes into the map. */
static void append(struct journal *journal, const struct records *records)
{
    char *place = journal->map + *journal->end;
    assert(*journal->end + records->length <= journal->room);
    if (records->bytes != place && records->length > 0) {
        off_t offset = (off_t)journal->first + (off_t)*journal->end;
        ssize_t written = pwrite(journal->fd, records->bytes, records->length, offset);
        if (written != (ssize_t)records->length)
            memcpy(place, records->bytes, records->length);
    }
    in_this_order();
    *journal->end += records->length;
    assert(journal_has_room(journal, 0));
}

void journal_append(struct journal *journal, unsigned kind, const char *text, size_t length, int64_t stamp)
{
    assert(journal_has_room(journal, RECORD_HEAD + length + (stamp ? STAMP_RECORD : 0)));
    if (length == 0)
        return;
    struct records records = begin_records(journal, RECORD_HEAD + length + STAMP_RECORD);
    if (stamp)
        put_stamp(journal, &records, stamp);
    put(journal, &records, kind, text, length);
    append(journal, &records);
}

void journal_begin(struct journal *journal, unsigned kind, int count, int64_t stamp)
{
    assert(count >= 1 && count <= PACKETS && stamp >= 0);
    assert(journal_has_room(journal, (size_t)count * (RECORD_HEAD + MAX_DATAGRAM) + STAMP_RECORD));
    uint64_t *word = words(journal);
    word[STAMPED] = (uint64_t)stamp;
    word[NOT_STAMPED] = ~word[STAMPED];
    word[KIND] = guarded(kind);
    word[COUNT] = guarded((uint64_t)count);
    /* The kernel cannot read into a page that it must first bring in, when a kill comes at that moment. */
    for (int index = 0; index < count; index++)
        *(volatile char *)(journal->map + JOURNAL_SLOTS + (size_t)index * STRIDE) = 0;
    assert(number_in(word[PENDING]) == 0);
    in_this_order();
    word[PENDING] = guarded(*journal->end);
    in_this_order();
}

void journal_commit(struct journal *journal)
{
    uint64_t *word = words(journal);
    const struct mmsghdr *message = messages(journal);
    const uint64_t count = number_in(word[COUNT]), kind = number_in(word[KIND]);
    assert(number_in(word[PENDING]) == *journal->end);
    assert(count <= PACKETS && kind <= UINT8_MAX);
    size_t most = STAMP_RECORD;
    for (uint64_t index = 0; index < count; index++)
        most += RECORD_HEAD + message[index].msg_len;
    struct records records = begin_records(journal, most);
    for (uint64_t index = 0, stamp = word[STAMPED]; index < count; index++) {
        size_t length = message[index].msg_len;
        if (length && stamp)
            put_stamp(journal, &records, (int64_t)stamp);
        stamp = length ? 0 : stamp;
        unsigned cut = message[index].msg_hdr.msg_flags & MSG_TRUNC ? CUT : 0;
        if (length)
            put(journal, &records, (unsigned)kind | cut, journal->map + JOURNAL_SLOTS + index * STRIDE, length);
    }
    append(journal, &records);
    in_this_order();
    word[PENDING] = guarded(0);
}

int journal_finish(struct journal *journal)
{
    const uint64_t *word = words(journal);
    assert(journal->end != NULL);
    const uint64_t pending = number_in(word[PENDING]), count = number_in(word[COUNT]);
    if (pending < *journal->end)
        return 0; /* all that was read is in */
    if (pending > *journal->end || count > PACKETS || number_in(word[KIND]) > UINT8_MAX)
        return -1;
    if (word[STAMPED] > INT64_MAX || word[STAMPED] != ~word[NOT_STAMPED])
        return -1;
    if (!journal_has_room(journal, count * (RECORD_HEAD + MAX_DATAGRAM) + STAMP_RECORD))
        return -1;
    for (uint64_t index = 0; index < count; index++) {
        if (messages(journal)[index].msg_len > MAX_DATAGRAM)
            return -1;
    }
    journal_commit(journal);
    assert(number_in(word[PENDING]) == 0);
    return 0;
}

uint64_t journal_end_of(const char *map, uint64_t first, uint64_t room, uint64_t generation)
{
    assert(first >= JOURNAL_RECORDS && room <= UINT32_MAX);
    uint64_t at = first;
    while (at <= room && room - at >= RECORD_HEAD) {
        uint32_t head[2];
        memcpy(head, map + at, RECORD_HEAD);
        size_t length = head[0] & MAX_RECORD;
        if (length == 0 || room - at - RECORD_HEAD < length)
            break;
        if (head[1] != check_of(seed_of(head[0], at, generation), map + at + RECORD_HEAD, length))
            break;
        at += RECORD_HEAD + length;
    }
    assert(at >= first);
    assert(at == first || at <= room);
    return at;
}
