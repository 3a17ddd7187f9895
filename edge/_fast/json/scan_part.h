/* What is kept of a text that is not all there yet, between two pieces: see scan.pyx. */
#ifndef EDGE_SCAN_PART_H
#define EDGE_SCAN_PART_H

#include <stddef.h>
#include <stdint.h>

typedef const uint8_t *edge_text;

/* What a block of 64 bytes hands to the next: see scan_blocks.h. */
struct edge_carry {
    uint64_t escaping;      /* 1: the first byte is escaped */
    uint64_t digits;        /* the first bytes that are digits of a \uXXXX */
    uint64_t open;          /* bits 58 to 63: the second digit of the first half of a surrogate pair, as a mask of the
                               block before; bit 0: that block ended with the D of what may be a surrogate */
    uint64_t high;          /* 1: a character of several bytes may reach into this block */
};

/* A string whose end is not there yet. All but `more` is zero where a string begins. */
typedef struct {
    int more;               /* the text goes on behind what is there */
    edge_text at;           /* where to read on; NULL while the string has not run out of text */
    ptrdiff_t read;         /* bytes before it that were read in blocks, of which the rest is what they hand on */
    struct edge_carry carry;
} edge_part;

#endif
