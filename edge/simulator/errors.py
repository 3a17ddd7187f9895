"""The providers' own error answers.

OpenAI: https://platform.openai.com/docs/guides/error-codes and bodies seen on the wire.
Anthropic: https://docs.anthropic.com/en/api/errors.
"""

from __future__ import annotations

from typing import Any

import orjson

from edge.simulator.answer import Answer, Request

OPENAI: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request is invalid."),
    401: ("invalid_request_error", "invalid_api_key",
          "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."),
    402: ("insufficient_quota", "billing_hard_limit_reached", "Billing hard limit has been reached."),
    403: ("invalid_request_error", "unsupported_country_region_territory",
          "Country, region, or territory not supported"),
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
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
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


def failure(request: Request, status: int, message: str | None = None, *,
            param: str | None = None, code: str | None = None) -> Answer:
    """An error answer in the shape of the request's dialect."""
    body = (anthropic_error(status, message, request_id=request.id) if request.dialect == "anthropic"
            else openai_error(status, message, param=param, code=code))
    return Answer(status, orjson.dumps(body))
