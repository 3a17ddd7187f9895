/* The loop of scan_blocks.h, included once for each kind of vectors: EDGE_WIDE(name) is name##_kind. */

/* What the bytes of every block are held against. */
struct EDGE_WIDE(edge_sought) {
    EDGE_WIDE(edge_lane) space, quote, slash, u, meant, hex, d, lower;
};

/* Where the escapes of a block are wrong; takes the escaped quotes out of *quotes. */
static inline __attribute__((always_inline)) uint64_t EDGE_WIDE(edge_wrong_escapes)(
    EDGE_WIDE(edge_wide) x, const struct EDGE_WIDE(edge_sought) *sought, uint64_t slash, uint64_t *quotes,
    struct edge_carry *carry)
{
    const EDGE_WIDE(edge_wide) class = EDGE_WIDE(edge_class)(x, sought->lower);
    const uint64_t meant = EDGE_WIDE(edge_is)(class, sought->meant), u = EDGE_WIDE(edge_equal)(x, sought->u);
    const uint64_t escaped = edge_escaped(slash, carry), units = escaped & u;
    uint64_t wrong = escaped & ~meant;
    *quotes &= ~escaped;
    if (units | carry->digits | carry->open) {
        const uint64_t leads = (units << 1 | carry->digits >> 3) & EDGE_WIDE(edge_is)(class, sought->d);
        wrong |= edge_digits_due(units, carry) & ~EDGE_WIDE(edge_is)(class, sought->hex);
        if (EDGE_UNLIKELY(leads | carry->open)) {
            const uint64_t half = EDGE_WIDE(edge_is)(class, EDGE_WIDE(edge_fill)(EDGE_HALF));
            const uint64_t first = half & ~EDGE_WIDE(edge_from_c)(x);
            wrong |= edge_wrong_pairs(slash, units, leads, half, first, carry);
        }
    }
    return wrong;
}

/* What edge_string_plain does. A text that ends within a block is read from a copy with NULs behind: they are
 * control characters, and wrong unless the string is closed before. */
static __attribute__((noinline)) edge_text EDGE_WIDE(edge_string)(edge_text p, edge_text end, edge_part *part,
                                                                 uint8_t *escaped, edge_text *bad)
{
    const edge_text start = p - part->read;
    const struct EDGE_WIDE(edge_sought) sought = {
        EDGE_WIDE(edge_fill)(0x20), EDGE_WIDE(edge_fill)('"'), EDGE_WIDE(edge_fill)('\\'), EDGE_WIDE(edge_fill)('u'),
        EDGE_WIDE(edge_fill)(EDGE_MEANT), EDGE_WIDE(edge_fill)(EDGE_HEX), EDGE_WIDE(edge_fill)(EDGE_D),
        EDGE_WIDE(edge_fill)(0x0f)};
    struct edge_carry carry = part->carry;
    uint64_t slashes = 0, wrong = 0, slash, quotes;
    uint8_t rest[64] = {0};
    EDGE_WIDE(edge_wide) x, before = EDGE_WIDE(edge_load)(part->read ? p - 64 : rest);
    for (;; p += 64) {
        edge_text from = p;
        if (EDGE_UNLIKELY(end - p < 64)) {
            if (part->more) {
                *part = (edge_part){.more = 1, .at = p, .read = p - start, .carry = carry};
                *escaped |= slashes != 0;
                *bad = end;
                return NULL;
            }
            from = memcpy(rest, p, (size_t)(end - p));
        }
        x = EDGE_WIDE(edge_load)(from);
        const uint64_t low = EDGE_WIDE(edge_below)(x, sought.space);
        quotes = EDGE_WIDE(edge_equal)(x, sought.quote);
        slash = EDGE_WIDE(edge_equal)(x, sought.slash);
        if (slash | carry.escaping | carry.digits | carry.open)
            wrong = EDGE_WIDE(edge_wrong_escapes)(x, &sought, slash, &quotes, &carry);
        if (low | carry.high) {
            const uint64_t high = EDGE_WIDE(edge_high)(x);
            wrong |= low ^ high;
            if (high | carry.high)
                wrong |= EDGE_WIDE(edge_wrong_utf8)(x, before, sought.lower);
            carry.high = high >> 63;
        }
        if (wrong | quotes)
            break;
        slashes |= slash;
        before = x;
    }
    const uint64_t seen = quotes ^ (quotes - 1);        /* the bytes up to the first quote, or all */
    if (wrong & seen)
        return edge_string_plain(start, end, part, escaped, bad);
    *escaped |= (slashes | (slash & seen)) != 0;
    return p + __builtin_ctzll(quotes) + 1;
}
