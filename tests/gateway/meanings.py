"""What is the same in every contract, stated once more and by hand: whose fault a condition is, and whether to retry.

A line is: condition, blame, retry, and the condition as which contracts answer it that have no line for it.
"""

from __future__ import annotations

from dataclasses import dataclass

CONDITIONS = """
    request_malformed client never
    request_timeout client now
    uri_too_long client never
    headers_too_large client never
    body_too_large client never
    body_unreadable client never
    version_unsupported client never
    endpoint_unknown client never
    method_not_allowed client never
    content_type client never
    content_coding client never
    upgrade_refused client never
    json_invalid client never
    field_missing client never
    field_type client never
    field_value client never
    key_missing tenant never
    key_malformed tenant never
    key_unknown tenant never
    key_disabled tenant never
    key_expired tenant never
    scope_missing tenant never
    model_denied tenant never
    model_unknown client never
    rate_limited tenant later
    global_rate_limited edge later
    gateway_overloaded edge later
    draining edge later
    not_implemented client never
    provider_auth upstream never
    provider_quota upstream never
    provider_region upstream never
    provider_rate_limited upstream later
    provider_overloaded upstream later
    circuit_open upstream later
    keys_limited upstream later
    provider_unreachable upstream later
    provider_disconnected upstream never provider_unreachable
    provider_timeout upstream never
    provider_error upstream later
    provider_misconfigured edge never
    provider_rejected client never
    context_length client never
    provider_response_invalid upstream never
    provider_cut upstream never provider_response_invalid
    provider_stalled upstream never
    internal_error edge later
    out_of_memory edge later
    disk_full edge later
    config_invalid edge never
    config_missing_field edge never
    config_value edge never config_invalid
    model_rate_limited tenant later rate_limited
    concurrency_limited tenant later rate_limited
    model_concurrency_limited tenant later rate_limited
    global_concurrency_limited edge later global_rate_limited
    key_frozen tenant never key_disabled
    key_revoked tenant never key_disabled
    key_unavailable tenant never key_disabled
    ip_denied tenant never scope_missing
    ip_not_allowed tenant never scope_missing
    time_window_denied tenant never scope_missing
    setting_invalid client never field_value
    resource_missing client never endpoint_unknown
    resource_conflict client never field_value
    settings_conflict client never field_value
    key_rotation_pending client never field_value
    store_unavailable edge later disk_full
    user_banned tenant never key_disabled
    group_denied tenant never model_denied
    key_wrong_workspace tenant never key_unknown
    feature_disabled tenant never scope_missing
    account_rate_limited tenant later rate_limited
    account_concurrency_limited tenant later rate_limited
    group_rate_limited tenant later rate_limited
    group_concurrency_limited tenant later rate_limited
    quota_exceeded tenant later rate_limited
    balance_insufficient tenant never
    key_balance_insufficient tenant never balance_insufficient
    key_period_limited tenant later rate_limited
    maintenance edge later draining
    model_disabled client never model_denied
    model_capability client never model_denied
"""


@dataclass(frozen=True)
class Meaning:
    """What is the same in every contract."""

    blame: str
    retry: str
    like: str | None = None


MEANINGS = {name: Meaning(*facts) for name, *facts in map(str.split, CONDITIONS.strip().splitlines())}
