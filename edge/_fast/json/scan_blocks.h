/* Strings 64 bytes at a time on processors with AVX2 or AVX-512, included by scan_kernel.h.
 *
 * One bit per byte: where quotes, backslashes, bad escapes and bad UTF-8 are is computed for a whole block at
 * once, and what reaches over its end is carried into the next. The branches ask what kinds of characters a block
 * has, not where, so dense escapes and accents are hardly mispredicted. Where anything is wrong,
 * edge_string_plain reads the string again: it knows the exact byte.
 *
 * The functions that look at the bytes are here, once for each kind of vectors; scan_string.h has the loop.
 */
#ifndef EDGE_SCAN_BLOCKS_H
#define EDGE_SCAN_BLOCKS_H

#include <immintrin.h>

/* The classes of a byte are those that its lower and its upper half have in common; bytes from 0x80 have none. */
enum {
    EDGE_MEANT = 0x0f,      /* may stand behind a backslash: " / \ b f n r t u */
    EDGE_HEX = 0x30,
    EDGE_D = 0x40,          /* D and d */
    EDGE_HALF = 0xa0,       /* 8 to F: behind a D, they make a surrogate */
};
static const uint8_t edge_class_lower[16] = {
    0x10, 0x30, 0x37, 0x30, 0x74, 0x34, 0x32, 0x10, 0x90, 0x90, 0, 0, 0x08, 0, 0x02, 0x01};
static const uint8_t edge_class_upper[16] = {0, 0, 0x01, 0x90, 0x60, 0x08, 0x62, 0x04};

/* The checks of "Validating UTF-8 In Less Than One Instruction Per Byte" (Keiser and Lemire, 2020): each bit is one
 * way in which two neighbours can be ill-formed, and set if both halves of the first byte and the upper half of the
 * second allow it. 0x80 means two continuation bytes, which are right behind a lead of three or four only. */
static const uint8_t edge_first_upper[16] = {
    0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x80, 0x80, 0x80, 0x80, 0x21, 0x01, 0x15, 0x49};
static const uint8_t edge_first_lower[16] = {
    0xe7, 0xa3, 0x83, 0x83, 0x8b, 0xcb, 0xcb, 0xcb, 0xcb, 0xcb, 0xcb, 0xcb, 0xcb, 0xdb, 0xcb, 0xcb};
static const uint8_t edge_second_upper[16] = {
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0xe6, 0xae, 0xba, 0xba, 0x01, 0x01, 0x01, 0x01};

/* The escaped bytes: every second one of a run of backslashes and, if the run is odd, the byte behind it.
 * Subtracting the starts of the runs from the odd bits borrows through each run, up to its end. */
static inline uint64_t edge_escaped(uint64_t slash, struct edge_carry *carry)
{
    const uint64_t odd = 0xaaaaaaaaaaaaaaaau, starts = slash & ~carry->escaping;
    const uint64_t turned = ((starts << 1 | odd) - starts) ^ odd;
    const uint64_t escaped = turned ^ (slash | carry->escaping);
    carry->escaping = (turned & slash) >> 63;
    return escaped;
}

/* The digits of every \uXXXX; `units` are its u. Times 30 is each bit four times over, and where two units are too
 * close for that, the backslash between them is still marked. */
static inline uint64_t edge_digits_due(uint64_t units, struct edge_carry *carry)
{
    const uint64_t digits = units * 30 | carry->digits;
    carry->digits = (uint64_t)15 >> __builtin_clzll(units | 1);
    return digits;
}

/* Where a surrogate has no other half, given the D of every \uDXXX, the second digits that make it a surrogate and
 * those that make it the first of a pair. Behind a first half come a backslash, a u and the second half. */
static inline __attribute__((always_inline)) uint64_t edge_wrong_pairs(
    uint64_t slash, uint64_t units, uint64_t leads, uint64_t half, uint64_t first, struct edge_carry *carry)
{
    const uint64_t open = carry->open, second = (leads << 1 | (open & 1)) & half, pairs = second & first;
    carry->open = (pairs & ~(uint64_t)0 << 58) | leads >> 63;
    return ((pairs << 3 | open >> 61) & ~slash) | ((pairs << 4 | open >> 60) & ~units)
           | ((pairs << 6 | open >> 58) ^ (second & ~first));
}

/* Makes a mask an integer at once. Left alone, GCC combines masks in the mask registers: a way there and back takes
 * ten cycles, several times a block, and half as much again is the time of the whole loop. */
static inline __attribute__((always_inline)) uint64_t edge_bits(uint64_t mask)
{
    __asm__("" : "+r"(mask));
    return mask;
}

/* ---- AVX-512 ---- */

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,bmi,bmi2,lzcnt")
#define EDGE_WIDE(name) name##_avx512

typedef __m512i edge_wide_avx512, edge_lane_avx512;

static inline __m512i edge_table_avx512(const uint8_t *table)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
}

static inline __m512i edge_fill_avx512(int c)
{
    __m512i filled = _mm512_set1_epi8((char)c);
    __asm__("" : "+v"(filled));
    return filled;
}

static inline __m512i edge_upper_avx512(__m512i x, __m512i lower)
{
    return _mm512_and_si512(_mm512_srli_epi16(x, 4), lower);
}

static inline __m512i edge_load_avx512(edge_text p)
{
    return _mm512_loadu_si512((const void *)p);
}

static inline uint64_t edge_high_avx512(__m512i x)
{
    return edge_bits(_mm512_movepi8_mask(x));
}

/* As signed bytes: those outside ASCII are below all others. */
static inline uint64_t edge_below_avx512(__m512i x, __m512i limit)
{
    return edge_bits(_mm512_cmplt_epi8_mask(x, limit));
}

static inline uint64_t edge_equal_avx512(__m512i x, __m512i wanted)
{
    return edge_bits(_mm512_cmpeq_epi8_mask(x, wanted));
}

/* For digits 8 to F, whether it is at least C. */
static inline uint64_t edge_from_c_avx512(__m512i x)
{
    return edge_bits(_mm512_cmpgt_epi8_mask(_mm512_or_si512(x, _mm512_set1_epi8(0x20)), _mm512_set1_epi8('b')));
}

static inline __m512i edge_class_avx512(__m512i x, __m512i lower)
{
    return _mm512_and_si512(_mm512_shuffle_epi8(edge_table_avx512(edge_class_lower), x),
                            _mm512_shuffle_epi8(edge_table_avx512(edge_class_upper), edge_upper_avx512(x, lower)));
}

static inline uint64_t edge_is_avx512(__m512i class, __m512i wanted)
{
    return edge_bits(_mm512_test_epi8_mask(class, wanted));
}

static inline uint64_t edge_wrong_utf8_avx512(__m512i x, __m512i before, __m512i lower)
{
    const __m512i lane = _mm512_alignr_epi64(x, before, 6);
    const __m512i one = _mm512_alignr_epi8(x, lane, 15), two = _mm512_alignr_epi8(x, lane, 14);
    const __m512i three = _mm512_alignr_epi8(x, lane, 13), low = _mm512_and_si512(one, lower);
    const __m512i pair = _mm512_and_si512(
        _mm512_and_si512(_mm512_shuffle_epi8(edge_table_avx512(edge_first_upper), edge_upper_avx512(one, lower)),
                         _mm512_shuffle_epi8(edge_table_avx512(edge_first_lower), low)),
        _mm512_shuffle_epi8(edge_table_avx512(edge_second_upper), edge_upper_avx512(x, lower)));
    const __m512i follows = _mm512_or_si512(_mm512_subs_epu8(two, _mm512_set1_epi8(0xe0 - 0x80)),
                                            _mm512_subs_epu8(three, _mm512_set1_epi8(0xf0 - 0x80)));
    return edge_bits(_mm512_cmpneq_epi8_mask(_mm512_and_si512(follows, _mm512_set1_epi8((char)0x80)), pair));
}

#include "scan_string.h"
#undef EDGE_WIDE
#pragma GCC pop_options

/* ---- AVX2: two vectors of 32 bytes ---- */

#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt")
#define EDGE_WIDE(name) name##_avx2

typedef struct {
    __m256i a, b;
} edge_wide_avx2;
typedef __m256i edge_lane_avx2;

static inline uint64_t edge_join_avx2(__m256i a, __m256i b)
{
    return (uint32_t)_mm256_movemask_epi8(a) | (uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32;
}

static inline __m256i edge_table_avx2(const uint8_t *table)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}

static inline __m256i edge_fill_avx2(int c)
{
    __m256i filled = _mm256_set1_epi8((char)c);
    __asm__("" : "+v"(filled));
    return filled;
}

static inline __m256i edge_upper_avx2(__m256i x, __m256i lower)
{
    return _mm256_and_si256(_mm256_srli_epi16(x, 4), lower);
}

static inline edge_wide_avx2 edge_load_avx2(edge_text p)
{
    const edge_wide_avx2 x = {_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 32))};
    return x;
}

static inline uint64_t edge_high_avx2(edge_wide_avx2 x)
{
    return edge_join_avx2(x.a, x.b);
}

static inline uint64_t edge_below_avx2(edge_wide_avx2 x, __m256i limit)
{
    return edge_join_avx2(_mm256_cmpgt_epi8(limit, x.a), _mm256_cmpgt_epi8(limit, x.b));
}

static inline uint64_t edge_equal_avx2(edge_wide_avx2 x, __m256i wanted)
{
    return edge_join_avx2(_mm256_cmpeq_epi8(x.a, wanted), _mm256_cmpeq_epi8(x.b, wanted));
}

static inline uint64_t edge_from_c_avx2(edge_wide_avx2 x)
{
    const __m256i small = _mm256_set1_epi8(0x20), b = _mm256_set1_epi8('b');
    return edge_join_avx2(_mm256_cmpgt_epi8(_mm256_or_si256(x.a, small), b),
                          _mm256_cmpgt_epi8(_mm256_or_si256(x.b, small), b));
}

static inline __m256i edge_half_class_avx2(__m256i x, __m256i lower)
{
    return _mm256_and_si256(_mm256_shuffle_epi8(edge_table_avx2(edge_class_lower), x),
                            _mm256_shuffle_epi8(edge_table_avx2(edge_class_upper), edge_upper_avx2(x, lower)));
}

static inline edge_wide_avx2 edge_class_avx2(edge_wide_avx2 x, __m256i lower)
{
    const edge_wide_avx2 class = {edge_half_class_avx2(x.a, lower), edge_half_class_avx2(x.b, lower)};
    return class;
}

static inline uint64_t edge_is_avx2(edge_wide_avx2 class, __m256i wanted)
{
    const __m256i none = _mm256_setzero_si256();
    return ~edge_join_avx2(_mm256_cmpeq_epi8(_mm256_and_si256(class.a, wanted), none),
                           _mm256_cmpeq_epi8(_mm256_and_si256(class.b, wanted), none));
}

/* 0xff for what is right in x, with `before` before it. */
static inline __m256i edge_right_utf8_avx2(__m256i x, __m256i before, __m256i lower)
{
    const __m256i lane = _mm256_permute2x128_si256(before, x, 0x21);
    const __m256i one = _mm256_alignr_epi8(x, lane, 15), two = _mm256_alignr_epi8(x, lane, 14);
    const __m256i three = _mm256_alignr_epi8(x, lane, 13), low = _mm256_and_si256(one, lower);
    const __m256i pair = _mm256_and_si256(
        _mm256_and_si256(_mm256_shuffle_epi8(edge_table_avx2(edge_first_upper), edge_upper_avx2(one, lower)),
                         _mm256_shuffle_epi8(edge_table_avx2(edge_first_lower), low)),
        _mm256_shuffle_epi8(edge_table_avx2(edge_second_upper), edge_upper_avx2(x, lower)));
    const __m256i follows = _mm256_or_si256(_mm256_subs_epu8(two, _mm256_set1_epi8(0xe0 - 0x80)),
                                            _mm256_subs_epu8(three, _mm256_set1_epi8(0xf0 - 0x80)));
    return _mm256_cmpeq_epi8(_mm256_and_si256(follows, _mm256_set1_epi8((char)0x80)), pair);
}

static inline uint64_t edge_wrong_utf8_avx2(edge_wide_avx2 x, edge_wide_avx2 before, __m256i lower)
{
    return ~edge_join_avx2(edge_right_utf8_avx2(x.a, before.b, lower), edge_right_utf8_avx2(x.b, x.a, lower));
}

#include "scan_string.h"
#undef EDGE_WIDE
#pragma GCC pop_options

#endif
