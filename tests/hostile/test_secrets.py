"""Keys never show: not in answers, logs, metrics, figures, nor in what the commands print."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.support.gateway import KEY, Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import ask, asked, chat, enveloped, request

SECRETS = {"PROVIDER_KEY": "sk-provider-9c1f7a", "SECOND_KEY": "sk-second-5b2e8d", "TEST_KEY": KEY,
           "HEADER_SECRET": "header-secret-77aa01", "ADMIN_KEY": "admin-key-3d90cc",
           "HASHING": "hashing-secret-0f1e2d3c"}
WRONG = "sk-wrong-but-somebodys-key"
BODY_WORD = "xylophone-in-a-prompt"


@pytest.fixture(scope="module")
def talkative(simulator: Simulator) -> Iterator[Gateway]:
    """A gateway that logs all it ever logs."""
    config = configuration(simulator.url, debug=True, timeout=1.0, key_secret="env:HASHING",
                           admin={"port": 0, "key": "env:ADMIN_KEY"})
    config["providers"]["openai"].pop("key")
    config["providers"]["openai"] |= {"keys": ["env:PROVIDER_KEY", "env:SECOND_KEY"],
                                      "headers": {"x-secret": "env:HEADER_SECRET"}}
    with Gateway(config, environ=SECRETS) as running:
        yield running


def shown(text: str | bytes) -> list[str]:
    """The secrets that a text holds."""
    data = text if isinstance(text, bytes) else text.encode()
    return [name for name, value in SECRETS.items() if value.encode() in data] + ["wrong"] * (WRONG.encode() in data)


def traffic(port: int) -> list[bytes]:
    """Requests that go well and wrong in every way that has a key near it; all that was answered."""
    told = '{"error": {"message": "Incorrect API key provided: %s"}}'
    requests = [chat(), chat(stream=True), request(asked(), key=WRONG), request(asked(), key=None, authorization=KEY),
                request(asked(), key=None, x_api_key=KEY), request(asked(max_tokens=5), path="/v1/messages", key=None,
                                                                   x_api_key=KEY),
                request(asked(max_tokens=5), path="/v1/messages", key=None, x_api_key=WRONG),
                request(b"{", key=KEY), request(asked("x" * 50)),
                chat(fault="malformed=head"), chat(fault="cut=500"), chat(fault="hang"), chat(fault="status=500"),
                chat(fault=f"status=401;body={told % SECRETS['PROVIDER_KEY']}"),
                chat(fault=f"status=403;body={told % SECRETS['SECOND_KEY']}"),
                chat(fault=f"status=429;body={told % SECRETS['PROVIDER_KEY']}"),
                chat(fault=f"status=500;body={told % SECRETS['PROVIDER_KEY']}"),
                b"garbage " + KEY.encode() + b"\r\n\r\n", chat(text=BODY_WORD, fault="status=500")]
    answers = [ask(port, data) for data in requests]
    for answer in answers:
        assert answer.status == 200 or enveloped(answer, "anthropic" if b'"type":"error"' in answer.body else "openai")
    return [answer.body + repr(answer.fields).encode() for answer in answers]


def test_secrets_in_answers_logs_and_figures(talkative: Gateway) -> None:
    """With everything logged, no key is found in any answer, log line, metric, figure or process list."""
    for answer in traffic(talkative.port):
        assert shown(answer) == []
    admin = {"authorization": f"Bearer {SECRETS['ADMIN_KEY']}"}
    for path in ("/metrics", "/stats", "/health", "/readyz", "/admin/config", "/admin/workers", "/nowhere"):
        for headers in (admin, {"authorization": f"Bearer {WRONG}"}, {}):
            assert shown(httpx.get(f"{talkative.admin}{path}", headers=headers).content) == [], path
    assert shown(ask(talkative.port, request(method="GET", path="/stats"), "GET").body) == []
    assert httpx.post(f"{talkative.admin}/admin/reload", headers=admin).status_code == 200
    for pid in (talkative.process.pid, *talkative.children()):
        assert shown(Path(f"/proc/{pid}/cmdline").read_bytes()) == []
    talkative.wait(lambda: "provider_error" in talkative.log() and "key_unknown" in talkative.log())
    assert shown(talkative.log()) == []


def test_prompts_in_logs(talkative: Gateway) -> None:
    """What people write to models is in no log line, metric or figure."""
    ask(talkative.port, chat(text=BODY_WORD, x_request_id="marked-prompt"))
    ask(talkative.port, chat(text=BODY_WORD, fault="malformed=json", x_request_id="marked-failure"))
    talkative.wait(lambda: "marked-prompt" in talkative.log() and "marked-failure" in talkative.log())
    assert BODY_WORD not in talkative.log()
    assert BODY_WORD not in httpx.get(f"{talkative.admin}/metrics").text


@pytest.mark.parametrize("arguments", [["config", "show"], ["config", "validate"]])
def test_secrets_in_what_commands_print(talkative: Gateway, arguments: list[str]) -> None:
    """`edge config show` and `validate` mask what `env:` leads to."""
    done = subprocess.run([sys.executable, "-m", "edge", *arguments, str(talkative.file)], env=talkative.environ,
                          capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert shown(done.stdout + done.stderr) == []


def test_secrets_in_errors_of_the_file(talkative: Gateway, tmp_path: Path) -> None:
    """Keys written into the file where they do not belong are not repeated in its errors and warnings."""
    file = tmp_path / "edge.yaml"
    for text in (f"providers: {{openai: {{key: {SECRETS['PROVIDER_KEY']}, kee: 1}}}}\n",
                 f"providers: {{openai: {{key: [{SECRETS['PROVIDER_KEY']}]}}}}\nkeys: [{{name: a, key: {KEY}}}]\n",
                 f"keys: {KEY}\n", f"keys: [{{name: a, hash: {KEY}}}]\nkey_secret: {SECRETS['HASHING']}x{{}}\n",
                 f"providers: {{openai: {{key: env:{SECRETS['PROVIDER_KEY']}}}}}\nkeys: [{KEY}]\n",
                 f"providers: {{openai: {{headers: {{x-secret: {SECRETS['HEADER_SECRET']}é}}}}}}\n",
                 f"providers: {{a: {{kind: openai, base_url: 'http://user:{SECRETS['PROVIDER_KEY']}@h/v1'}}}}\n"):
        file.write_text(text)
        done = subprocess.run([sys.executable, "-m", "edge", "config", "validate", str(file)], env=talkative.environ,
                              capture_output=True, timeout=30)
        assert done.returncode == 78, (text, done)
        assert shown(done.stdout + done.stderr) == [], (text, done.stderr)
