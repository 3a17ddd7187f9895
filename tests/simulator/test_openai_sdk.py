"""OpenAI's own SDK against the simulator."""

from __future__ import annotations

import io
from collections.abc import Iterator

import openai
import pytest

from tests.support.simulator import Simulator

ASKED = [{"role": "user", "content": "What is the capital of France?"}]
ECHO = "You said: What is the capital of France?"
TOOL = {"name": "get_weather", "description": "", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}


@pytest.fixture
def client(simulator: Simulator) -> Iterator[openai.OpenAI]:
    """A client that does not retry."""
    with openai.OpenAI(base_url=simulator.openai_url, api_key="sk-test", max_retries=0) as made:
        yield made


def test_plain_chat(client: openai.OpenAI) -> None:
    """A chat answer repeats the prompt, has consistent usage, and is the same for the same request."""
    answers = [client.chat.completions.create(model="gpt-4o", messages=ASKED) for _ in range(2)]
    first, second = answers
    assert first.choices[0].message.content.startswith(ECHO)
    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.choices[0].finish_reason == "stop"
    assert first.model == "gpt-4o"
    assert first.usage.completion_tokens == 16
    assert first.usage.total_tokens == first.usage.prompt_tokens + 16
    assert first.id != second.id
    assert first._request_id.startswith("req_")
    assert first._request_id != second._request_id


def test_max_tokens(client: openai.OpenAI) -> None:
    """An answer that the client's bound cuts short has that many tokens and the finish reason `length`."""
    answer = client.chat.completions.create(model="gpt-4o", messages=ASKED, max_completion_tokens=3)
    assert answer.choices[0].message.content == "You said:"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


def test_several_choices(client: openai.OpenAI) -> None:
    """`n` choices are n different texts, plain and streaming alike."""
    plain = client.chat.completions.create(model="gpt-4o", messages=ASKED, n=3)
    assert len({choice.message.content for choice in plain.choices}) == 3
    texts = {0: "", 1: "", 2: ""}
    for chunk in client.chat.completions.create(model="gpt-4o", messages=ASKED, n=3, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert [texts[choice.index] for choice in plain.choices] == [c.message.content for c in plain.choices]


def test_streamed_chat(client: openai.OpenAI) -> None:
    """A stream has the plain answer's text, one finish reason, and usage at its end when asked for it."""
    plain = client.chat.completions.create(model="gpt-4o", messages=ASKED)
    chunks = list(client.chat.completions.create(
        model="gpt-4o", messages=ASKED, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in deltas) == plain.choices[0].message.content
    assert [choice.finish_reason for choice in deltas if choice.finish_reason] == ["stop"]
    assert deltas[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == plain.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_stream_without_usage(client: openai.OpenAI) -> None:
    """A stream has no usage unless it was asked for."""
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=ASKED, stream=True))
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)


@pytest.mark.parametrize(("choice", "called"), [("required", True), ("auto", False), ("none", False), (
    {"type": "function", "function": {"name": "get_weather"}}, True)])
def test_tools(client: openai.OpenAI, choice: object, called: bool) -> None:
    """A tool is called when it must be, with arguments that fit its schema, plain and streaming alike."""
    tools = [{"type": "function", "function": TOOL}]
    plain = client.chat.completions.create(model="gpt-4o", messages=ASKED, tools=tools, tool_choice=choice)
    made = plain.choices[0].message.tool_calls
    assert bool(made) is called
    chunks = client.chat.completions.create(
        model="gpt-4o", messages=ASKED, tools=tools, tool_choice=choice, stream=True)
    streamed = "".join(call.function.arguments for chunk in chunks for choice in chunk.choices
                       for call in choice.delta.tool_calls or [])
    if called:
        assert plain.choices[0].finish_reason == "tool_calls"
        assert made[0].function.name == "get_weather"
        assert made[0].function.arguments == streamed == '{"city":"example","days":1}'
    else:
        assert streamed == ""


def test_a_named_tool_is_called(client: openai.OpenAI) -> None:
    """A tool that the prompt names is called without being forced."""
    answer = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "call get_weather"}],
        tools=[{"type": "function", "function": TOOL}])
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_completions(client: openai.OpenAI) -> None:
    """A completion's text is the same plain and streaming."""
    plain = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once upon")
    chunks = list(client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once upon", stream=True,
                                            stream_options={"include_usage": True}))
    assert plain.choices[0].text.startswith("You said: Once upon")
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == plain.choices[0].text
    assert chunks[-1].usage == plain.usage


def test_plain_response(client: openai.OpenAI) -> None:
    """A response carries text and usage, and is incomplete where the client's bound cuts it."""
    answer = client.responses.create(model="gpt-5.5", input="What is the capital of France?")
    assert answer.output_text.startswith(ECHO)
    assert answer.status == "completed"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    short = client.responses.create(model="gpt-5.5", input=ASKED, max_output_tokens=3)
    assert (short.output_text, short.status) == ("You said:", "incomplete")
    assert short.incomplete_details.reason == "max_output_tokens"


def test_streamed_response(client: openai.OpenAI) -> None:
    """A response's events are numbered without a gap, from created to completed, and tell the plain text."""
    plain = client.responses.create(model="gpt-5.5", input=ASKED)
    events = list(client.responses.create(model="gpt-5.5", input=ASKED, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == plain.output_text == events[-1].response.output_text
    assert events[-1].response.usage == plain.usage


def test_response_with_a_tool(client: openai.OpenAI) -> None:
    """A response's function call is the same plain and streaming, its events numbered without a gap."""
    tools = [{"type": "function", **TOOL}]
    plain = client.responses.create(model="gpt-5.5", input=ASKED, tools=tools, tool_choice="required")
    events = list(client.responses.create(
        model="gpt-5.5", input=ASKED, tools=tools, tool_choice="required", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    call = events[-1].response.output[0]
    assert call.type == plain.output[0].type == "function_call"
    assert call.arguments == plain.output[0].arguments == '{"city":"example","days":1}'


def test_embeddings(client: openai.OpenAI) -> None:
    """Embeddings are the same unit vectors as floats and as base64, one for each text."""
    asked = {"model": "text-embedding-3-small", "input": ["a", "b"]}
    floats = client.embeddings.create(**asked, encoding_format="float")
    encoded = client.embeddings.create(**asked)         # the SDK asks for base64 then
    assert [len(row.embedding) for row in floats.data] == [1536, 1536]
    assert floats.data[0].embedding == pytest.approx(list(encoded.data[0].embedding), abs=1e-7)
    assert floats.data[0].embedding != floats.data[1].embedding
    assert sum(x * x for x in floats.data[0].embedding) == pytest.approx(1, abs=1e-5)
    short = client.embeddings.create(model="text-embedding-3-small", input="a", dimensions=8)
    assert len(short.data[0].embedding) == 8


def test_models(client: openai.OpenAI) -> None:
    """Models are listed, and any can be fetched."""
    assert "gpt-4o" in [model.id for model in client.models.list()]
    assert client.models.retrieve("anything").id == "anything"


def test_files(client: openai.OpenAI) -> None:
    """A file that is uploaded can be listed, read back byte for byte, and deleted."""
    data = bytes(range(256)) * 3 + b"\r\n--not-the-boundary\r\n"
    made = client.files.create(file=("x.bin", io.BytesIO(data)), purpose="user_data")
    assert (made.bytes, made.filename, made.purpose) == (len(data), "x.bin", "user_data")
    assert [file.id for file in client.files.list()] == [made.id]
    assert client.files.content(made.id).read() == data
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.retrieve(made.id)


def test_small_endpoints(client: openai.OpenAI) -> None:
    """Moderations, images and audio answer in a form that the SDK can read."""
    assert not client.moderations.create(input="hello").results[0].flagged
    assert client.images.generate(prompt="a dot", model="gpt-image-1", n=2).data[1].b64_json
    assert client.audio.speech.create(model="tts-1", voice="alloy", input="hi").read()[:3] == b"ID3"
    heard = client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"12345"))
    assert heard.text == "You said: a.mp3, 5 bytes."


STATUSES = [
    (400, openai.BadRequestError), (401, openai.AuthenticationError), (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError), (409, openai.ConflictError), (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError), (500, openai.InternalServerError), (503, openai.InternalServerError)]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize("stream", [False, True])
def test_typed_errors(client: openai.OpenAI, status: int, kind: type[openai.APIStatusError],
                      stream: bool) -> None:
    """Every status is the error that the SDK has for it, with OpenAI's message and type."""
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=f"fault:status={status}", messages=ASKED, stream=stream)
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert caught.value.body["message"]
    assert caught.value.type
    assert caught.value.request_id.startswith("req_")


def test_error_codes(client: openai.OpenAI) -> None:
    """The errors that clients tell apart by code have OpenAI's codes."""
    codes = {}
    for status in (401, 404, 429):
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(model=f"fault:status={status}", messages=ASKED)
        codes[status] = caught.value.code
    assert codes == {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


def test_error_event(client: openai.OpenAI) -> None:
    """An error event raises in the middle of a stream, chat and responses alike."""
    stream = client.chat.completions.create(model="fault:error-event=3", messages=ASKED, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(3)] == ["", "You", " said"]
    with pytest.raises(openai.APIError, match="server had an error"):
        next(stream)
    events = list(client.responses.create(model="fault:error-event=3", input="hi", stream=True))
    assert [event.type for event in events[2:]] == ["response.output_item.added", "error"]
    assert events[-1].code == "server_error"


def test_a_rule_is_retried_away(simulator: Simulator) -> None:
    """A fault that happens twice is over at the third attempt of the SDK's own retries."""
    simulator.fault("status=503;retry-after=ms:1", times=2, model="gpt-4o")
    with openai.OpenAI(base_url=simulator.openai_url, api_key="sk-test", max_retries=2) as client:
        assert client.chat.completions.create(model="gpt-4o", messages=ASKED).choices
    assert [entry["status"] for entry in simulator.requests()] == [503, 503, 200]


async def test_async_client(simulator: Simulator) -> None:
    """The asynchronous client gets the same plain answers, streams and errors."""
    async with openai.AsyncOpenAI(base_url=simulator.openai_url, api_key="sk-test", max_retries=0) as client:
        plain = await client.chat.completions.create(model="gpt-4o", messages=ASKED)
        text = ""
        async for chunk in await client.chat.completions.create(model="gpt-4o", messages=ASKED, stream=True):
            text += chunk.choices[0].delta.content or ""
        assert text == plain.choices[0].message.content
        response = await client.responses.create(model="gpt-4o", input=ASKED)
        assert response.output_text.startswith(ECHO)
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="fault:status=429", messages=ASKED)


REFUSED = [
    ("/chat/completions", {}, "you must provide a model parameter", None),
    ("/chat/completions", {"model": "m"},
     "Missing required parameter: 'messages'.", "missing_required_parameter"),
    ("/chat/completions", {"model": 1},
     "Invalid type for 'model': expected a string, but got an integer instead.", "invalid_type"),
    ("/chat/completions", {"model": "m", "messages": []}, "Invalid 'messages': empty array.", "empty_array"),
    ("/chat/completions", {"model": "m", "messages": ASKED, "n": 0},
     "Invalid 'n': integer below minimum value.", "integer_below_min_value"),
    ("/chat/completions", {"model": "m", "messages": ASKED, "n": 999},
     "Invalid 'n': integer above maximum value.", "integer_above_max_value"),
    ("/embeddings", {"model": "m"}, "Missing required parameter: 'input'.", "missing_required_parameter"),
]


@pytest.mark.parametrize(("path", "body", "message", "code"), REFUSED)
def test_bad_fields(client: openai.OpenAI, path: str, body: object, message: str, code: str | None) -> None:
    """A field that is missing or wrong is refused with OpenAI's own 400."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.post(path, body=body, cast_to=object)
    assert message in caught.value.message
    assert caught.value.code == code
    assert caught.value.type == "invalid_request_error"


def test_unknown_path(client: openai.OpenAI) -> None:
    """A path that OpenAI does not have is OpenAI's own 404, and a wrong method its 405."""
    with pytest.raises(openai.NotFoundError, match=r"Invalid URL \(POST /v1/nothing\)"):
        client.post("/nothing", body={}, cast_to=object)
    with pytest.raises(openai.APIStatusError, match="Not allowed to GET on /v1/chat/completions") as caught:
        client.get("/chat/completions", cast_to=object)
    assert caught.value.status_code == 405


def test_key() -> None:
    """A simulator with a key refuses any other as OpenAI does, showing only its ends."""
    with Simulator(key="sk-right") as simulator:
        with openai.OpenAI(base_url=simulator.openai_url, api_key="sk-right", max_retries=0) as client:
            assert client.models.list().data
        wrong = "sk-wrong-key-of-some-length"
        with openai.OpenAI(base_url=simulator.openai_url, api_key=wrong, max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError, match=r"key provided: sk-wrong\*+ngth\.") as told:
                client.models.list()
            assert told.value.code == "invalid_api_key"
            with pytest.raises(openai.AuthenticationError, match="You didn't provide an API key"):
                client.models.list(extra_headers={"Authorization": openai.Omit()})
