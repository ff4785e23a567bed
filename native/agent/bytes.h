/* Short texts of bytes: compared and hashed eight bytes at a time. */
#ifndef FIESTA_BYTES_H
#define FIESTA_BYTES_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
    if (length == 1) /* as most tails are */
        return (unsigned char)*bytes;
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
    if (length < 8)
        return load_few(one, length) == load_few(other, length);
    for (size_t at = 0; at + 8 < length; at += 8)
        if (load(one + at) != load(other + at))
            return 0;
    return load(one + length - 8) == load(other + length - 8);
}

/* Makes room for ``size`` bytes. Returns -1 when there is no memory; then nothing has changed. */
static inline int grow(void **array, size_t size)
{
    assert(array != NULL);
    assert(size > 0);
    void *larger = realloc(*array, size);
    if (larger == NULL)
        return -1;
    *array = larger;
    return 0;
}

#endif
