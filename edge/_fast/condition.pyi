"""Everything that can go wrong, numbered: see condition.pxd, whose order this keeps."""

from enum import IntEnum

class Condition(IntEnum):
    """Everything that can go wrong. The number is the index of its templates and of its counters."""

    ok = 0
    client_closed = 1
    request_malformed = 2
    request_timeout = 3
    uri_too_long = 4
    headers_too_large = 5
    body_too_large = 6
    body_unreadable = 7
    version_unsupported = 8
    endpoint_unknown = 9
    method_not_allowed = 10
    content_type = 11
    json_invalid = 12
    field_missing = 13
    field_type = 14
    field_value = 15
    key_missing = 16
    key_malformed = 17
    key_unknown = 18
    key_disabled = 19
    key_expired = 20
    scope_missing = 21
    model_denied = 22
    model_unknown = 23
    rate_limited = 24
    global_rate_limited = 25
    gateway_overloaded = 26
    draining = 27
    not_implemented = 28
    provider_auth = 29
    provider_quota = 30
    provider_region = 31
    provider_rate_limited = 32
    provider_overloaded = 33
    circuit_open = 34
    provider_unreachable = 35
    provider_disconnected = 36
    provider_timeout = 37
    provider_error = 38
    provider_misconfigured = 39
    provider_rejected = 40
    context_length = 41
    provider_response_invalid = 42
    provider_cut = 43
    provider_stalled = 44
    internal_error = 45
    out_of_memory = 46
    disk_full = 47
    config_invalid = 48
    config_missing_field = 49
