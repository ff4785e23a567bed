/* Counts lines: the hot part. The table itself is in table.c. */
#include "lines.h"

#include "bytes.h"
#include "gauges.h"

enum {
    MAX_SAMPLES = 100000000, /* of a series between two takes; one more line may exceed it */
    MAX_LINE = 1 << 20, /* bytes; a line has at most half as many values */
    AHEAD = 16, /* lines that are read before the first of them is counted */
};

static_assert(MAX_SAMPLES + MAX_LINE / 2 < 170000000, "no total of values below 10^30 leaves 128 bits");

struct sums {
    int64_t samples;
    wide total, low, high;
    struct number lowest, highest; /* low and high as sent; with one sample, only the first of them is set */
};

/* A line that was read and is not counted yet. */
struct line {
    const char *text, *after; /* where it begins, and where its newline is or would be */
    const char *end; /* without a carriage return */
    const char *colon; /* NULL without one, and when the line is too long */
    const char *tail; /* NULL when its values are no numbers in usual forms; then the fields below are not set */
    uint64_t hash;
    struct sums sums;
};

/* Reads packed values up to the bar that ends them. Returns where the tail begins, or NULL. */
static inline const char *read_values(const char *at, const char *end, struct sums *sums)
{
    struct number number;
    at = read_number(at, end, &sums->lowest);
    if (at == NULL || at == end)
        return NULL;
    sums->samples = 1;
    sums->total = sums->low = sums->high = wide_of(&sums->lowest);
    if (*at == ':') /* a copy of what was just stored in pieces waits for them, so usual lines make none */
        sums->highest = sums->lowest;
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

static inline uint64_t hash_of(
    const struct table *table, const char *name, const char *colon, const char *tail, const char *end)
{
    assert(name <= colon);
    assert(colon < tail && tail <= end);
    return hash_bytes(tail, (size_t)(end - tail), hash_bytes(name, (size_t)(colon - name), table->seed));
}

static inline struct series *find_series(struct table *table, uint64_t hash, const char *name, size_t name_length,
    const char *tail, size_t tail_length, int *failed)
{
    assert(table->slot_count == 0 || table->series_count <= table->slot_count / SLOTS);
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

/* Counts a line of so many samples. */
static inline void touch(struct table *table, struct series *series, int64_t samples)
{
    assert(series >= table->series && series < table->series + table->series_count);
    assert(samples > 0);
    if (series->lines == 0) {
        assert(table->touched_count < table->series_count);
        table->touched[table->touched_count++] = (uint32_t)(series - table->series);
        series->samples = 0;
    }
    series->lines++;
    series->samples += samples;
}

static inline void add(struct table *table, struct series *series, const struct sums *sums)
{
    assert(series->form == SUMS || series->form == SPREAD);
    assert(sums->low <= sums->high);
    if (series->lines == 0) {
        series->total = 0;
        series->low = sums->low;
        series->high = sums->high;
    }
    touch(table, series, sums->samples);
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
    assert(series->form == SPREAD && sums->samples > 0);
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

/* Counts the line of a gauge as the last one. Returns 1, 0 when the whole grammar must look at it, -1 without memory. */
static int count_gauge(struct table *table, struct series *series, const char *value, size_t length, int64_t samples)
{
    assert(series->form == GAUGE || series->form == SIGNED_GAUGE);
    assert(samples > 0);
    if (samples > 1 || (series->form == GAUGE && (*value == '+' || *value == '-')))
        return 0;
    if (let_wait(table, series, value, length))
        return -1;
    touch(table, series, 1);
    return 1;
}

/* Counts the line of a set, in the same way. */
static int count_set(struct table *table, struct series *series, const char *member, size_t length)
{
    assert(series->form == SET);
    assert(series >= table->series);
    if (length < 1 || length > LONGEST_MEMBER)
        return 0;
    uint32_t index = (uint32_t)(series - table->series);
    int result = count_member(&table->members, &series->set, index, member, length, table->seed);
    if (result > 0)
        touch(table, series, 1);
    return result;
}

/* Where the tail begins of the line of a set, whose member need not be a number. NULL when it is none. */
static const char *tail_of_set(const char *member, const char *end)
{
    assert(member <= end);
    const char *bar = memchr(member, '|', (size_t)(end - member));
    if (bar == NULL || end - bar < 2 || bar[1] != 's' || (end - bar > 2 && bar[2] != '|'))
        return NULL;
    assert(bar < end);
    return bar + 1;
}

static inline int count_numbers(
    struct table *table, struct series *series, const char *values, const char *end, const struct sums *sums)
{
    assert(sums->samples > 0);
    if (sums->low <= -series->limit || sums->high >= series->limit)
        return 0;
    if (series->form == SPREAD) {
        int result = count_buckets(table, series, values, end, sums);
        table->full |= result == 0;
        if (result <= 0)
            return result;
    } else if (series->form != SUMS)
        return count_gauge(table, series, values, (size_t)(end - values), sums->samples);
    add(table, series, sums);
    assert(series->low > -series->limit && series->high < series->limit);
    return 1;
}

/* The series of a line. Returns NULL when its lines are not counted, or after a failure; then it sets ``failed``. */
static inline struct series *series_of(struct table *table, uint64_t hash, const char *line, const char *colon,
    const char *tail, const char *end, int *failed)
{
    assert(line <= colon && colon < tail && tail <= end);
    struct series *series = find_series(table, hash, line, (size_t)(colon - line), tail, (size_t)(end - tail), failed);
    if (series == NULL || series->limit == 0 || (series->lines && series->samples >= MAX_SAMPLES))
        return NULL;
    assert(series->meaning != NULL);
    return series;
}

/* Counts a line without a number, which may be that of a set. Returns what count_line does. */
static int count_text(struct table *table, const char *line, const char *colon, const char *end)
{
    assert(line <= colon && colon < end);
    const char *tail = tail_of_set(colon + 1, end);
    int failed = 0;
    if (tail == NULL)
        return 0;
    struct series *series = series_of(table, hash_of(table, line, colon, tail, end), line, colon, tail, end, &failed);
    if (series == NULL || series->form != SET)
        return -failed;
    return count_set(table, series, colon + 1, (size_t)(tail - colon) - 2);
}

/* Reads a line up to ``all``. Returns where the next one begins. */
static inline const char *read_line(const struct table *table, const char *text, const char *all, struct line *line)
{
    assert(text < all);
    const char *newline = memchr(text, '\n', (size_t)(all - text));
    line->text = text;
    line->after = newline ? newline : all;
    line->end = line->after > text && line->after[-1] == '\r' ? line->after - 1 : line->after;
    line->colon = line->tail = NULL;
    ptrdiff_t length = line->end - text;
    if (length > 0 && length <= MAX_LINE)
        line->colon = memchr(text, ':', (size_t)length);
    if (line->colon != NULL)
        line->tail = read_values(line->colon + 1, line->end, &line->sums);
    if (line->tail != NULL) {
        line->hash = hash_of(table, text, line->colon, line->tail, line->end);
        if (table->slot_count)
            __builtin_prefetch(&table->slots[(uint32_t)line->hash & (table->slot_count - 1)]);
    }
    assert(line->end >= text);
    return newline ? newline + 1 : all;
}

/* Lets the processor bring into its cache what these lines will need, all of it at once. After a pause it has little of
 * it, and to wait for one thing after the other takes longer than to count. */
static inline void fetch(const struct table *table, const struct line *lines, int count)
{
    assert(count >= 1 && count <= AHEAD);
    assert(table->slot_count > 0);
    const uint32_t mask = table->slot_count - 1;
    for (int number = 0; number < count; number++) {
        uint32_t index = lines[number].tail ? table->slots[(uint32_t)lines[number].hash & mask] : 0;
        if (index) {
            const char *series = (const char *)&table->series[index - 1];
            __builtin_prefetch(series);
            __builtin_prefetch(series + 64);
            __builtin_prefetch(series + sizeof(struct series) - 1);
        }
    }
    for (int number = 0; number < count; number++) {
        uint32_t index = lines[number].tail ? table->slots[(uint32_t)lines[number].hash & mask] : 0;
        if (index == 0)
            continue;
        const struct series *series = &table->series[index - 1];
        __builtin_prefetch(table->keys + series->key);
        if (series->buckets.noted != NULL)
            __builtin_prefetch(series->buckets.noted + series->buckets.samples, 1);
    }
}

/* Returns 1 when the line was counted, 0 when it must be left, -1 after a failure. */
static inline int count_line(struct table *table, const struct line *line)
{
    assert(line->text <= line->end);
    int failed = 0;
    if (line->colon == NULL)
        return line->text == line->end; /* an empty line needs no count */
    if (line->tail == NULL)
        return count_text(table, line->text, line->colon, line->end);
    struct series *series = series_of(table, line->hash, line->text, line->colon, line->tail, line->end, &failed);
    if (series == NULL)
        return -failed;
    assert(line->colon < line->tail);
    if (series->form == SET)
        return count_set(table, series, line->colon + 1, (size_t)(line->tail - line->colon) - 2);
    return count_numbers(table, series, line->colon + 1, line->tail - 1, &line->sums);
}

/* Leaves a line that was read. What waits of gauges comes before it, unless the line cannot change one. */
static int leave_line(struct table *table, const char *line, size_t length)
{
    assert(length > 0);
    assert(table->waiting_count <= table->series_count);
    if (table->waiting_count && may_change_gauges(line, length) && leave_gauges(table))
        return -1;
    return leave(table, line, length);
}

int table_count(struct table *table, const char *text, size_t length)
{
    assert(table->learn != NULL);
    assert(text != NULL || length == 0);
    const char *all = length ? text + length : text;
    struct line lines[AHEAD];
    while (text < all) {
        int count = 0;
        for (; count < AHEAD && text < all; count++)
            text = read_line(table, text, all, &lines[count]);
        if (table->slot_count)
            fetch(table, lines, count);
        for (const struct line *line = lines; line < lines + count; line++) {
            int result = count_line(table, line);
            if (result < 0 || (result == 0 && leave_line(table, line->text, (size_t)(line->after - line->text))))
                return -1;
        }
    }
    assert(text == all);
    assert(table->touched_count <= table->series_count);
    return 0;
}
