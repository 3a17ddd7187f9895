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
    content_coding = 12
    upgrade_refused = 13
    json_invalid = 14
    field_missing = 15
    field_type = 16
    field_value = 17
    key_missing = 18
    key_malformed = 19
    key_unknown = 20
    key_disabled = 21
    key_expired = 22
    scope_missing = 23
    model_denied = 24
    model_unknown = 25
    rate_limited = 26
    global_rate_limited = 27
    gateway_overloaded = 28
    draining = 29
    not_implemented = 30
    provider_auth = 31
    provider_quota = 32
    provider_region = 33
    provider_rate_limited = 34
    provider_overloaded = 35
    circuit_open = 36
    keys_limited = 37
    provider_unreachable = 38
    provider_disconnected = 39
    provider_timeout = 40
    provider_error = 41
    provider_misconfigured = 42
    provider_rejected = 43
    context_length = 44
    provider_response_invalid = 45
    provider_cut = 46
    provider_stalled = 47
    internal_error = 48
    out_of_memory = 49
    disk_full = 50
    config_invalid = 51
    config_missing_field = 52
    config_value = 53
    model_rate_limited = 54
    concurrency_limited = 55
    model_concurrency_limited = 56
    global_concurrency_limited = 57
    key_frozen = 58
    key_revoked = 59
    key_unavailable = 60
    ip_denied = 61
    ip_not_allowed = 62
    time_window_denied = 63
    setting_invalid = 64
    resource_missing = 65
    resource_conflict = 66
    settings_conflict = 67
    key_rotation_pending = 68
    store_unavailable = 69
