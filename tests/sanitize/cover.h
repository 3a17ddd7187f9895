/* Which edges of the compiled parsers an input takes: gcc's -fsanitize-coverage=trace-pc calls the function below at
 * every basic block. gcc is what compiles edge, so nothing else need be installed, and a loop of our own can ask an
 * oracle in Python about what it keeps, which an engine that owns the process and its main() could not. */
#ifndef EDGE_COVER_H
#define EDGE_COVER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

enum { EDGE_EDGES = 65536, EDGE_BLOCKS = 16384 };

static int edge_cover_on;               /* blocks count only between the calls that are looked at */
static uint32_t edge_block_before;
static uint8_t edge_hits[EDGE_EDGES];
static uint16_t edge_touched[EDGE_EDGES];
static uint32_t edge_touches;
static struct { uintptr_t pc; uint32_t id; } edge_blocks[EDGE_BLOCKS];

/* The same number in every process, wherever the module was loaded: runs with one seed take one course, and the maps of
 * several processes can be put together. */
static uint32_t edge_block_id(uintptr_t pc)
{
    Dl_info place;
    uint64_t id = pc;
    if (dladdr((void *)pc, &place)) {
        const char *name = strrchr(place.dli_fname, '/');
        id -= (uintptr_t)place.dli_fbase;
        for (name = name ? name : place.dli_fname; *name; name++)
            id = (id ^ (uint8_t)*name) * 0x100000001b3u;
    }
    return (uint32_t)((id * 0x9e3779b97f4a7c15u) >> 40);
}

void __sanitizer_cov_trace_pc(void)
{
    const uintptr_t pc = (uintptr_t)__builtin_return_address(0);
    uint32_t slot, edge;
    if (!edge_cover_on)
        return;
    /* Neighbours in the code are neighbours here: that is easier on the cache than a better hash. */
    for (slot = (pc >> 2) % EDGE_BLOCKS; edge_blocks[slot].pc != pc; slot = (slot + 1) % EDGE_BLOCKS)
        if (!edge_blocks[slot].pc) {
            edge_blocks[slot].pc = pc;
            edge_blocks[slot].id = edge_block_id(pc);
            break;
        }
    edge = (edge_block_before >> 1 ^ edge_blocks[slot].id) % EDGE_EDGES;
    edge_block_before = edge_blocks[slot].id;
    if (!edge_hits[edge])
        edge_touched[edge_touches++] = (uint16_t)edge;
    if (edge_hits[edge] < 255)
        edge_hits[edge]++;
}

/* How many edges were taken for the first time, or newly often (1, 2, 3, 4 .. 7, ... 128 times); begins anew. */
static uint32_t edge_cover_take(uint8_t *seen)
{
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < edge_touches; i++) {
        const uint16_t edge = edge_touched[i];
        const uint32_t hits = edge_hits[edge];
        const uint8_t often = (uint8_t)(hits < 4 ? 1 << (hits - 1) : hits < 8 ? 8 : hits < 16 ? 16 : hits < 32 ? 32
                                        : hits < 128 ? 64 : 128);
        fresh += (often & ~seen[edge]) != 0;
        seen[edge] |= often;
        edge_hits[edge] = 0;
    }
    edge_touches = edge_block_before = 0;
    return fresh;
}

#endif
