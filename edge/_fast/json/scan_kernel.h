/* The byte loops under scan.pyx: whitespace, strings with their UTF-8, numbers.
 *
 * Every function takes [p, end) and never reads at or behind end: the text need not be followed by anything.
 * What is wrong is told through *bad, with NULL as the result: the offending byte, or the start of the
 * escape, UTF-8 sequence, literal or number that cannot stand; end when the text stops too early. Where more of the
 * text is to come, a string says in its edge_part where to read on then; whatever else ends there is read again.
 *
 * SSE2 is part of every x86-64. Elsewhere, and with EDGE_SCAN_PORTABLE (the tests build that too), plain words
 * of eight bytes do its work; everything above them is shared. Long strings have faster readers in scan_blocks.h,
 * of which edge_setup chooses by the processor.
 */
#ifndef EDGE_SCAN_KERNEL_H
#define EDGE_SCAN_KERNEL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <locale.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scan_part.h"

#if defined(__SSE2__) && !defined(EDGE_SCAN_PORTABLE)
#include <emmintrin.h>
#define EDGE_SCAN_SSE2 1
#endif

#define EDGE_LIKELY(x) __builtin_expect(!!(x), 1)
#define EDGE_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ---- whitespace: space, tab, LF, CR (RFC 8259 section 2) ---- */

static inline int edge_is_space(uint8_t c)
{
    return c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09;
}

static __attribute__((noinline)) edge_text edge_space_run(edge_text p, edge_text end)
{
#ifdef EDGE_SCAN_SSE2
    for (; end - p >= 16; p += 16) {                    /* the indentation of pretty-printed bodies */
        const __m128i x = _mm_loadu_si128((const __m128i *)p);
        const __m128i space = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(0x20)), _mm_cmpeq_epi8(x, _mm_set1_epi8(0x0a))),
            _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(0x0d)), _mm_cmpeq_epi8(x, _mm_set1_epi8(0x09))));
        const unsigned other = 0xffffu ^ (unsigned)_mm_movemask_epi8(space);
        if (other)
            return p + __builtin_ctz(other);
    }
#endif
    while (p < end && edge_is_space(*p))
        p++;
    return p;
}

static inline edge_text edge_space(edge_text p, edge_text end)
{
    if (EDGE_LIKELY(p < end && *p > 0x20))              /* compact JSON has none */
        return p;
    if (end - p >= 2 && p[0] == 0x20 && p[1] > 0x20)    /* json.dumps puts one behind each comma and colon */
        return p + 1;
    return edge_space_run(p, end);
}

/* ---- strings ---- */

/* A stop is what cannot be skipped: quotes, backslashes, control characters, everything outside ASCII. With
 * bit 1 flipped, '"' (0x22) becomes 0x20 and nothing else moves across the limit of 0x21; bytes from 0x80 are
 * negative: one compare finds all but the backslash. */
static inline int edge_is_stop(uint8_t c)
{
    return (int8_t)(c ^ 2) < 0x21 || c == '\\';
}

/* Bit i: the byte at p + i is a stop, for the next 8, 16 and 64 bytes. */
#ifdef EDGE_SCAN_SSE2
static inline __m128i edge_stop_lanes(edge_text p)
{
    const __m128i x = _mm_loadu_si128((const __m128i *)p);
    return _mm_or_si128(_mm_cmplt_epi8(_mm_xor_si128(x, _mm_set1_epi8(2)), _mm_set1_epi8(0x21)),
                        _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
}

static inline unsigned edge_stops16(edge_text p)
{
    return (unsigned)_mm_movemask_epi8(edge_stop_lanes(p));
}
#else
static inline unsigned edge_stops8(edge_text p)
{
    const uint64_t ones = 0x0101010101010101u, low7 = 0x7f * ones;
    uint64_t word, flipped, slash, stops;
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    flipped = word ^ 2 * ones;
    slash = word ^ '\\' * ones;
    stops = flipped | ~((flipped & low7) + (0x80 - 0x21) * ones);     /* bit 7 of each; no byte carries over */
    stops |= ~(((slash & low7) + low7) | slash);
    return (unsigned)((stops >> 7 & ones) * 0x0102040810204080u >> 56);
}

static inline unsigned edge_stops16(edge_text p)
{
    return edge_stops8(p) | edge_stops8(p + 8) << 8;
}
#endif

static inline uint64_t edge_stops(edge_text p)
{
#ifdef EDGE_SCAN_SSE2
    const __m128i a = edge_stop_lanes(p), b = edge_stop_lanes(p + 16);
    const __m128i c = edge_stop_lanes(p + 32), d = edge_stop_lanes(p + 48);
    if (!_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))))
        return 0;
    const uint64_t low = (uint64_t)_mm_movemask_epi8(a) | (uint64_t)_mm_movemask_epi8(b) << 16;
    const uint64_t high = (uint64_t)_mm_movemask_epi8(c) | (uint64_t)_mm_movemask_epi8(d) << 16;
    return low | high << 32;
#else
    const uint64_t low = edge_stops16(p) | (uint64_t)edge_stops16(p + 16) << 16;
    const uint64_t high = edge_stops16(p + 32) | (uint64_t)edge_stops16(p + 48) << 16;
    return low | high << 32;
#endif
}

/* The length of the UTF-8 sequence of two to four bytes that a little-endian word begins with, 0: ill-formed.
 * Table 3-7 of the Unicode Standard: no overlong form, no surrogate, nothing above U+10FFFF. */
static inline int edge_sequence(uint32_t word)
{
    if ((word & 0xc0c0f0) == 0x8080e0) {                /* first, for the CJK scripts */
        const uint32_t top = word & 0x200f;             /* 0: below U+0800; 0x200d: U+D800 to U+DFFF */
        return top != 0 && top != 0x200d ? 3 : 0;
    }
    if ((word & 0xc0e0) == 0x80c0)
        return word & 0x1e ? 2 : 0;                     /* 0: below U+0080 */
    if ((word & 0xc0c0c0f8) == 0x808080f0) {
        const uint32_t plane = (word & 7) << 2 | (word >> 12 & 3);
        return plane >= 1 && plane <= 16 ? 4 : 0;
    }
    return 0;
}

static inline uint32_t edge_word4(edge_text p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline int edge_hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The code unit of the \uXXXX at p, or -1 with *bad. */
static inline int32_t edge_unit(edge_text p, edge_text end, edge_text *bad)
{
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        const int digit = end - p > i ? edge_hex(p[i]) : -1;
        if (digit < 0) {
            *bad = end - p > i ? p : end;
            return -1;
        }
        unit = unit << 4 | digit;
    }
    return unit;
}

/* What stands behind the backslash of a short escape (RFC 8259 section 7), and the character meant. */
static const uint8_t edge_meant[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/',
    ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

/* Not zero for hexadecimal digits: the digit, and a bit that no digit uses. */
static const uint8_t edge_digit[256] = {
    ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20,
    ['5'] = 21, ['6'] = 22, ['7'] = 23, ['8'] = 24, ['9'] = 25,
    ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31,
    ['A'] = 26, ['B'] = 27, ['C'] = 28, ['D'] = 29, ['E'] = 30, ['F'] = 31,
};

/* Whether four hexadecimal digits stand at p that are no surrogate's: the escape of nearly every letter. */
static inline int edge_plain_unit(edge_text p)
{
    const uint8_t first = edge_digit[p[0]], second = edge_digit[p[1]];
    return (first & second & edge_digit[p[2]] & edge_digit[p[3]] & 16) && !(first == 29 && second >= 24);
}

/* Reads the escape at p. A surrogate without its other half names no character (RFC 8259 section 8.2):
 * refused, as orjson does. *point receives the character. */
static edge_text edge_escape(edge_text p, edge_text end, uint32_t *point, edge_text *bad)
{
    *bad = end;
    if (end - p < 2)
        return NULL;
    if (p[1] != 'u') {
        *bad = p;
        *point = edge_meant[p[1]];
        return *point ? p + 2 : NULL;
    }
    const int32_t unit = edge_unit(p, end, bad);
    if (unit < 0)
        return NULL;
    *point = (uint32_t)unit;
    if ((unit & 0xf800) != 0xd800)
        return p + 6;
    *bad = p;
    if (unit >= 0xdc00 || (end - p > 6 && p[6] != '\\') || (end - p > 7 && p[7] != 'u'))
        return NULL;
    const int32_t low = edge_unit(p + 6, end, bad);
    if (low < 0)
        return NULL;
    *bad = p;
    *point = 0x10000u + (((uint32_t)unit & 0x3ff) << 10 | ((uint32_t)low & 0x3ff));
    return (low & 0xfc00) == 0xdc00 ? p + 12 : NULL;
}

/* Over the stop at p, which is no quote. */
static edge_text edge_step(edge_text p, edge_text end, uint8_t *escaped, edge_text *bad)
{
    uint8_t last[4] = {0, 0, 0, 0};
    uint32_t point;
    if (*p == '\\') {
        *escaped = 1;
        return edge_escape(p, end, &point, bad);
    }
    memcpy(last, p, end - p < 4 ? (size_t)(end - p) : 4);
    const int length = edge_sequence(edge_word4(last));
    *bad = p;
    return length ? p + length : NULL;
}

/* Works off the stops of 64 bytes without going back to the bytes between them: dense escapes and scripts
 * outside ASCII cost a few cycles a character. A character may reach up to eleven bytes over the block: LONGEST is
 * a pair of surrogates. */
enum { EDGE_LONGEST = 12 };
static __attribute__((noinline)) edge_text edge_string_plain(edge_text p, edge_text end, edge_part *part,
                                                             uint8_t *escaped, edge_text *bad)
{
    while (end - p >= 64 + EDGE_LONGEST - 1) {
        uint64_t stops = edge_stops(p);
        edge_text next = p + 64;
        while (stops) {
            edge_text at = p + __builtin_ctzll(stops);
            int length;
            if (*at == '"')
                return at + 1;
            if (*at == '\\' && edge_meant[at[1]]) {
                *escaped = 1;
                at += 2;
            } else if (*at == '\\' && at[1] == 'u' && edge_plain_unit(at + 2)) {
                *escaped = 1;
                at += 6;
            } else if ((length = edge_sequence(edge_word4(at))) == 3) {
                do                                      /* CJK comes in runs */
                    at += 3;
                while (at < p + 64 && edge_sequence(edge_word4(at)) == 3);
            } else if (length == 2) {
                at += 2;                                /* a branch for each: predicted, not waited for */
            } else if (length == 4) {
                at += 4;
            } else {
                if ((next = edge_step(at, end, escaped, bad)) == NULL)
                    return NULL;
                break;
            }
            if (at >= p + 64) {
                next = at;
                break;
            }
            stops &= ~(uint64_t)0 << (at - p);
        }
        p = next;
    }
    while (p < end) {
        if (*p == '"')
            return p + 1;
        if (!edge_is_stop(*p))
            p++;
        else if (part->more && end - p < EDGE_LONGEST)
            break;
        else if ((p = edge_step(p, end, escaped, bad)) == NULL)
            return NULL;
    }
    *part = (edge_part){.more = part->more, .at = p};
    *bad = end;
    return NULL;
}

/* Left out by compilers that cannot compile a function for another processor than the rest, or ask for one. */
#if defined(EDGE_SCAN_SSE2) && defined(__x86_64__) && __GNUC__ >= 11 && !defined(__clang__)
#include "scan_blocks.h"
#define EDGE_SCAN_BLOCKS 1
#endif

/* The ways to read what edge_string leaves, or what comes behind where the text ended the last time (its edge_part has
 * been kept since), the best first: all stop at the same bytes. */
typedef edge_text (*edge_reader)(edge_text p, edge_text end, edge_part *part, uint8_t *escaped, edge_text *bad);
enum { EDGE_KERNELS = 3 };
static const char *const edge_kernels[EDGE_KERNELS] = {"avx512", "avx2", "plain"};
static edge_reader edge_string_rest = edge_string_plain;

/* How kernel i reads strings; NULL: not on this processor. */
static edge_reader edge_kernel(int i)
{
#ifdef EDGE_SCAN_BLOCKS
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")
                     && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt");
    if (i == 0)     /* VBMI leaves out those that run slower for a while after an instruction of 512 bits */
        return avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi")
            ? edge_string_avx512 : NULL;
    if (i == 1)
        return avx2 ? edge_string_avx2 : NULL;
#endif
    return i == EDGE_KERNELS - 1 ? edge_string_plain : NULL;
}

/* Reads strings that way from now on. 0: not on this processor. */
static int edge_use_kernel(int i)
{
    const edge_reader reader = edge_kernel(i);
    if (reader != NULL)
        edge_string_rest = reader;
    return reader != NULL;
}

/* From behind the opening quote to behind the closing one. Most strings of a chat body are names of at most
 * 15 bytes: one load and no loop. */
static inline edge_text edge_string(edge_text p, edge_text end, edge_part *part, uint8_t *escaped, edge_text *bad)
{
    *escaped = 0;
    if (EDGE_LIKELY(end - p >= 16)) {
        const unsigned stops = edge_stops16(p);
        if (stops) {
            p += __builtin_ctz(stops);
            if (EDGE_LIKELY(*p == '"'))
                return p + 1;
        } else {
            p += 16;
        }
    }
    *part = (edge_part){.more = part->more};
    return edge_string_rest(p, end, part, escaped, bad);
}

/* ---- numbers ---- */

static locale_t edge_c_locale;      /* strtod reads a comma for a point under some locales */

/* To be called once, before anything is read. 0: out of memory. */
static inline int edge_setup(void)
{
    for (int i = 0; !edge_use_kernel(i); i++)
        ;
    edge_c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return edge_c_locale != (locale_t)0;
}

/* Up to 15 digits, no exponent: both the digits and the power of ten are doubles, so that one division rounds right
   (Clinger, 1990). Nearly every number of a request is of this kind, and strtod costs ten times as much. */
static int edge_short_double(const char *text, size_t size, double *value)
{
    static const double powers[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const size_t minus = *text == '-';
    size_t point = size;
    int64_t digits = 0;
    if (size - minus > 16)
        return 0;
    for (size_t i = minus; i < size; i++) {
        if (text[i] == '.')
            point = i + 1;
        else if ((uint8_t)(text[i] - '0') < 10)
            digits = digits * 10 + (text[i] - '0');
        else
            return 0;
    }
    if (digits >= 1000000000000000)
        return 0;
    *value = (double)digits / powers[size - point];
    if (minus)
        *value = -*value;
    return 1;
}

static double edge_double(const char *text, size_t size)
{
    double short_value;
    if (edge_short_double(text, size, &short_value))
        return short_value;
    char short_copy[64], *copy = size < sizeof short_copy ? short_copy : (char *)malloc(size + 1);
    if (copy == NULL)
        return NAN;
    memcpy(copy, text, size);       /* strtod wants a NUL behind the last digit */
    copy[size] = 0;
    const double value = strtod_l(copy, NULL, edge_c_locale);
    if (copy != short_copy)
        free(copy);
    return value;
}

static inline edge_text edge_digits(edge_text p, edge_text end)
{
    while (p < end && (uint8_t)(*p - '0') < 10)
        p++;
    return p;
}

/* Whether a number may go on behind the end of what is there. */
static inline int edge_is_cut(edge_text p, edge_text end)
{
    while (p < end && (edge_digit[*p] || *p == '-' || *p == '+' || *p == '.'))
        p++;
    return p == end;
}

/* Beyond the range of a double, readers disagree (infinity, error, big number): refused, as orjson does. */
static __attribute__((noinline)) edge_text edge_range(edge_text p, edge_text end, edge_text *bad)
{
    if (isfinite(edge_double((const char *)p, (size_t)(end - p))))
        return end;
    *bad = p;
    return NULL;
}

/* p < end, as in edge_word. */
static inline edge_text edge_number(edge_text p, edge_text end, edge_text *bad)
{
    const edge_text start = p, whole = p + (*p == '-');
    edge_text digits;
    p = whole;
    if (p < end && *p == '0')
        p++;
    else if ((p = edge_digits(whole, end)) == whole)
        goto wrong;
    int64_t power = p - whole;      /* the value is below ten to this */
    if (p < end && *p == '.') {
        digits = p + 1;
        if ((p = edge_digits(digits, end)) == digits)
            goto wrong;
    }
    if (p < end && (*p | 0x20) == 'e') {
        int64_t exponent = 0;
        int minus = 0;
        if (++p < end && (*p == '+' || *p == '-'))
            minus = *p++ == '-';
        for (digits = p; p < end && (uint8_t)(*p - '0') < 10; p++)
            if (exponent < 1000000)
                exponent = exponent * 10 + (*p - '0');
        if (p == digits)
            goto wrong;
        power += minus ? -exponent : exponent;
    }
    if (EDGE_UNLIKELY(power > 308))
        return edge_range(start, p, bad);
    return p;
wrong:
    *bad = p;
    return NULL;
}

/* A literal of that many characters. */
static inline edge_text edge_word(edge_text p, edge_text end, const char *word, ptrdiff_t length,
                                  edge_text *bad)
{
    const ptrdiff_t there = end - p < length ? end - p : length;
    if (memcmp(p, word, (size_t)there)) {
        *bad = p;
        return NULL;
    }
    *bad = end;
    return there == length ? p + length : NULL;
}

#endif
