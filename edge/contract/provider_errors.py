"""placeholder until the classification lands"""
from edge._fast import Condition
import orjson
def classify(status, body):
    try:
        error = orjson.loads(body); error = error.get("error", error); message = error.get("message")
    except Exception:
        message = None
    c = {401: Condition.provider_auth, 402: Condition.provider_quota, 403: Condition.provider_auth, 408: Condition.provider_timeout, 429: Condition.provider_rate_limited, 529: Condition.provider_overloaded}.get(status)
    if c is None: c = Condition.provider_error if status >= 500 or status < 300 else Condition.provider_rejected
    return int(c), message
def wait_ms(fields):
    v = fields.get(b"retry-after-ms"); 
    if v: return int(float(v))
    v = fields.get(b"retry-after")
    return int(float(v)*1000) if v and v[:1].isdigit() else -1
