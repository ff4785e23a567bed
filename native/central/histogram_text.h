/* Histograms as the text of an item: base64url without padding. Knows nothing of Python. */
#ifndef FIESTA_HISTOGRAM_TEXT_H
#define FIESTA_HISTOGRAM_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { MAX_HISTOGRAM_TEXT = 8192 }; /* longer ones are rare and left to plain Python */

/* How many bytes the text stands for. Stores them in ``bytes``. 0 if the text is not base64url without padding. */
size_t read_base64(const char *text, size_t length, unsigned char *bytes);

/* Whether the text is a histogram whose weights add up to ``total``, with ``low`` in its first bucket and ``high`` in its
 * last one. All are in units. */
int fits_summary(const char *text, size_t length, int64_t total, int64_t low, int64_t high);

#endif
