"""What clients of each contract are promised, stated once more and by hand, for tests to hold the gateway to.

A line is: condition, status, type, code, param, and after | the message. `=` stands for the status' reason phrase in
snake case, `?` for the provider's own status, `-` for null. Without | the contract does not fix the message; then it
must name the facts of the case. Names in braces are facts of the case, also as a param. Where a condition
is like another (meanings.py), contracts answer it as they do the other, a code that is the other's name excepted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.gateway.meanings import MEANINGS

OPENAI = """
    request_malformed 400 invalid_request_error request_malformed -
    request_timeout 408 invalid_request_error request_timeout -
    uri_too_long 414 invalid_request_error uri_too_long -
    headers_too_large 431 invalid_request_error headers_too_large -
    body_too_large 413 invalid_request_error body_too_large -
    body_unreadable 400 invalid_request_error body_unreadable -
    version_unsupported 505 invalid_request_error version_unsupported -
    endpoint_unknown 404 invalid_request_error unknown_url - | Unknown request URL: {method} {path}
    method_not_allowed 405 invalid_request_error method_not_allowed -
    content_type 400 invalid_request_error content_type -
    content_coding 415 invalid_request_error content_coding -
    upgrade_refused 426 invalid_request_error upgrade_refused -
    json_invalid 400 invalid_request_error - -
    field_missing 400 invalid_request_error missing_required_parameter {field} | Missing required parameter: '{field}'.
    field_type 400 invalid_request_error invalid_type {field}
    field_value 400 invalid_request_error invalid_value {field}
    key_missing 401 invalid_request_error - -
    key_malformed 401 invalid_request_error invalid_api_key -
    key_unknown 401 invalid_request_error invalid_api_key -
    key_wrong_workspace 401 invalid_request_error invalid_api_key -
    key_disabled 401 invalid_request_error invalid_api_key -
    key_revoked/403 403 invalid_request_error invalid_api_key -
    key_expired 401 invalid_request_error invalid_api_key -
    scope_missing 403 invalid_request_error missing_scope -
    model_denied 403 invalid_request_error model_not_allowed model
    model_unknown 404 invalid_request_error model_not_found model
    rate_limited 429 requests rate_limit_exceeded -
    global_rate_limited 429 requests rate_limit_exceeded -
    balance_insufficient 429 insufficient_quota insufficient_quota -
    gateway_overloaded 503 server_error gateway_overloaded -
    draining 503 server_error draining -
    not_implemented 501 invalid_request_error not_implemented -
    provider_auth 502 server_error provider_auth -
    provider_quota 502 server_error provider_quota -
    provider_region 502 server_error provider_region -
    provider_rate_limited 429 requests rate_limit_exceeded -
    provider_rate_limited/mask 502 server_error provider_rate_limited -
    provider_overloaded 503 server_error provider_overloaded -
    circuit_open 503 server_error circuit_open -
    keys_limited 429 requests rate_limit_exceeded -
    provider_unreachable 502 server_error provider_unreachable -
    provider_timeout 504 server_error provider_timeout -
    provider_error 502 server_error provider_error -
    provider_misconfigured 502 server_error provider_misconfigured -
    provider_rejected ? invalid_request_error provider_rejected - | {message}
    context_length ? invalid_request_error context_length_exceeded - | {message}
    provider_response_invalid 502 server_error provider_response_invalid -
    provider_stalled 504 server_error provider_stalled -
    internal_error 500 server_error internal_error -
    out_of_memory 500 server_error out_of_memory -
    disk_full 500 server_error disk_full -
    config_invalid 500 server_error config_invalid -
    config_missing_field 500 server_error config_missing_field {field}
    setting_invalid 400 invalid_request_error setting_invalid {field}
    resource_missing 404 invalid_request_error resource_missing -
    resource_conflict 409 invalid_request_error resource_conflict -
    settings_conflict 412 invalid_request_error settings_conflict -
    key_rotation_pending 409 invalid_request_error key_rotation_pending -
    store_unavailable 503 server_error store_unavailable -
    model_capability 400 invalid_request_error model_capability model
"""

ANTHROPIC = """
    request_malformed 400 invalid_request_error request_malformed -
    request_timeout 408 timeout_error request_timeout -
    uri_too_long 414 request_too_large uri_too_long -
    headers_too_large 431 request_too_large headers_too_large -
    body_too_large 413 request_too_large body_too_large -
    body_unreadable 400 invalid_request_error body_unreadable -
    version_unsupported 505 invalid_request_error version_unsupported -
    endpoint_unknown 404 not_found_error endpoint_unknown -
    method_not_allowed 405 invalid_request_error method_not_allowed -
    content_type 400 invalid_request_error content_type -
    content_coding 415 invalid_request_error content_coding -
    upgrade_refused 426 invalid_request_error upgrade_refused -
    json_invalid 400 invalid_request_error json_invalid -
    field_missing 400 invalid_request_error field_missing {field} | {field}: Field required
    field_type 400 invalid_request_error field_type {field}
    field_value 400 invalid_request_error field_value {field}
    key_missing 401 authentication_error key_missing -
    key_malformed 401 authentication_error key_malformed -
    key_unknown 401 authentication_error key_unknown -
    key_disabled 401 authentication_error key_disabled -
    key_revoked/403 403 permission_error key_revoked -
    key_expired 401 authentication_error key_expired -
    scope_missing 403 permission_error scope_missing -
    model_denied 403 permission_error model_denied model
    model_unknown 404 not_found_error model_unknown model | model: {model}
    rate_limited 429 rate_limit_error rate_limited -
    global_rate_limited 429 rate_limit_error global_rate_limited -
    balance_insufficient 402 billing_error balance_insufficient -
    gateway_overloaded 503 overloaded_error gateway_overloaded -
    draining 503 overloaded_error draining -
    not_implemented 501 invalid_request_error not_implemented -
    provider_auth 502 api_error provider_auth -
    provider_quota 502 api_error provider_quota -
    provider_region 502 api_error provider_region -
    provider_rate_limited 429 rate_limit_error provider_rate_limited -
    provider_rate_limited/mask 502 api_error provider_rate_limited -
    provider_overloaded 529 overloaded_error provider_overloaded -
    circuit_open 503 overloaded_error circuit_open -
    keys_limited 429 rate_limit_error keys_limited -
    provider_unreachable 502 api_error provider_unreachable -
    provider_timeout 504 timeout_error provider_timeout -
    provider_error 502 api_error provider_error -
    provider_misconfigured 502 api_error provider_misconfigured -
    provider_rejected ? invalid_request_error provider_rejected - | {message}
    context_length ? invalid_request_error context_length - | {message}
    provider_response_invalid 502 api_error provider_response_invalid -
    provider_stalled 504 timeout_error provider_stalled -
    internal_error 500 api_error internal_error -
    out_of_memory 500 api_error out_of_memory -
    disk_full 500 api_error disk_full -
    config_invalid 500 api_error config_invalid -
    config_missing_field 500 api_error config_missing_field {field}
    setting_invalid 400 invalid_request_error setting_invalid {field}
    resource_missing 404 not_found_error resource_missing -
    resource_conflict 409 invalid_request_error resource_conflict -
    settings_conflict 412 invalid_request_error settings_conflict -
    key_rotation_pending 409 invalid_request_error key_rotation_pending -
    store_unavailable 503 api_error store_unavailable -
    model_capability 400 invalid_request_error model_capability model
"""

TOKENPAK = """
    request_malformed 400 = VALIDATION_006 -
    request_timeout 408 = TIMEOUT_002 -
    uri_too_long 414 = VALIDATION_009 -
    headers_too_large 431 = VALIDATION_008 -
    body_too_large 413 = VALIDATION_010 -
    body_unreadable 400 = VALIDATION_007 -
    version_unsupported 505 = VALIDATION_011 -
    endpoint_unknown 404 = ROUTE_001 -
    method_not_allowed 405 = ROUTE_003 -
    content_type 400 = VALIDATION_005 -
    content_coding 415 = VALIDATION_014 -
    upgrade_refused 426 = ROUTE_005 -
    json_invalid 400 = VALIDATION_001 - | Invalid JSON payload. Check syntax.
    field_missing 400 = VALIDATION_002 - | Missing required field: {field}
    field_type 400 = VALIDATION_003 - | Field '{field}' must be {expected}, got {got}
    field_value 400 = VALIDATION_004 -
    key_missing 401 = AUTH_001 - | Invalid or missing authentication
    key_malformed 401 = AUTH_002 - | Invalid authentication format. Expected: Bearer <token>
    key_unknown 401 = AUTH_003 - | Authentication failed. Key may be expired or revoked
    key_disabled 401 = AUTH_003 - | Authentication failed. Key may be expired or revoked
    key_revoked/403 403 = AUTH_003 - | Authentication failed. Key may be expired or revoked
    key_expired 401 = AUTH_003 - | Authentication failed. Key may be expired or revoked
    scope_missing 403 = AUTH_004 -
    model_denied 403 = AUTH_005 -
    model_unknown 404 = ROUTE_002 -
    rate_limited 429 = RATELIMIT_001 - | Rate limit exceeded. Retry-After: {retry_after}
    global_rate_limited 429 = RATELIMIT_001 - | Rate limit exceeded. Retry-After: {retry_after}
    balance_insufficient 402 = RATELIMIT_003 -
    gateway_overloaded 503 = RESOURCE_003 -
    draining 503 = RESOURCE_004 -
    not_implemented 501 = ROUTE_004 -
    provider_auth 502 = PROVIDER_001 - | Provider rejected request: Invalid API key
    provider_quota 502 = PROVIDER_004 - | Provider error: out of quota or credit
    provider_region 502 = PROVIDER_004 - | Provider error: region not served
    provider_rate_limited 429 = RATELIMIT_002 - | Provider rate limit exceeded. Retry-After: {retry_after}
    provider_rate_limited/mask 502 = PROVIDER_002 - | Provider rate limit exceeded
    provider_overloaded 502 = PROVIDER_004 - | Provider error: {upstream_status} {upstream_reason}
    circuit_open 503 = RESOURCE_005 -
    keys_limited 429 = RATELIMIT_002 - | Provider rate limit exceeded. Retry-After: {retry_after}
    provider_unreachable 502 = PROVIDER_003 - | Unable to reach provider: {reason}
    provider_timeout 504 = TIMEOUT_001 - | Request to upstream took too long (>{timeout}s)
    provider_error 502 = PROVIDER_004 - | Provider error: {upstream_status} {upstream_reason}
    provider_misconfigured 502 = PROVIDER_004 - | Provider error: {reason}
    provider_rejected ? = VALIDATION_012 - | {message}
    context_length ? = VALIDATION_013 - | {message}
    provider_response_invalid 502 = PROVIDER_004 -
    provider_stalled 504 = TIMEOUT_001 -
    internal_error 500 = INTERNAL_001 -
    out_of_memory 500 = RESOURCE_001 - | Cannot allocate memory
    disk_full 500 = RESOURCE_002 - | No space left on device
    config_invalid 500 = CONFIG_001 - | Failed to load config: YAML syntax error at line {line}
    config_missing_field 500 = CONFIG_002 - | Config validation failed: Missing required field '{field}'
    config_value 500 = CONFIG_003 - | Config validation failed: {reason}
    setting_invalid 400 = VALIDATION_004 -
    resource_missing 404 = ROUTE_006 -
    resource_conflict 409 = VALIDATION_015 -
    settings_conflict 412 = VALIDATION_016 -
    key_rotation_pending 409 = VALIDATION_017 -
    store_unavailable 503 = RESOURCE_006 -
    model_capability 400 = VALIDATION_018 -
"""

TOKENFACTORY = """
    request_malformed 400 invalid_request_error request_malformed -
    request_timeout 408 timeout_error request_timeout -
    uri_too_long 414 invalid_request_error uri_too_long -
    headers_too_large 431 invalid_request_error headers_too_large -
    body_too_large 413 invalid_request_error body_too_large -
    body_unreadable 400 invalid_request_error body_unreadable -
    version_unsupported 505 invalid_request_error version_unsupported -
    endpoint_unknown 404 not_found_error endpoint_unknown -
    method_not_allowed 405 invalid_request_error method_not_allowed -
    content_type 400 invalid_request_error content_type -
    content_coding 415 invalid_request_error content_coding -
    upgrade_refused 426 invalid_request_error upgrade_refused -
    json_invalid 400 invalid_request_error json_invalid -
    field_missing 400 invalid_request_error field_missing {field}
    field_type 400 invalid_request_error field_type {field}
    field_value 422 invalid_request_error field_value {field}
    key_missing 401 authentication_error key_missing -
    key_malformed 401 authentication_error key_malformed -
    key_unknown 401 authentication_error key_unknown -
    key_disabled 403 permission_error key_disabled -
    key_revoked/401 401 authentication_error key_revoked -
    key_expired 401 authentication_error key_expired -
    scope_missing 403 permission_error scope_missing -
    model_denied 403 permission_error model_denied model
    model_unknown 404 not_found_error model_unknown model
    rate_limited 429 rate_limit_error rate_limited -
    global_rate_limited 429 rate_limit_error global_rate_limited -
    balance_insufficient 402 insufficient_quota balance_insufficient -
    gateway_overloaded 503 server_error gateway_overloaded -
    draining 503 server_error draining -
    not_implemented 501 invalid_request_error not_implemented model
    provider_auth 502 upstream_error provider_auth -
    provider_quota 502 upstream_error provider_quota -
    provider_region 502 upstream_error provider_region -
    provider_rate_limited 429 rate_limit_error provider_rate_limited -
    provider_rate_limited/mask 502 upstream_error provider_rate_limited -
    provider_overloaded 503 upstream_error provider_overloaded -
    circuit_open 503 upstream_error circuit_open model
    keys_limited 429 rate_limit_error keys_limited -
    provider_unreachable 502 upstream_error provider_unreachable -
    provider_timeout 408 timeout_error provider_timeout -
    provider_error 502 upstream_error provider_error -
    provider_misconfigured 502 upstream_error provider_misconfigured -
    provider_rejected ? invalid_request_error provider_rejected - | {message}
    context_length ? invalid_request_error context_length - | {message}
    provider_response_invalid 502 upstream_error provider_response_invalid -
    provider_stalled 408 timeout_error provider_stalled -
    internal_error 500 server_error internal_error -
    out_of_memory 500 server_error out_of_memory -
    disk_full 500 server_error disk_full -
    config_invalid 500 server_error config_invalid -
    config_missing_field 500 server_error config_missing_field {field}
    setting_invalid 422 invalid_request_error setting_invalid {field}
    resource_missing 404 not_found_error resource_missing -
    resource_conflict 409 invalid_request_error resource_conflict -
    settings_conflict 409 invalid_request_error settings_conflict -
    key_rotation_pending 409 invalid_request_error key_rotation_pending -
    store_unavailable 503 server_error store_unavailable -
    model_capability 400 invalid_request_error model_capability model
"""

TOKENBAY = """
    request_malformed 400 = request_malformed -
    request_timeout 408 = request_timeout -
    uri_too_long 414 = uri_too_long -
    headers_too_large 431 = headers_too_large -
    body_too_large 413 = body_too_large -
    body_unreadable 400 = body_unreadable -
    version_unsupported 505 = version_unsupported -
    endpoint_unknown 404 = endpoint_unknown -
    method_not_allowed 405 = method_not_allowed -
    content_type 400 = content_type -
    content_coding 415 = content_coding -
    upgrade_refused 426 = upgrade_refused -
    json_invalid 400 = json_invalid -
    field_missing 400 = field_missing -
    field_type 400 = field_type -
    field_value 400 = field_value -
    key_missing 401 = key_missing -
    key_malformed 401 = key_malformed -
    key_unknown 401 = key_unknown -
    key_disabled 403 = api_key_disabled -
    key_revoked/401 401 = api_key_disabled -
    key_unavailable 403 = api_key_unavailable -
    user_banned 403 = user_banned -
    feature_disabled 403 = feature_disabled -
    ip_denied 403 = ip_denied_by_blacklist -
    ip_not_allowed 403 = ip_not_in_whitelist -
    time_window_denied 403 = access_rule_time_window_denied -
    key_expired 403 = api_key_expired -
    scope_missing 403 = api_key_scope_missing -
    model_denied 403 = api_key_model_not_allowed -
    group_denied 403 = group_denied -
    model_unknown 404 = model_not_found -
    rate_limited 429 = api_key_rate_limited -
    model_rate_limited 429 = model_rate_limited -
    account_rate_limited 429 = account_rate_limited -
    account_concurrency_limited 429 = account_concurrency_limited -
    group_rate_limited 429 = group_rate_limited -
    group_concurrency_limited 429 = group_concurrency_limited -
    quota_exceeded 429 = quota_exceeded -
    concurrency_limited 429 = concurrency_limited -
    model_concurrency_limited 429 = model_concurrency_limited -
    global_rate_limited 429 = global_rate_limited -
    balance_insufficient 403 = account_point_insufficient -
    key_balance_insufficient 403 = api_key_point_insufficient -
    key_period_limited 429 = api_key_point_limit_exceeded -
    gateway_overloaded 503 = gateway_overloaded -
    draining 503 = draining -
    not_implemented 501 = not_implemented -
    provider_auth 503 = provider_auth -
    provider_quota 503 = provider_quota -
    provider_region 500 = provider_region -
    provider_rate_limited 429 = provider_rate_limited -
    provider_rate_limited/mask 502 = provider_rate_limited -
    provider_overloaded 429 = provider_overloaded -
    circuit_open 503 = circuit_open -
    keys_limited 503 = keys_limited -
    provider_unreachable 500 = provider_unreachable -
    provider_timeout 504 = provider_timeout -
    provider_error 500 = provider_error -
    provider_misconfigured 500 = provider_misconfigured -
    provider_rejected ? = provider_rejected - | {message}
    context_length ? = context_length - | {message}
    provider_response_invalid 500 = provider_response_invalid -
    provider_stalled 504 = provider_stalled -
    internal_error 500 = internal_error -
    out_of_memory 503 = out_of_memory - | The gateway is overloaded: memory
    disk_full 503 = disk_full - | The gateway is overloaded: disk
    config_invalid 500 = config_invalid -
    config_missing_field 500 = config_missing_field -
    setting_invalid 400 = setting_invalid -
    resource_missing 404 = resource_missing -
    resource_conflict 409 = resource_conflict -
    settings_conflict 412 = settings_conflict -
    key_rotation_pending 409 = key_rotation_pending -
    store_unavailable 503 = store_unavailable -
    model_disabled 403 = model_disabled -
    model_capability 403 = model_capability_not_supported -
"""

TOKEN360 = """
    request_malformed 400 invalid_request_error 400 -
    request_timeout 408 invalid_request_error 408 -
    uri_too_long 414 invalid_request_error 414 -
    headers_too_large 431 invalid_request_error 431 -
    body_too_large 413 invalid_request_error 413 -
    body_unreadable 400 invalid_request_error 400 -
    version_unsupported 505 invalid_request_error 505 -
    endpoint_unknown 404 not_found_error 404 -
    method_not_allowed 405 invalid_request_error 405 -
    content_type 400 invalid_request_error 400 -
    content_coding 415 invalid_request_error 415 -
    upgrade_refused 426 invalid_request_error 426 -
    json_invalid 400 invalid_request_error 400 -
    field_missing 400 invalid_request_error 400 {field}
    field_type 400 invalid_request_error 400 {field}
    field_value 400 invalid_request_error 400 {field}
    key_missing 401 invalid_api_key 401 - | Invalid API key or token provided
    key_malformed 401 invalid_api_key 401 - | Invalid API key or token provided
    key_unknown 401 invalid_api_key 401 - | Invalid API key or token provided
    key_disabled 403 api_key_frozen 403 - | The API key is frozen
    key_revoked/403 403 permission_error 403 - | This gateway's API key was revoked
    key_revoked 401 invalid_api_key 401 - | Invalid API key or token provided
    key_expired 401 invalid_api_key 401 - | Invalid API key or token provided
    scope_missing 403 model_access_denied 403 -
    model_denied 403 model_access_denied 403 model
    model_unknown 404 model_not_found 404 model | The requested model does not exist
    rate_limited 429 rate_limit_error 429 - | Rate limit exceeded. Please slow down your requests
    global_rate_limited 429 rate_limit_error 429 - | Rate limit exceeded. Please slow down your requests
    balance_insufficient 402 insufficient_balance 402 -
    gateway_overloaded 503 api_error 503 -
    draining 503 api_error 503 -
    not_implemented 501 api_error 501 -
    provider_auth 502 api_error 502 -
    provider_quota 502 api_error 502 -
    provider_region 502 api_error 502 -
    provider_rate_limited 502 api_error 502 -
    provider_overloaded 502 api_error 502 -
    circuit_open 503 api_error 503 -
    keys_limited 502 api_error 502 -
    provider_unreachable 502 api_error 502 -
    provider_timeout 502 api_error 502 -
    provider_error 502 api_error 502 -
    provider_misconfigured 502 api_error 502 -
    provider_rejected ? invalid_request_error ? - | {message}
    context_length ? invalid_request_error ? - | {message}
    provider_response_invalid 502 api_error 502 -
    provider_stalled 502 api_error 502 -
    internal_error 500 api_error 500 - | An internal error occurred
    out_of_memory 503 api_error 503 -
    disk_full 500 api_error 500 -
    config_invalid 500 api_error 500 -
    config_missing_field 500 api_error 500 {field}
    setting_invalid 400 invalid_request_error 400 {field}
    resource_missing 404 not_found_error 404 -
    resource_conflict 409 invalid_request_error 409 -
    settings_conflict 412 invalid_request_error 412 -
    key_rotation_pending 409 invalid_request_error 409 -
    store_unavailable 503 api_error 503 -
    model_capability 400 invalid_request_error 400 model
"""

GENERIC = """
    request_malformed 400 = request_malformed -
    request_timeout 408 = request_timeout -
    uri_too_long 414 = uri_too_long -
    headers_too_large 431 = headers_too_large -
    body_too_large 413 = body_too_large -
    body_unreadable 400 = body_unreadable -
    version_unsupported 505 = version_unsupported -
    endpoint_unknown 404 = endpoint_unknown -
    method_not_allowed 405 = method_not_allowed -
    content_type 400 = content_type -
    content_coding 415 = content_coding -
    upgrade_refused 426 = upgrade_refused -
    json_invalid 400 = json_invalid -
    field_missing 400 = field_missing {field}
    field_type 400 = field_type {field}
    field_value 400 = field_value {field}
    key_missing 401 = key_missing -
    key_malformed 401 = key_malformed -
    key_unknown 401 = key_unknown -
    key_disabled 401 = key_disabled -
    key_revoked/403 403 = key_revoked -
    key_expired 401 = key_expired -
    scope_missing 403 = scope_missing -
    model_denied 403 = model_denied model
    model_unknown 404 = model_unknown model
    rate_limited 429 = rate_limited -
    global_rate_limited 429 = global_rate_limited -
    balance_insufficient 402 = balance_insufficient -
    gateway_overloaded 503 = gateway_overloaded -
    draining 503 = draining -
    not_implemented 501 = not_implemented -
    provider_auth 502 = provider_auth -
    provider_quota 502 = provider_quota -
    provider_region 502 = provider_region -
    provider_rate_limited 502 = provider_rate_limited -
    provider_overloaded 502 = provider_overloaded -
    circuit_open 503 = circuit_open -
    keys_limited 502 = keys_limited -
    provider_unreachable 502 = provider_unreachable -
    provider_timeout 504 = provider_timeout -
    provider_error 502 = provider_error -
    provider_misconfigured 502 = provider_misconfigured -
    provider_rejected ? = provider_rejected - | {message}
    context_length ? = context_length - | {message}
    provider_response_invalid 502 = provider_response_invalid -
    provider_stalled 504 = provider_stalled -
    internal_error 500 = internal_error -
    out_of_memory 503 = out_of_memory -
    disk_full 500 = disk_full -
    config_invalid 500 = config_invalid -
    config_missing_field 500 = config_missing_field {field}
    setting_invalid 400 = setting_invalid {field}
    resource_missing 404 = resource_missing -
    resource_conflict 409 = resource_conflict -
    settings_conflict 412 = settings_conflict -
    key_rotation_pending 409 = key_rotation_pending -
    store_unavailable 503 = store_unavailable -
    model_capability 400 = model_capability model
"""

@dataclass(frozen=True)
class Row:
    """What one contract answers to one condition. `status` 0: the provider's own; None: null, or not fixed."""

    status: int
    type: str
    code: str | None
    param: str | None
    message: str | None


def _row(line: str) -> tuple[str, Row]:
    promised, bar, text = line.partition(" | ")
    name, status, kind, code, param = promised.split()
    return name, Row(0 if status == "?" else int(status), kind, None if code == "-" else code,
                     None if param == "-" else param, text if bar else None)


def _rows(table: str) -> dict[str, Row]:
    rows = dict(map(_row, map(str.strip, table.strip().splitlines())))
    alike = {name: (meaning.like, rows[meaning.like]) for name, meaning in MEANINGS.items()
             if meaning.like and name not in rows}
    return rows | {name: replace(row, code=name) if row.code == other else row for name, (other, row) in alike.items()}


CONTRACTS: dict[str, dict[str, Row]] = {
    name: _rows(table) for name, table in (
        ("openai", OPENAI), ("anthropic", ANTHROPIC), ("tokenpak", TOKENPAK), ("tokenfactory", TOKENFACTORY),
        ("tokenbay", TOKENBAY), ("token360", TOKEN360), ("generic", GENERIC))}
