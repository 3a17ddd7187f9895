"""The providers' own error answers.

OpenAI: https://platform.openai.com/docs/guides/error-codes and bodies seen on the wire.
Anthropic: https://docs.anthropic.com/en/api/errors and bodies seen on the wire.
"""

from __future__ import annotations

from typing import Any

import orjson

from edge.simulator.answer import Answer
from edge.simulator.faults import Case
from edge.simulator.request import Dialect, Request

OPENAI: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request is invalid."),
    401: ("invalid_request_error", "invalid_api_key",
          "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."),
    402: ("insufficient_quota", "billing_hard_limit_reached", "Billing hard limit has been reached."),
    403: ("invalid_request_error", "missing_scope",
          "You have insufficient permissions for this operation. Missing scopes: model.request."),
    404: ("invalid_request_error", "model_not_found",
          "The model does not exist or you do not have access to it."),
    408: ("invalid_request_error", None, "Timed out reading request body."),
    409: ("invalid_request_error", None, "The resource was updated by another request."),
    413: ("invalid_request_error", None, "Request body is too large."),
    422: ("invalid_request_error", None, "Unable to process the request despite the format being correct."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests on requests per min (RPM): "
          "Limit 500, Used 500, Requested 1. Please try again in 120ms."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}

ANTHROPIC: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "Invalid request."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your billing or payment information."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    408: ("timeout_error", "Request timed out"),
    409: ("conflict_error", "Conflict"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    422: ("invalid_request_error", "Unprocessable request."),
    429: ("rate_limit_error",
          "This request would exceed your organization's rate limit of 50 requests per minute."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}

# What the status alone does not tell. A case that is not here is its status' usual error.
STATUSES: dict[Case, tuple[int, int]] = {       # OpenAI's and Anthropic's
    "rate": (429, 429), "quota": (429, 400), "billing": (429, 402), "key": (401, 401), "permission": (403, 403),
    "region": (403, 403), "context": (400, 400), "overloaded": (503, 529), "server": (500, 500), "model": (404, 404)}
OPENAI_CASES: dict[Case, tuple[str, str | None, str]] = {
    "quota": ("insufficient_quota", "insufficient_quota",
              "You exceeded your current quota, please check your plan and billing details. For more information on "
              "this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."),
    "billing": OPENAI[402],
    "region": ("request_forbidden", "unsupported_country_region_territory",
               "Country, region, or territory not supported"),
    "context": ("invalid_request_error", "context_length_exceeded",
                "This model's maximum context length is 128000 tokens. However, your messages resulted in 140012 "
                "tokens. Please reduce the length of the messages."),
}
ANTHROPIC_CASES: dict[Case, tuple[str, str]] = {
    "quota": ("invalid_request_error", "Your credit balance is too low to access the Anthropic API. "
              "Please go to Plans & Billing to upgrade or purchase credits."),
    "region": ("forbidden", "Request not allowed"),
    "context": ("invalid_request_error", "prompt is too long: 214319 tokens > 200000 maximum"),
}


def openai_error(status: int, message: str | None = None, *,
                 param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """OpenAI's error body; without a message it is what OpenAI says for the status."""
    kind, usual_code, usual_message = OPENAI.get(status, OPENAI[500 if status >= 500 else 400])
    if message is None:
        code, message = usual_code, usual_message
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def anthropic_error(status: int, message: str | None = None, request_id: str | None = None) -> dict[str, Any]:
    """Anthropic's error body; what is not given is what Anthropic says for the status."""
    usual = ANTHROPIC.get(status, ANTHROPIC[500 if status >= 500 else 400])
    error: dict[str, Any] = {"type": "error", "error": {"type": usual[0], "message": message or usual[1]}}
    if request_id is not None:
        error["request_id"] = request_id
    return error


def case_error(dialect: Dialect, case: Case, request_id: str | None = None) -> tuple[int, dict[str, Any]]:
    """The status and the body with which a provider tells of a case; in a stream it is the body alone."""
    openai, anthropic = STATUSES[case]
    if dialect == "anthropic":
        body = anthropic_error(anthropic, request_id=request_id)
        if case in ANTHROPIC_CASES:
            body["error"] = dict(zip(("type", "message"), ANTHROPIC_CASES[case], strict=True))
        return anthropic, body
    body = openai_error(openai)
    if case in OPENAI_CASES:
        kind, code, message = OPENAI_CASES[case]
        param = "messages" if case == "context" else None
        body["error"] = {"message": message, "type": kind, "param": param, "code": code}
    return openai, body


def failure(request: Request, status: int, message: str | None = None, *,
            param: str | None = None, code: str | None = None) -> Answer:
    """An error answer in the shape of the request's dialect."""
    body = (anthropic_error(status, message, request_id=request.id) if request.dialect == "anthropic"
            else openai_error(status, message, param=param, code=code))
    return Answer(status, orjson.dumps(body))


def case_failure(request: Request, case: Case) -> Answer:
    """The answer to a request in this case."""
    status, body = case_error(request.dialect, case, request.id)
    return Answer(status, orjson.dumps(body))
