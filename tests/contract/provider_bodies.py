"""Errors as providers send them: what each answers with, and what it means."""

from __future__ import annotations

from typing import Any

import orjson

from edge._fast import Condition as C


def openai(message: str, kind: str | None, code: str | None = None, **more: Any) -> dict[str, Any]:
    """OpenAI's shape, which many speak."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def anthropic(kind: str, message: str) -> dict[str, Any]:
    """Anthropic's shape."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011CSHoEeqs5"}


def vllm(message: str, kind: str, code: int) -> dict[str, Any]:
    """vLLM's older shape, which is Mistral's too."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def google(code: int, message: str, status: str, **detail: str) -> list[dict[str, Any]]:
    """Google's shape on its OpenAI-compatible routes."""
    return [{"error": {"code": code, "message": message, "status": status, "details": [detail] if detail else []}}]


def told(body: Any) -> str:
    """The message of an error object."""
    message: str = body["error"]["message"]
    return message


CUT_OFF = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or " \
    "purchase credits."
TOO_LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
QUOTA = "You exceeded your current quota, please check your plan and billing details."
REGION = "unsupported_country_region_territory"
INVALID, NOT_FOUND = "Client specified an invalid argument", "Some requested entity was not found"
VIRTUAL = "Access denied due to Virtual Network/Firewall rules."

def xai(code: str, message: str) -> dict[str, Any]:
    """xAI's shape."""
    return {"code": code, "error": message}


# Status, body, condition, the provider's words (...: error.message), and its name for the error.
Life = tuple[int, Any, C, Any, str | None]
OPENAI: list[Life] = [
    (401, openai("Incorrect API key provided: sk-x.", "invalid_request_error", "invalid_api_key"), C.provider_auth, ...,
     "invalid_api_key"),
    (403, openai("Country, region, or territory not supported", "request_forbidden", REGION), C.provider_region, ...,
     REGION),
    (403, openai("Project `p` does not have access to model `m`", "invalid_request_error", "model_not_found"),
     C.provider_auth, ..., "model_not_found"),
    (429, openai("Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000. "
                 "Please try again in 2s.", "tokens", "rate_limit_exceeded"), C.provider_rate_limited, ...,
     "rate_limit_exceeded"),
    (429, openai(QUOTA, "insufficient_quota", "insufficient_quota"), C.provider_quota, ..., "insufficient_quota"),
    (429, openai("Your account is not active, please check your billing details on our website.", "billing_not_active",
                 "billing_not_active"), C.provider_quota, ..., "billing_not_active"),
    (400, openai("Billing hard limit has been reached.", "invalid_request_error", "billing_hard_limit_reached"),
     C.provider_quota, ..., "billing_hard_limit_reached"),
    (400, openai(TOO_LONG, "invalid_request_error", "context_length_exceeded"), C.context_length, ...,
     "context_length_exceeded"),
    (400, openai("Invalid value: 'x'.", "invalid_request_error"), C.provider_rejected, ..., "invalid_request_error"),
    (404, openai("The model `m` does not exist or you do not have access to it.", "invalid_request_error",
                 "model_not_found"), C.model_unknown, ..., "model_not_found"),
    (500, openai("The server had an error while processing your request. Sorry about that!", "server_error"),
     C.provider_error, ..., "server_error"),
    (503, openai("The engine is currently overloaded, please try again later.", "server_error"),
     C.provider_overloaded, ..., "server_error"),
    (503, openai("Slow Down", "server_error", "slow_down"), C.provider_overloaded, ..., "slow_down"),
    (503, openai("Service Unavailable", "server_error"), C.provider_error, ..., "server_error"),
    (200, openai("The server had an error", "server_error"), C.provider_error, ..., "server_error"),
    (200, openai("Rate limit reached", "requests", "rate_limit_exceeded"), C.provider_rate_limited, ...,
     "rate_limit_exceeded"),
    (200, openai(QUOTA, "insufficient_quota", "insufficient_quota"), C.provider_quota, ..., "insufficient_quota"),
    (200, openai("no", "invalid_request_error"), C.provider_rejected, ..., "invalid_request_error"),
    (200, openai("overloaded, quota, context length", "made_up"), C.provider_error, ..., "made_up"),
    (200, {"type": "error", "code": "server_error", "message": "Oops", "param": None, "sequence_number": 3},
     C.provider_error, "Oops", "server_error"),
    (200, {"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "error": {
        "code": "rate_limit_exceeded", "message": "Slower"}}}, C.provider_rate_limited, "Slower",
     "rate_limit_exceeded"),
    (200, {"type": "response.failed", "response": {"status": "failed", "error": {
        "code": "context_length_exceeded", "message": "Long"}}}, C.context_length, "Long", "context_length_exceeded"),
]
ANTHROPIC: list[Life] = [
    (400, anthropic("invalid_request_error", "max_tokens: Field required"), C.provider_rejected, ...,
     "invalid_request_error"),
    (400, anthropic("invalid_request_error", CUT_OFF), C.provider_quota, ..., "invalid_request_error"),
    (400, anthropic("invalid_request_error", "Your credit balance is too low."), C.provider_quota, ...,
     "invalid_request_error"),
    (400, anthropic("invalid_request_error", "You have reached your specified API usage limits. You will regain access "
                    "on 2026-01-01 at 00:00 UTC."), C.provider_quota, ..., "invalid_request_error"),
    (400, anthropic("invalid_request_error", "This organization has been disabled."), C.provider_auth, ...,
     "invalid_request_error"),
    (400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), C.context_length,
     ..., "invalid_request_error"),
    (400, anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit: 198000 + 21333 > "
                    "200000, decrease input length or `max_tokens` and try again"), C.context_length, ...,
     "invalid_request_error"),
    (401, anthropic("authentication_error", "invalid x-api-key"), C.provider_auth, ..., "authentication_error"),
    (402, anthropic("billing_error", "Payment required"), C.provider_quota, ..., "billing_error"),
    (403, anthropic("permission_error", "Your API key does not have permission"), C.provider_auth, ...,
     "permission_error"),
    (403, anthropic("forbidden", "Request not allowed"), C.provider_region, ..., "forbidden"),
    (404, anthropic("not_found_error", "model: claude-9"), C.model_unknown, ..., "not_found_error"),
    (413, anthropic("request_too_large", "Request exceeds the maximum size"), C.provider_rejected, ...,
     "request_too_large"),
    (429, anthropic("rate_limit_error", "This request would exceed your organization's rate limit of 50 requests"),
     C.provider_rate_limited, ..., "rate_limit_error"),
    (500, anthropic("api_error", "Internal server error"), C.provider_error, ..., "api_error"),
    (500, anthropic("overloaded_error", "Overloaded"), C.provider_overloaded, ..., "overloaded_error"),
    (504, anthropic("timeout_error", "Request timed out"), C.provider_error, ..., "timeout_error"),
    (529, anthropic("overloaded_error", "Overloaded"), C.provider_overloaded, ..., "overloaded_error"),
    *((200, anthropic(kind, "so"), condition, ..., kind) for kind, condition in (
        ("overloaded_error", C.provider_overloaded), ("rate_limit_error", C.provider_rate_limited),
        ("api_error", C.provider_error), ("authentication_error", C.provider_auth),
        ("permission_error", C.provider_auth), ("billing_error", C.provider_quota),
        ("invalid_request_error", C.provider_rejected), ("not_found_error", C.provider_rejected),
        ("timeout_error", C.provider_error), ("no_such_error", C.provider_error))),
]
AZURE: list[Life] = [
    (401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}}, C.provider_auth, ...,
     None),
    (401, {"statusCode": 401, "message": "Unauthorized. Access token is missing"}, C.provider_auth,
     "Unauthorized. Access token is missing", None),
    (403, {"error": {"code": "403", "message": VIRTUAL}}, C.provider_auth, ..., None),
    (403, {"statusCode": 403, "message": "Out of call volume quota. Quota will be replenished in 01:00:00."},
     C.provider_quota, "Out of call volume quota. Quota will be replenished in 01:00:00.", None),
    (429, {"error": {"code": "429", "message": "Requests to the ChatCompletions_Create Operation have exceeded token "
                     "rate limit. Please retry after 5 seconds. To increase the default rate limit see "
                     "https://aka.ms/oai/quotaincrease."}}, C.provider_rate_limited, ..., None),
    (400, {"error": {"message": "The response was filtered", "type": None, "param": "prompt", "code": "content_filter",
                     "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, C.provider_rejected, ...,
     "content_filter"),
    (400, {"error": {"message": TOO_LONG, "type": "invalid_request_error", "code": "context_length_exceeded"}},
     C.context_length, ..., "context_length_exceeded"),
    (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}},
     C.model_unknown, ..., "DeploymentNotFound"),
    (503, {"error": {"code": "InternalServerError", "message": "Backend returned unexpected response."}},
     C.provider_error, ..., "InternalServerError"),
]
OTHERS: list[Life] = [
    # vLLM
    (400, vllm(TOO_LONG, "BadRequestError", 400), C.context_length, TOO_LONG, "BadRequestError"),
    (400, {"error": vllm("The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
                         "BadRequestError", 400)}, C.context_length, ..., "BadRequestError"),
    (404, vllm("The model `m` does not exist.", "NotFoundError", 404), C.model_unknown,
     "The model `m` does not exist.", "NotFoundError"),
    (401, {"error": "Unauthorized"}, C.provider_auth, "Unauthorized", None),
    (500, vllm("", "InternalServerError", 500), C.provider_error, None, "InternalServerError"),
    (200, {"error": vllm("EngineCore encountered an issue", "InternalServerError", 500)}, C.provider_error, ...,
     "InternalServerError"),
    (200, {"error": vllm("bad", "BadRequestError", 400)}, C.provider_rejected, ..., "BadRequestError"),
    # Ollama
    (404, {"error": "model 'm' not found"}, C.model_unknown, "model 'm' not found", None),
    (404, openai('model "m" not found, try pulling it first', "api_error"), C.model_unknown, ..., "api_error"),
    (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, C.provider_overloaded,
     "server busy, please try again.  maximum pending requests exceeded", None),
    (500, {"error": "llama runner process has terminated"}, C.provider_error, "llama runner process has terminated",
     None),
    (200, {"error": "an error was encountered while running the model"}, C.provider_error,
     "an error was encountered while running the model", None),
    # llama.cpp
    (400, {"error": {"code": 400, "message": "the request exceeds the available context size",
                     "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 4096}}, C.context_length,
     ..., "exceed_context_size_error"),
    # TGI
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
           "error_type": "validation"}, C.context_length,
     "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", "validation"),
    (429, {"error": "Model is overloaded", "error_type": "overloaded"}, C.provider_rate_limited, "Model is overloaded",
     "overloaded"),
    # Groq
    (413, openai("Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7000", "tokens",
                 "rate_limit_exceeded"), C.provider_rejected, ..., "rate_limit_exceeded"),
    (400, openai("Please reduce the length of the messages or completion.", "invalid_request_error",
                 "context_length_exceeded"), C.context_length, ..., "context_length_exceeded"),
    (498, openai("Flex tier capacity exceeded", "capacity_exceeded", "capacity_exceeded"), C.provider_overloaded, ...,
     "capacity_exceeded"),
    (503, openai("m is currently over capacity. Please try again and back off exponentially.",
                 "internal_server_error"), C.provider_overloaded, ..., "internal_server_error"),
    (429, openai("Rate limit reached for model `m` on requests per day (RPD). Need more tokens? Upgrade to Dev Tier at "
                 "https://console.groq.com/settings/billing", "requests", "rate_limit_exceeded"),
     C.provider_rate_limited, ..., "rate_limit_exceeded"),
    # Mistral
    (401, {"detail": "Unauthorized"}, C.provider_auth, "Unauthorized", None),
    (400, vllm("Prompt contains 33000 tokens, too large for model with 32768 maximum context length",
               "invalid_request_error", 3051), C.context_length,
     "Prompt contains 33000 tokens, too large for model with 32768 maximum context length", "invalid_request_error"),
    (422, {"object": "error", "message": {"detail": [{"type": "missing", "loc": ["body", "messages"],
                                                      "msg": "Field required"}]}, "type": "invalid_request_error"},
     C.provider_rejected, "body.messages: Field required", "missing"),
    (429, {"object": "error", "message": "Service tier capacity exceeded for this model.",
           "type": "service_tier_capacity_exceeded", "code": "3505"}, C.provider_rate_limited,
     "Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded"),
    (429, {"message": "Requests rate limit exceeded"}, C.provider_rate_limited, "Requests rate limit exceeded", None),
    # FastAPI
    (422, {"detail": [{"loc": ["body", "n", 0], "msg": "value is not a valid integer", "type": "type_error.integer"}]},
     C.provider_rejected, "body.n.0: value is not a valid integer", "type_error.integer"),
    (404, {"detail": "Not Found"}, C.provider_misconfigured, "Not Found", None),
    # OpenRouter
    (402, {"error": {"message": "This request requires more credits.", "code": 402}, "user_id": "u"}, C.provider_quota,
     ..., None),
    (403, {"error": {"message": "Key limit exceeded (monthly limit).", "code": 403}}, C.provider_quota, ..., None),
    (403, {"error": {"message": "m requires moderation. Your input was flagged", "code": 403, "metadata": {
        "reasons": ["violence"]}}}, C.provider_auth, ..., None),
    (408, {"error": {"message": "Timed out", "code": 408}}, C.provider_timeout, ..., None),
    (429, {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "..."}}},
     C.provider_rate_limited, ..., None),
    (502, {"error": {"message": "Provider returned error", "code": 502}}, C.provider_error, ..., None),
    (200, {"error": {"message": "Rate limit exceeded", "code": 429}}, C.provider_rate_limited, ..., None),
    (200, {"error": {"message": "More credits, please", "code": 402}}, C.provider_quota, ..., None),
    (200, {"error": {"message": "No such thing", "code": 404}}, C.provider_rejected, ..., None),
    (200, {"id": "gen-1", "object": "chat.completion.chunk", "error": {"code": "server_error", "message": "Gone"},
           "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}, C.provider_error, ...,
     "server_error"),
    # Google
    (400, google(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", reason="API_KEY_INVALID"),
     C.provider_auth, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"),
    (400, google(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"), C.provider_region,
     "User location is not supported for the API use.", "FAILED_PRECONDITION"),
    (400, google(400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                 "INVALID_ARGUMENT"), C.context_length,
     "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "INVALID_ARGUMENT"),
    (429, google(429, QUOTA, "RESOURCE_EXHAUSTED"), C.provider_rate_limited, QUOTA, "RESOURCE_EXHAUSTED"),
    (503, google(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"), C.provider_overloaded,
     "The model is overloaded. Please try again later.", "UNAVAILABLE"),
    # xAI, DeepSeek, Moonshot
    (400, xai(INVALID, "Incorrect API key provided: xa***. You can obtain an API key from https://console.x.ai."),
     C.provider_auth, "Incorrect API key provided: xa***. You can obtain an API key from https://console.x.ai.",
     INVALID),
    (404, xai(NOT_FOUND, "No handler found on route. Please double check your URL."), C.provider_misconfigured,
     "No handler found on route. Please double check your URL.", NOT_FOUND),
    (402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), C.provider_quota, ...,
     "invalid_request_error"),
    (429, {"error": {"message": "Your account is suspended", "type": "exceeded_current_quota_error"}}, C.provider_quota,
     ..., "exceeded_current_quota_error"),
]
# A model that the provider does not know.
MODELS: list[Life] = [(status, body, C.model_unknown, words, kind) for status, body, words, kind in (
    (400, openai("Model Not Exist", "invalid_request_error", "invalid_request_error"), ..., "invalid_request_error"),
    (400, openai("Model not exist.", "InvalidParameter"), ..., "InvalidParameter"),
    (400, openai("invalid model ID", "invalid_request_error"), ..., "invalid_request_error"),
    (400, openai("The requested model is not supported.", "invalid_request_error", "model_not_supported"), ...,
     "model_not_supported"),
    (400, openai("The model `m` has been decommissioned and is no longer supported.", "invalid_request_error",
                 "model_decommissioned"), ..., "model_decommissioned"),
    (400, {"error": {"message": "m is not a valid model ID", "code": 400}}, ..., None),
    (400, {"message": "The provided model identifier is invalid."}, "The provided model identifier is invalid.", None),
    (400, vllm("Invalid model: m", "invalid_model", 1500), "Invalid model: m", "invalid_model"),
    (400, xai(INVALID, "Model not found: grok-2-latest"), "Model not found: grok-2-latest", INVALID),
    (404, xai(NOT_FOUND, "The model grok-9 does not exist or your team x does not have access to it."),
     "The model grok-9 does not exist or your team x does not have access to it.", NOT_FOUND),
    (404, openai("The model 'm' does not exist", "invalid_request_error"), ..., "invalid_request_error"),
    (404, openai("The model `m` was not found", "invalid_request_error"), ..., "invalid_request_error"),
    (404, openai("Unable to access model m. Please visit https://api.together.ai/models", "invalid_request_error",
                 "model_not_available"), ..., "model_not_available"),
    (404, openai("Model not found, inaccessible, and/or not deployed", "NOT_FOUND"), ..., "NOT_FOUND"),
    (404, openai("Not found the model m or Permission denied", "resource_not_found_error"), ...,
     "resource_not_found_error"),
    (404, openai("not found the model or permission denied", "resource_not_found_error"), ...,
     "resource_not_found_error"),
    (404, {"error": {"message": "No endpoints found for a/m:free.", "code": 404}}, ..., None),
    (404, {"error": {"code": "unknown_model", "message": "Unknown model: m", "details": "Unknown model: m"}}, ...,
     "unknown_model"),
)]
OPAQUE: list[Life] = [(status, body, condition, None, None) for status, body, condition in (
    (401, b"<html><h1>401 Authorization Required</h1></html>", C.provider_auth), (402, b"", C.provider_quota),
    (403, b"error code: 1009", C.provider_region), (403, b"<html>Sorry, you have been blocked", C.provider_auth),
    (404, b"<!doctype html>", C.provider_misconfigured), (407, b"", C.provider_auth), (408, b"", C.provider_timeout),
    (418, b"\xff\xfe", C.provider_rejected), (429, b"slow", C.provider_rate_limited), (500, b"{", C.provider_error),
    (503, b"upstream connect error", C.provider_error), (503, b"The queue is full", C.provider_error),
    (529, b"", C.provider_overloaded), (599, b"null", C.provider_timeout),
    (520, b"error code: 520", C.provider_error), (524, b"error code: 524", C.provider_timeout),
    (302, b"<a href>", C.provider_error),
    (200, b"", C.provider_error), (200, b"overloaded_error", C.provider_error), (200, b"[]", C.provider_error),
    (200, b"[[]]", C.provider_error), (400, b"{}", C.provider_rejected), (400, b"17", C.provider_rejected),
)]
LIFE = [(status, body if isinstance(body, bytes) else orjson.dumps(body), condition,
         told(body) if message is ... else message, kind)
        for status, body, condition, message, kind in (*OPENAI, *ANTHROPIC, *AZURE, *OTHERS, *MODELS, *OPAQUE)]
