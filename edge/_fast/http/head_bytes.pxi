# Classes of bytes, and the fields that the gateway knows by name.

cdef extern from *:
    """
    #include <arpa/inet.h>
    #include <stdint.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif

    /* Offset of the first control byte other than HTAB, or end. Reads nothing at or past end. */
    static inline uint32_t edge_text_end(const uint8_t *buf, uint32_t at, uint32_t end) {
    #if defined(__SSE2__)
        const __m128i last_control = _mm_set1_epi8(0x1f);
        const __m128i tab = _mm_set1_epi8(0x09), del = _mm_set1_epi8(0x7f);
        for (; end - at >= 16; at += 16) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(buf + at));
            __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
            control = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control),
                                   _mm_cmpeq_epi8(bytes, del));
            int mask = _mm_movemask_epi8(control);
            if (mask) return at + (uint32_t)__builtin_ctz((unsigned)mask);
        }
    #endif
        while (at < end && ((buf[at] >= 0x20 && buf[at] != 0x7f) || buf[at] == 0x09)) at++;
        return at;
    }
    """
    uint32_t text_end "edge_text_end" (const uint8_t* buf, uint32_t at, uint32_t end) nogil
    int inet_pton(int family, const char* text, void* out) nogil
    enum: AF_INET6


cdef enum:
    CR = 13
    LF = 10
    TAB = 9
    SPACE = 32

cdef enum:                      # classes of bytes, bits in KIND
    TOKEN = 1                   # RFC 9110 5.6.2 tchar
    TARGET = 2                  # of a path or query, without "%" and "?"
    HOST = 4                    # of a reg-name (RFC 3986 3.2.2), without "%"
    HEX = 8
    DIGIT = 16

cdef enum:                      # bits of Head.options
    SAID_CLOSE = 1
    SAID_KEEP_ALIVE = 2

cdef enum:
    NAME_SLOTS = 512
    MAX_SIZE = 0x7fffffff

cdef struct Name:
    const char* text            # in lower case
    uint8_t length
    uint8_t known
    uint8_t requests            # goes on to the provider
    uint8_t responses           # goes on to the client

cdef uint8_t KIND[256]
cdef uint8_t LOWER[256]
cdef Name NAMES[128]
cdef uint8_t SLOTS[NAME_SLOTS]  # hash of a name -> 1 + index into NAMES, 0: empty
cdef Name UNKNOWN = Name(NULL, 0, K_OTHER, 1, 1)
cdef Name DROPPED = Name(NULL, 0, K_DROPPED, 0, 0)

cdef enum:                      # bit sets of fields of which a second one means two readings (RFC 9110 5.3)
    ONCE_IN_REQUESTS = (1 << K_HOST | 1 << K_CONTENT_LENGTH | 1 << K_TRANSFER_ENCODING | 1 << K_CONTENT_TYPE
                        | 1 << K_EXPECT | 1 << K_AUTHORIZATION | 1 << K_X_API_KEY | 1 << K_API_KEY)
    ONCE_IN_RESPONSES = 1 << K_CONTENT_LENGTH | 1 << K_TRANSFER_ENCODING


cdef bint is_token(uint8_t byte) noexcept nogil:
    """Tell whether the byte may stand in a token (method, field name)."""
    return KIND[byte] & TOKEN


cdef inline uint32_t _slot(const uint8_t* name, uint32_t length) noexcept nogil:
    cdef uint32_t first = name[0] | 32, last = name[length - 1] | 32, middle = name[length >> 1] | 32
    return (length * 29 + first * 5 + middle * 11 + last) & (NAME_SLOTS - 1)


cdef inline bint _same(const uint8_t* a, const uint8_t* lower, uint32_t length) noexcept nogil:
    cdef uint32_t i
    for i in range(length):
        if LOWER[a[i]] != lower[i]:
            return False
    return True


cdef inline const Name* _name(const uint8_t* name, uint32_t length, bint response) noexcept nogil:
    cdef uint32_t slot = _slot(name, length)
    cdef Name* found
    while SLOTS[slot]:
        found = &NAMES[SLOTS[slot] - 1]
        if found.length == length and _same(name, <const uint8_t*>found.text, length):
            return found
        slot = (slot + 1) & (NAME_SLOTS - 1)
    if length < 4:
        return &UNKNOWN
    return &DROPPED if _is_of_family(name, length, response) else &UNKNOWN


cdef bint _is_of_family(const uint8_t* name, uint32_t length, bint response) noexcept nogil:
    """Whether a name begins as those of a family do of which none goes on; the third letter rules most out."""
    cdef const char* family = NULL
    cdef uint8_t third = name[2] | 32
    if name[0] | 32 == c"x" and name[1] == c"-":
        if third == c"e":
            family = b"x-edge-"
        elif response:
            if third == c"a":
                family = b"x-accel-"
        elif third == c"f":
            family = b"x-forwarded-"
        elif third == c"o":
            family = b"x-original-"
        elif third == c"r":
            family = b"x-rewrite-"
        elif third == c"h":
            family = b"x-http-method"
    elif third == c"c" and name[0] | 32 == c"a":
        family = b"access-control-"
    elif not response and name[0] | 32 == c"c":
        family = b"cf-"
    elif not response and third == c"c" and name[0] | 32 == c"s":
        family = b"sec-"
    return family != NULL and strlen(family) < length and _same(name, <const uint8_t*>family, <uint32_t>strlen(family))


cdef const Name* _means_another(const uint8_t* name, uint32_t length) noexcept nogil:
    """DROPPED for a name that is one of ours to servers that read "_" as "-", as CGI does (RFC 3875 4.1.18).

    There, content_length would be a second framing, and x_api_key a second key.
    """
    cdef uint8_t plain[MAX_NAME]
    cdef uint32_t i
    for i in range(length):
        plain[i] = c"-" if name[i] == c"_" else name[i]
    return &UNKNOWN if _name(plain, length, False) == &UNKNOWN else &DROPPED


# What the gateway reads: name, Known, goes on in requests, goes on in responses. Authorization and its like
# carry the gateway's keys, ids and trace context are its own to send, framing is done anew.
_READ = (
    (b"host", K_HOST, False, False),
    (b"content-length", K_CONTENT_LENGTH, False, False),
    (b"transfer-encoding", K_TRANSFER_ENCODING, False, False),
    (b"connection", K_CONNECTION, False, False),
    (b"content-type", K_CONTENT_TYPE, True, True),
    (b"content-encoding", K_CONTENT_ENCODING, True, True),
    (b"expect", K_EXPECT, False, True),
    (b"authorization", K_AUTHORIZATION, False, True),
    (b"x-api-key", K_X_API_KEY, False, True),
    (b"api-key", K_API_KEY, False, True),
    (b"x-request-id", K_X_REQUEST_ID, False, False),
    (b"traceparent", K_TRACEPARENT, False, False),
    (b"anthropic-version", K_ANTHROPIC_VERSION, True, True),
    (b"x-stainless-retry-count", K_STAINLESS_RETRY_COUNT, True, True),
    (b"location", K_LOCATION, True, False),
    (b"date", K_DATE, True, True),
    (b"anthropic-beta", K_BETA, True, True),
    (b"openai-beta", K_BETA, True, True),
    (b"origin", K_ORIGIN, False, True),
    (b"upgrade", K_UPGRADE, False, False),
    (b"cache-control", K_CACHE_CONTROL, True, True),
    (b"x-accel-buffering", K_X_ACCEL_BUFFERING, True, True),
    (b"x-forwarded-for", K_X_FORWARDED_FOR, False, True),
)
# Hop by hop (RFC 9110 7.6.1, 11.7; RFC 9113 3.2.1 for http2-settings).
_HOP_BY_HOP = (
    b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
    b"http2-settings",
)
# Other keys, browsers' state, codings (usage is read in passing, so identity is asked for), other ids, and who the
# clients are. Whose account pays is said by the provider's configuration alone: a client's own organization makes the
# provider refuse our key. What stands for another method or path than the one that was judged here goes no further. See
# _is_of_family for x-forwarded-*, cf-*, x-original-*, x-rewrite-*, x-http-method*, sec-* and access-control-* too.
_KEPT_FROM_PROVIDERS = (
    b"x-goog-api-key", b"cookie", b"accept-encoding", b"forwarded", b"x-real-ip", b"via",
    b"true-client-ip", b"x-client-ip", b"x-cluster-client-ip", b"fastly-client-ip", b"x-originating-ip", b"x-remote-ip",
    b"x-remote-addr", b"request-id", b"ocp-apim-subscription-key", b"x-goog-user-project", b"x-amz-security-token",
    b"openai-organization", b"openai-project", b"anthropic-organization-id", b"anthropic-workspace-id",
    b"chatgpt-account-id", b"referer", b"anthropic-dangerous-direct-browser-access",
    b"x-http-method", b"x-method-override", b"x-http-host-override", b"x-host", b"x-override-url", b"x-url",
    b"x-uri", b"x-path",
)
# What leads or binds a client to the provider's own host, what tells whose account pays, what a server in front of the
# gateway would obey (x-accel-* too), and what the gateway says for itself (x-edge-* too; access-control-* is CORS).
_KEPT_FROM_CLIENTS = (
    b"content-location", b"refresh", b"link", b"nel", b"report-to", b"reporting-endpoints", b"clear-site-data",
    b"openai-organization", b"openai-project", b"anthropic-organization-id", b"anthropic-workspace-id",
    b"x-sendfile", b"x-lighttpd-send-file", b"www-authenticate",
    b"set-cookie", b"set-cookie2", b"alt-svc", b"strict-transport-security", b"server", b"via",
    b"x-should-retry", b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset", b"request-id",
)


def _tables():
    merged = {name: (known, out, back) for name, known, out, back in _READ}
    merged |= {name: (K_DROPPED, False, False) for name in _HOP_BY_HOP}
    for name in _KEPT_FROM_PROVIDERS + _KEPT_FROM_CLIENTS:
        merged[name] = (K_DROPPED, name not in _KEPT_FROM_PROVIDERS, name not in _KEPT_FROM_CLIENTS)
    return tuple((name, *rest) for name, rest in merged.items())


cdef int _fill_tables() except -1:
    alnum = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for kind, members in (
        (TOKEN, alnum + b"!#$%&'*+-.^_`|~"),
        (TARGET, alnum + b"-._~!$&'()*+,;=:@/[]"),
        (HOST, alnum + b"-._~!$&'()*+;="),
        (HEX, b"0123456789abcdefABCDEF"),
        (DIGIT, b"0123456789"),
    ):
        for byte in members:
            KIND[byte] |= kind
    for byte in range(256):
        LOWER[byte] = byte + 32 if 65 <= byte <= 90 else byte
    cdef uint32_t slot
    for i, (name, known, out, back) in enumerate(_TABLE):
        NAMES[i] = Name(name, len(name), known, out, back)
        slot = _slot(name, len(name))
        while SLOTS[slot]:
            slot = (slot + 1) & (NAME_SLOTS - 1)
        SLOTS[slot] = i + 1
    return 0


cdef int field_number(bytes name) except -1:
    """Where Head.known has the field of this name. ValueError: nowhere."""
    for text, known, _, _ in _READ:
        if text == name:
            return known
    raise ValueError(f"the gateway does not read {name.decode()}")


_TABLE = _tables()              # owns the bytes that NAMES points at
_fill_tables()
