/* The byte loops under tap.pyx: the end of a line, and in the same pass a name worth a closer look.
 * Every function takes [p, end) and never reads at or behind end. */
#ifndef EDGE_TAP_KERNEL_H
#define EDGE_TAP_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(EDGE_SCAN_PORTABLE)
#include <emmintrin.h>
#define EDGE_TAP_SSE2 1
#endif

/* At a quote: does "finish_reason" begin here as the name of anything but null? Most chunks say null, and are not worth
 * a look into their choices. */
static inline unsigned edge_finishes(const char *p, const char *end)
{
    if (end - p < 17 || memcmp(p, "\"finish_reason\"", 15) != 0)
        return 0;
    for (p += 15; p < end && (*p == ' ' || *p == '\t'); p++) {}
    if (p == end || *p++ != ':')
        return 0;
    for (; p < end && (*p == ' ' || *p == '\t'); p++) {}
    return p < end && *p != 'n';
}

/* The first CR or LF, end when there is none; *seen: a choice may finish in this line. */
static inline const char *edge_line(const char *p, const char *end, unsigned *seen)
{
#ifdef EDGE_TAP_SSE2
    for (; end - p > 16; p += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)p);
        const __m128i next = _mm_loadu_si128((const __m128i *)(p + 1));
        const __m128i breaks = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')),
                                            _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
        const __m128i name = _mm_and_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                           _mm_cmpeq_epi8(next, _mm_set1_epi8('f')));
        if (_mm_movemask_epi8(_mm_or_si128(breaks, name)) == 0)
            continue;
        const unsigned line = (unsigned)_mm_movemask_epi8(breaks);
        unsigned names = (unsigned)_mm_movemask_epi8(name);
        if (line)
            names &= (line & -line) - 1;
        for (; names; names &= names - 1)
            *seen |= edge_finishes(p + __builtin_ctz(names), end);
        if (line)
            return p + __builtin_ctz(line);
    }
#endif
    for (; p < end && *p != '\n' && *p != '\r'; p++)
        if (*p == '"')
            *seen |= edge_finishes(p, end);
    return p;
}

/* The quote that ends a string of plain ASCII; NULL where anything else comes first, or no quote. */
static inline const char *edge_plain(const char *p, const char *end)
{
    for (; p < end; p++) {
        const unsigned char c = (unsigned char)*p;
        if (c == '"')
            return p;
        if (c < 0x20 || c >= 0x7f || c == '\\')
            return NULL;
    }
    return NULL;
}

/* Is there an empty line that ends behind p? What stands before p was looked at by an earlier call and holds
 * none; p itself may split one, so the search begins up to three bytes before it. */
static inline int edge_has_empty_line(const char *start, const char *p, const char *end)
{
    unsigned unused = 0;
    p = p - start > 3 ? p - 3 : start;
    if (p == start && p < end && (*p == '\n' || *p == '\r'))
        return 1;
    while ((p = edge_line(p, end, &unused)) < end) {
        if (*p == '\r' && end - p > 1 && p[1] == '\n')
            p++;
        p++;
        if (p < end && (*p == '\n' || *p == '\r'))
            return 1;
    }
    return 0;
}

#endif
