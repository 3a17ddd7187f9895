/* Inputs from inputs: bytes flipped, words of the language put in, numbers exchanged, pieces dropped, repeated, turned
 * round and taken from others. Pieces end at seams (behind a line, a comma, a bracket) as often as anywhere. */
#ifndef EDGE_MUTATE_H
#define EDGE_MUTATE_H

#include <ctype.h>
#include <stdint.h>
#include <string.h>

enum { EDGE_LARGEST = 12288 };      /* bytes of an input: more than all trailers of a body may have */

struct edge_piece {
    const char *text;
    uint32_t size;
};

struct edge_draft {
    uint64_t chance;                /* state of the generator, never 0 */
    const uint8_t *seams;           /* 256 flags */
    const struct edge_piece *words;
    uint32_t n_words;
    uint32_t largest;               /* at most EDGE_LARGEST */
    uint32_t size;
    char text[EDGE_LARGEST];
};

/* xorshift64* (Vigna, 2016). */
static inline uint32_t edge_below(uint64_t *chance, uint32_t limit)
{
    *chance ^= *chance >> 12;
    *chance ^= *chance << 25;
    *chance ^= *chance >> 27;
    return (uint32_t)((*chance * 0x2545f4914f6cdd1du >> 32) * limit >> 32);
}

/* A state of the generator that depends on a text alone (FNV-1a). */
static inline uint64_t edge_chance_of(const char *text, uint32_t size)
{
    uint64_t chance = 0xcbf29ce484222325u;
    for (uint32_t i = 0; i < size; i++)
        chance = (chance ^ (uint8_t)text[i]) * 0x100000001b3u;
    return chance | 1;
}

/* A place in a text, half of the time the next one behind a seam. */
static uint32_t edge_place(struct edge_draft *d, struct edge_piece in)
{
    uint32_t at = edge_below(&d->chance, in.size + 1);
    if (edge_below(&d->chance, 2))
        while (at > 0 && at < in.size && !d->seams[(uint8_t)in.text[at - 1]])
            at++;
    return at;
}

/* A piece of a text: to another place, or of a few bytes. */
static struct edge_piece edge_span(struct edge_draft *d, struct edge_piece of)
{
    static const uint8_t sizes[8] = {1, 1, 1, 2, 3, 4, 8, 16};
    uint32_t from = edge_place(d, of), to;
    if (edge_below(&d->chance, 2)) {
        to = from + sizes[edge_below(&d->chance, 8)];
        to = to < of.size ? to : of.size;
    } else {
        to = edge_place(d, of);
    }
    if (to < from) {
        const uint32_t swap = from;
        from = to;
        to = swap;
    }
    return (struct edge_piece){of.text + from, to - from};
}

/* A whole value, string or word, so that what takes its place leaves the rest as good as it was. */
static struct edge_piece edge_unit(struct edge_draft *d, struct edge_piece of)
{
    uint32_t from = edge_below(&d->chance, of.size + 1), to, depth = 0;
    int quoted = 0;
    while (from < of.size && !strchr("{[\"", of.text[from]) && !isalnum((uint8_t)of.text[from]))
        from++;
    if (from < of.size && isalnum((uint8_t)of.text[from])) {
        for (to = from + 1; to < of.size && (isalnum((uint8_t)of.text[to]) || strchr("-+._", of.text[to])); to++)
            ;
        return (struct edge_piece){of.text + from, to - from};
    }
    for (to = from; to < of.size; to++) {
        const char c = of.text[to];
        if (quoted && c == '\\')
            to++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (!quoted && !depth)
            break;
    }
    to = to < of.size ? to + 1 : of.size;
    return (struct edge_piece){of.text + from, to - from};
}

/* Puts a piece in the place of `gone` bytes; does nothing where there is no room. */
static void edge_put(struct edge_draft *d, uint32_t at, uint32_t gone, struct edge_piece piece)
{
    char copy[EDGE_LARGEST];        /* the piece may lie in the draft itself */
    if (d->size - gone + piece.size > d->largest)
        return;
    memcpy(copy, piece.text, piece.size);
    memmove(d->text + at + piece.size, d->text + at + gone, d->size - at - gone);
    memcpy(d->text + at, copy, piece.size);
    d->size += piece.size - gone;
}

static struct edge_piece edge_word(struct edge_draft *d)
{
    return d->words[edge_below(&d->chance, d->n_words)];
}

static void edge_repeat(struct edge_draft *d, struct edge_piece part)
{
    static const uint8_t times[8] = {1, 1, 1, 2, 3, 8, 40, 140};
    const uint32_t at = (uint32_t)(part.text - d->text) + part.size;
    char copy[EDGE_LARGEST];
    memcpy(copy, part.text, part.size);
    for (int i = times[edge_below(&d->chance, 8)]; i > 0; i--)
        edge_put(d, at, 0, (struct edge_piece){copy, part.size});
}

/* Exchanges a run of digits for another number. */
static void edge_number_for(struct edge_draft *d, uint32_t at)
{
    static const char *const numbers[] = {
        "0", "1", "-1", "00", "5", "7f", "ff", "128", "255", "256", "1024", "65535", "65536", "2147483648", "-0",
        "1e3", "0.5", "1e308", "1e309", "4294967296", "9223372036854775807", "9223372036854775808",
        "18446744073709551616", "fffffffffffffff", "1000000000000000", "ffffffffffffffff", "999999999999999999",
        "1000000000000000000", "1E-400"};
    const char *number = numbers[edge_below(&d->chance, sizeof numbers / sizeof *numbers)];
    uint32_t from, to;
    while (at < d->size && (uint8_t)(d->text[at] - '0') > 9)
        at++;
    for (from = to = at; to < d->size && (uint8_t)(d->text[to] - '0') <= 9; to++)
        ;
    if (to > from)
        edge_put(d, from, to - from, (struct edge_piece){number, (uint32_t)strlen(number)});
}

/* Two neighbours change places. */
static void edge_turn(struct edge_draft *d, struct edge_piece part)
{
    const uint32_t at = (uint32_t)(part.text - d->text), cut = edge_below(&d->chance, part.size + 1);
    char copy[EDGE_LARGEST];
    memcpy(copy, part.text + cut, part.size - cut);
    memcpy(copy + part.size - cut, part.text, cut);
    memcpy(d->text + at, copy, part.size);
}

static void edge_change(struct edge_draft *d, struct edge_piece other)
{
    static const char telling[] = "\r\n\0 \t:,;=\"\\{}[]0159aeEu-+.%/?*x\x01\x1f\x7f\x80\xbf\xc2\xe2\xed\xf0\xff";
    const struct edge_piece own = {d->text, d->size};
    const uint32_t at = edge_place(d, own), there = at < d->size;
    const struct edge_piece part = edge_span(d, own), unit = edge_unit(d, own);
    switch (edge_below(&d->chance, 18)) {
    case 0:
        if (there)
            d->text[at] ^= 1 << edge_below(&d->chance, 8);
        return;
    case 1:
        if (there)
            d->text[at] = telling[edge_below(&d->chance, sizeof telling - 1)];
        return;
    case 2:
        if (there)
            d->text[at] = (char)edge_below(&d->chance, 256);
        return;
    case 3:
        edge_put(d, at, 0, (struct edge_piece){telling + edge_below(&d->chance, sizeof telling - 1), 1});
        return;
    case 4:
    case 5:
        edge_put(d, at, 0, edge_word(d));
        return;
    case 6:
        edge_put(d, (uint32_t)(part.text - d->text), part.size, edge_word(d));
        return;
    case 7:
        edge_put(d, (uint32_t)(part.text - d->text), part.size, (struct edge_piece){"", 0});
        return;
    case 8:
        edge_repeat(d, part);
        return;
    case 9:
        edge_put(d, at, 0, edge_span(d, other));
        return;
    case 10:                        /* this one's beginning, the other's end */
        d->size = at;
        {
            const uint32_t from = edge_place(d, other);
            edge_put(d, at, 0, (struct edge_piece){other.text + from, other.size - from});
        }
        return;
    case 11:
        edge_number_for(d, at);
        return;
    case 12:
        edge_turn(d, part);
        return;
    case 13:
    case 14:
    case 15:
        edge_put(d, (uint32_t)(unit.text - d->text), unit.size, edge_unit(d, other));
        return;
    case 16:
        edge_put(d, (uint32_t)(unit.text - d->text), unit.size, edge_word(d));
        return;
    default:
        if (!edge_below(&d->chance, 4))
            d->size = at;
    }
}

/* Makes the draft a changed copy of `from`. */
static void edge_mutate(struct edge_draft *d, struct edge_piece from, struct edge_piece other)
{
    static const uint8_t times[8] = {1, 1, 1, 2, 2, 3, 4, 8};
    memcpy(d->text, from.text, from.size);
    d->size = from.size;
    for (int i = times[edge_below(&d->chance, 8)]; i > 0; i--)
        edge_change(d, other);
}

#endif
