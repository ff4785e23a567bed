#include "histogram_text.h"

#include "protocol/histogram.h"

#include <assert.h>

static int digit_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    return letter == '-' ? 62 : letter == '_' ? 63 : -1;
}

size_t read_base64(const char *text, size_t length, unsigned char *bytes)
{
    assert(text != NULL && bytes != NULL);
    uint32_t bits = 0;
    int held = 0;
    size_t made = 0;
    for (size_t index = 0; index < length; index++) {
        int digit = digit_of(text[index]);
        if (digit < 0)
            return 0;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[made++] = (unsigned char)(bits >> held);
            bits &= ((uint32_t)1 << held) - 1;
        }
    }
    assert(made <= length * 3 / 4);
    return held < 6 && bits == 0 ? made : 0; /* else a digit too many, or bits that no byte holds */
}

int fits_summary(const char *text, size_t length, int64_t total, int64_t low, int64_t high)
{
    assert(text != NULL && length <= MAX_HISTOGRAM_TEXT);
    assert(total > 0 && low <= high);
    unsigned char bytes[MAX_HISTOGRAM_TEXT];
    struct span span;
    size_t size = read_base64(text, length, bytes);
    return size > 0 && check_histogram(bytes, size, &span) == 0 && span.total == (uint64_t)total
        && span.first == bucket_of(low) && span.last == bucket_of(high);
}
