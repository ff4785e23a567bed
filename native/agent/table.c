#include "table.h"

#include "number.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SERIES = 1 << 17,
    MAX_KEYS = 16 << 20,
    MAX_KEY = 1024,
    FIRST_SERIES = 256,
    SLOTS = 4, /* per series; with 2 of them a look-up finds others' series more often, and takes 10 % longer */
    MAX_SAMPLES = 100000000, /* of a series between two takes; one more line may exceed it */
    MAX_LINE = 1 << 20, /* bytes; a line has at most half as many values */
};

static_assert(MAX_KEY <= UINT16_MAX && MAX_KEYS <= UINT32_MAX, "a series holds its lengths and its place");
static_assert((MAX_SERIES & (MAX_SERIES - 1)) == 0 && MAX_SERIES % FIRST_SERIES == 0, "rooms double up to the last");
static_assert(MAX_SAMPLES + MAX_LINE / 2 < 170000000, "no total of values below 10^30 leaves 128 bits");

struct sums {
    int64_t samples;
    wide total, low, high;
    struct number lowest, highest; /* low and high as sent */
};

/* Reads packed values up to the bar that ends them. Returns where the tail begins, or NULL. */
static inline const char *read_values(const char *at, const char *end, struct sums *sums)
{
    struct number number;
    at = read_number(at, end, &number);
    if (at == NULL || at == end)
        return NULL;
    sums->samples = 1;
    sums->total = sums->low = sums->high = wide_of(&number);
    sums->lowest = sums->highest = number;
    while (*at == ':') {
        at = read_number(at + 1, end, &number);
        if (at == NULL || at == end)
            return NULL;
        wide value = wide_of(&number);
        sums->samples++;
        sums->total += value;
        if (value < sums->low) {
            sums->low = value;
            sums->lowest = number;
        }
        if (value > sums->high) {
            sums->high = value;
            sums->highest = number;
        }
    }
    assert(at < end && sums->samples > 0);
    assert(sums->low <= sums->high);
    return *at == '|' ? at + 1 : NULL;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes. */
static inline uint64_t load(const char *bytes)
{
    uint64_t word;
    assert(bytes != NULL);
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Fewer than eight bytes: different ones of the same length give different numbers. */
static inline uint64_t load_few(const char *bytes, size_t length)
{
    assert(bytes != NULL);
    assert(length < 8);
    if (length >= 4) {
        uint32_t first, last; /* these overlap */
        memcpy(&first, bytes, sizeof first);
        memcpy(&last, bytes + length - sizeof last, sizeof last);
        return first | (uint64_t)last << 32;
    }
    if (length == 0)
        return 0;
    const unsigned char *byte = (const unsigned char *)bytes;
    return byte[0] | (uint64_t)byte[length / 2] << 8 | (uint64_t)byte[length - 1] << 16;
}

static inline uint64_t hash_bytes(const char *bytes, size_t length, uint64_t hash)
{
    assert(bytes != NULL);
    size_t left = length;
    for (; left > 8; bytes += 8, left -= 8)
        hash = mix(hash ^ load(bytes), 0x9e3779b97f4a7c15ULL);
    uint64_t word = left == 8 ? load(bytes) : length > 8 ? load(bytes + left - 8) : load_few(bytes, left);
    assert(left <= 8);
    return mix(hash ^ word, 0xd6e8feb86659fd93ULL ^ length);
}

/* Whether two texts of one length are the same. A call of memcmp takes longer for texts that are as short as names. */
static inline int same(const char *one, const char *other, size_t length)
{
    assert(one != NULL && other != NULL);
    assert(length <= MAX_KEY);
    if (length < 8)
        return load_few(one, length) == load_few(other, length);
    for (size_t at = 0; at + 8 < length; at += 8)
        if (load(one + at) != load(other + at))
            return 0;
    return load(one + length - 8) == load(other + length - 8);
}

static int grow(void **array, size_t size)
{
    assert(array != NULL);
    assert(size > 0);
    void *larger = realloc(*array, size);
    if (larger == NULL)
        return -1;
    *array = larger;
    return 0;
}

static int grow_series(struct table *table)
{
    assert(table->series_count == table->series_room);
    assert(table->series_room < MAX_SERIES);
    uint32_t room = table->series_room ? table->series_room * 2 : FIRST_SERIES;
    uint32_t *slots = calloc((size_t)room * SLOTS, sizeof *slots);
    if (slots == NULL || grow((void **)&table->series, room * sizeof *table->series)
        || grow((void **)&table->touched, room * sizeof *table->touched)) {
        free(slots);
        return -1;
    }
    free(table->slots);
    table->slots = slots;
    table->slot_count = room * SLOTS;
    table->series_room = room;
    for (uint32_t index = 0; index < table->series_count; index++) {
        uint32_t slot = (uint32_t)table->series[index].hash & (table->slot_count - 1);
        while (slots[slot])
            slot = (slot + 1) & (table->slot_count - 1);
        slots[slot] = index + 1;
    }
    assert((table->slot_count & (table->slot_count - 1)) == 0);
    return 0;
}

static int grow_keys(struct table *table, size_t length)
{
    assert(length <= MAX_KEY && table->keys_length + length <= MAX_KEYS);
    size_t room = table->keys_room ? table->keys_room : 1 << 14;
    while (room < table->keys_length + length)
        room *= 2;
    if (room > table->keys_room && grow((void **)&table->keys, room))
        return -1;
    table->keys_room = room;
    assert(table->keys != NULL && table->keys_length + length <= table->keys_room);
    return 0;
}

/* Learns a new series. Returns NULL when there is no room, or after a failure; then it sets ``failed``. */
static struct series *make_series(struct table *table, uint64_t hash, const char *name, size_t name_length,
    const char *tail, size_t tail_length, int *failed)
{
    assert(failed != NULL && !*failed);
    size_t length = name_length + tail_length;
    if (table->full || length > MAX_KEY)
        return NULL;
    if (table->series_count == MAX_SERIES || table->keys_length + length > MAX_KEYS) {
        table->full = 1;
        return NULL;
    }
    if ((table->series_count == table->series_room && grow_series(table)) || grow_keys(table, length)) {
        *failed = 1;
        return NULL;
    }
    struct series new = {.hash = hash, .key = (uint32_t)table->keys_length, .name_length = (uint16_t)name_length,
        .tail_length = (uint16_t)tail_length};
    int64_t limit
        = table->learn(table->context, name, name_length, tail, tail_length, &new.meaning, &new.has_buckets);
    if (limit < 0) {
        *failed = 1;
        return NULL;
    }
    assert(limit <= MAX_LIMIT && (limit == 0 || new.meaning != NULL));
    assert(table->series_count < table->series_room); /* learn may do anything but count */
    new.limit = (wide)limit * POWERS[MAX_DECIMALS];
    memcpy(table->keys + new.key, name, name_length);
    memcpy(table->keys + new.key + name_length, tail, tail_length);
    table->keys_length += length;
    uint32_t slot = (uint32_t)hash & (table->slot_count - 1);
    while (table->slots[slot])
        slot = (slot + 1) & (table->slot_count - 1);
    table->series[table->series_count] = new;
    table->slots[slot] = ++table->series_count;
    return &table->series[table->series_count - 1];
}

static inline struct series *find_series(struct table *table, const char *name, size_t name_length,
    const char *tail, size_t tail_length, int *failed)
{
    assert(table->slot_count == 0 || table->series_count <= table->slot_count / SLOTS);
    uint64_t hash = hash_bytes(tail, tail_length, hash_bytes(name, name_length, table->seed));
    if (table->slot_count) {
        uint32_t mask = table->slot_count - 1, slot = (uint32_t)hash & mask, index;
        for (; (index = table->slots[slot]) != 0; slot = (slot + 1) & mask) {
            struct series *series = &table->series[index - 1];
            assert(index <= table->series_count);
            const char *key = table->keys + series->key;
            if (series->hash == hash && series->name_length == name_length && series->tail_length == tail_length
                && same(key, name, name_length) && same(key + name_length, tail, tail_length))
                return series;
        }
    }
    return make_series(table, hash, name, name_length, tail, tail_length, failed);
}

static inline void add(struct table *table, struct series *series, const struct sums *sums)
{
    assert(series >= table->series && series < table->series + table->series_count);
    if (series->lines == 0) {
        assert(table->touched_count < table->series_count);
        table->touched[table->touched_count++] = (uint32_t)(series - table->series);
        series->samples = 0;
        series->total = 0;
        series->low = sums->low;
        series->high = sums->high;
    }
    series->lines++;
    series->samples += sums->samples;
    series->total += sums->total;
    if (sums->low < series->low)
        series->low = sums->low;
    if (sums->high > series->high)
        series->high = sums->high;
}

/* Counts the values of a line by bucket: all of them, or none. Returns 1, 0 when there is no room for more buckets, -1
 * when there is no memory. ``values`` is where they begin. */
static inline int count_buckets(
    struct table *table, struct series *series, const char *values, const char *end, const struct sums *sums)
{
    assert(series->has_buckets && sums->samples > 0);
    int32_t low = bucket_of_number(&sums->lowest), high = low;
    if (sums->samples > 1)
        high = bucket_of_number(&sums->highest);
    int result = reserve_buckets(&series->buckets, low, high, sums->samples, &table->buckets_bytes);
    assert(result <= 0 || !no_buckets(&series->buckets));
    if (result <= 0)
        return result;
    if (sums->samples == 1) {
        add_to_bucket(&series->buckets, low);
        return 1;
    }
    struct number number = {0};
    for (int64_t left = sums->samples; left > 0; left--) {
        values = read_number(values, end, &number) + 1;
        add_to_bucket(&series->buckets, bucket_of_number(&number));
    }
    return 1;
}

/* Returns whether the line was counted. ``end`` is where the line ends, without its newline. */
static inline int count_line(struct table *table, const char *line, const char *end, int *failed)
{
    assert(line < end);
    struct sums sums;
    if (end - line > MAX_LINE)
        return 0;
    const char *colon = memchr(line, ':', (size_t)(end - line));
    if (colon == NULL)
        return 0;
    const char *tail = read_values(colon + 1, end, &sums);
    if (tail == NULL)
        return 0;
    assert(line <= colon && colon < tail && tail <= end);
    struct series *series
        = find_series(table, line, (size_t)(colon - line), tail, (size_t)(end - tail), failed);
    if (series == NULL || sums.low <= -series->limit || sums.high >= series->limit
        || (series->lines && series->samples >= MAX_SAMPLES))
        return 0;
    if (series->has_buckets) {
        int result = count_buckets(table, series, colon + 1, end, &sums);
        *failed |= result < 0;
        table->full |= result == 0;
        if (result <= 0)
            return 0;
    }
    add(table, series, &sums);
    assert(series->low > -series->limit && series->high < series->limit);
    return 1;
}

static int leave(struct table *table, const char *line, size_t length)
{
    assert(line != NULL && length > 0);
    if (table->left_length + length + 1 > table->left_room) {
        size_t room = (table->left_room + length + 1) * 2;
        if (grow((void **)&table->left, room))
            return -1;
        table->left_room = room;
    }
    assert(table->left != NULL && table->left_length + length < table->left_room);
    memcpy(table->left + table->left_length, line, length);
    table->left_length += length;
    table->left[table->left_length++] = '\n';
    return 0;
}

int table_count(struct table *table, const char *text, size_t length)
{
    assert(table->learn != NULL);
    assert(text != NULL || length == 0);
    const char *all = length ? text + length : text;
    int failed = 0;
    while (text < all) {
        const char *newline = memchr(text, '\n', (size_t)(all - text));
        const char *after = newline ? newline : all;
        const char *end = after > text && after[-1] == '\r' ? after - 1 : after;
        if (end > text && !count_line(table, text, end, &failed)) {
            if (failed || leave(table, text, (size_t)(after - text)))
                return -1;
        }
        text = newline ? newline + 1 : all;
    }
    assert(text == all);
    assert(table->touched_count <= table->series_count);
    return 0;
}

void table_reset(struct table *table)
{
    assert(table->touched_count <= table->series_count);
    for (uint32_t index = 0; index < table->touched_count; index++) {
        struct series *series = &table->series[table->touched[index]];
        assert(table->touched[index] < table->series_count);
        series->lines = 0;
        series->buckets = (struct buckets){0};
    }
    table->touched_count = 0;
    table->left_length = 0;
    table->buckets_bytes = 0;
}

void table_free_buckets(struct table *table)
{
    assert(table->series != NULL || table->series_count == 0);
    for (uint32_t index = 0; index < table->series_count; index++)
        free_buckets(&table->series[index].buckets);
    table->buckets_bytes = 0;
    assert(table->buckets_bytes == 0);
}

void table_empty(struct table *table)
{
    assert(table->touched_count <= table->series_room);
    free(table->series);
    free(table->slots);
    free(table->keys);
    free(table->touched);
    table->series = NULL;
    table->slots = NULL;
    table->keys = NULL;
    table->touched = NULL;
    table->series_count = table->series_room = table->slot_count = table->touched_count = 0;
    table->keys_length = table->keys_room = 0;
    table->full = 0;
    assert(table->slots == NULL && table->slot_count == 0);
}

void table_free(struct table *table)
{
    assert(table->left_length <= table->left_room);
    table_empty(table);
    free(table->left);
    table->left = NULL;
    table->left_length = table->left_room = 0;
    assert(table->series == NULL && table->touched_count == 0);
}
