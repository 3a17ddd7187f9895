"""The command line: config, auth, health, completion, and what all of it does with a wrong configuration."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge import __version__
from edge.cli import COMMANDS, main
from edge.config import INVALID, MISSING, SYNTAX, address, peek
from edge.config.keys import digest, hashed
from edge.values.snapshot import Secret

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without an edge.yaml."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, environ: dict[str, str] | None = None, stdin: str | None = None) -> Result:
    """The command in this process; only `environ` is set."""
    clean = dict.fromkeys(os.environ, None)
    return CliRunner(env={**clean, **(environ or {})}).invoke(main, arguments, input=stdin)


def edge(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with a sanitizer if this one has it."""
    preload = {"LD_PRELOAD": os.environ.get("LD_PRELOAD", ""), "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}
    return subprocess.run([sys.executable, "-m", "edge", *arguments], capture_output=True, text=True, timeout=60,
                          env={"PYTHONPATH": str(ROOT), **preload, **(environ or {})}, check=False)


def environ(config: Any) -> dict[str, str]:
    """What the good file refers to."""
    return {"OPENAI_API_KEY": "sk-secret", "KEY_A": config.key}


def test_version_and_help() -> None:
    """--version names the version, --help every subcommand, and neither imports what a subcommand needs."""
    assert run("--version").output.startswith(f"edge {__version__} (Python 3.")
    assert set(re.findall(r"^  (\w+) ", run("--help").output, re.M)) >= set(COMMANDS)
    code = ("import sys; from click.testing import CliRunner; from edge.cli import main; "
            "CliRunner().invoke(main, ['--help']); print([m for m in ('pydantic', 'yaml', 'uvloop') "
            "if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
                          env={"PYTHONPATH": str(ROOT)})
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_is_there(name: str) -> None:
    """Every subcommand that --help names can be asked for its own help."""
    done = run(name, "--help")
    assert done.exit_code == 0 and done.output.startswith("Usage: ")


def test_unknown_subcommand() -> None:
    """A subcommand that is not there is bad usage, exit code 2, and told with the one that was meant."""
    done = run("sevre")
    assert done.exit_code == 2 and "Did you mean 'serve'?" in done.stderr
    assert run("nothing-like-it").exit_code == 2


def test_validate(config: Any) -> None:
    """A good file is told what it holds; warnings go to stderr and change no exit code."""
    path = config.write(config.good + "cache_dir: cached\n")
    done = run("config", "validate", path, environ=environ(config))
    assert (done.exit_code, done.stdout) == (0, f"ok: {path}: 1 provider, 0 models, 1 key, 1 warning\n")
    assert done.stderr == (f"warning: {path}:7:1: cache_dir: has no effect: there is no response cache unless "
                           "cache_max_size is set\n")


def test_validate_tells_all_problems(config: Any) -> None:
    """A wrong file is told with every problem on stderr, exit code 78, in a real process too."""
    path = config.write(config.good.replace("port: 8766\n", "") + "prot: 1\n")
    done = edge("config", "validate", path, environ=environ(config))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"""\
{path}: CONFIG_002 Config validation failed: Missing required field 'port'
    way out: add it, for example `port: 8766` - the port clients connect to
{path}:6:1: CONFIG_003 prot: is not a known key
    way out: did you mean port?
2 problems: the configuration is not in force
"""


def test_validate_finds_the_file(config: Any) -> None:
    """Without an argument the file is the one that serve would take."""
    done = run("config", "validate", environ={**environ(config), "EDGE_CONFIG": config.write(config.good)})
    assert done.exit_code == 0


def test_show(config: Any) -> None:
    """The effective configuration is shown, secrets masked or as references."""
    done = run("config", "show", config.write(config.good), environ=environ(config))
    assert done.exit_code == 0 and "key: env:OPENAI_API_KEY" in done.output and "sk-secret" not in done.output
    assert run("config", "show", config.write("port: 1\n")).exit_code == 78


def test_schema() -> None:
    """The schema is JSON."""
    assert json.loads(run("config", "schema").output)["properties"]["port"]["maximum"] == 65535


def test_generate(config: Any) -> None:
    """A generated key is shown once, with lines that, pasted, let it in."""
    done = run("auth", "--generate", "--name", "team-a")
    [key] = re.findall(r"^    (sk-[\w-]{43})$", done.output, re.M)
    lines = done.output[done.output.index("keys:"):]
    text = config.good[:config.good.index("keys:")] + lines
    assert key not in lines
    [made] = config.load(text).keys
    assert (made.name, made.digest) == ("team-a", digest(key, None))


def test_generate_under_the_files_secret(config: Any) -> None:
    """The hash is keyed with the file's key_secret, though the file still has no key and is not valid."""
    path = config.write("key_secret: env:S\n")
    done = run("auth", "--hash", "--config", path, stdin=config.key + "\n", environ={"S": "0123456789abcdef"})
    assert done.exit_code == 0 and hashed(config.key, Secret("0123456789abcdef")) in done.output
    assert config.key not in done.output
    done = run("auth", "--hash", "--config", path, stdin=config.key)
    assert done.exit_code == 78 and "the variable S is not set" in done.stderr


@pytest.mark.parametrize(("arguments", "stdin", "code"), [
    ((), "", 2), (("--generate", "--hash"), "", 2), (("--generate", "--name", "a b"), "", 2),
    (("--hash",), "short\n", 1), (("--hash",), "", 1),
    (("--generate", "--config", "/none"), "", 78)])
def test_auth_misused(arguments: tuple[str, ...], stdin: str, code: int) -> None:
    """auth without an action, with a bad name, key or file says so and exits with the right code."""
    assert run("auth", *arguments, stdin=stdin).exit_code == code


@contextlib.contextmanager
def answering(status: int, said: bytes = b"") -> Iterator[str]:
    """A server that gives one status and body to everything but, where it has none, what is not /health."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if said or self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_health(status: int, code: int) -> None:
    """A gateway that answers 200 is well, exit code 0, any other answer is exit code 1, and no proxy is asked."""
    with answering(status) as url:
        done = run("health", "--url", f"{url}/health", environ={"http_proxy": "http://127.0.0.1:1"})
    assert done.exit_code == code and (f"answered {status}" in done.stderr) == bool(code)


def test_health_of_the_configured_address(config: Any) -> None:
    """Without --url the configured address is asked, and one that listens everywhere is asked on loopback."""
    with answering(200) as url:
        port = url.rpartition(":")[2]
        done = run("health", environ={"EDGE_PORT": port, "EDGE_LISTEN_ADDR": "0.0.0.0", "HOME": str(config.folder)})
    assert (done.exit_code, done.stdout) == (0, f"{url}/health: ok\n")


def test_ports_without_a_configuration(config: Any) -> None:
    """With no file at all the commands ask where `edge serve` listens then, and where the environment says."""
    alone = {"HOME": str(config.folder / "nowhere")}
    for environ, data in ((alone, 8766), (alone | {"EDGE_PORT": "9000"}, 9000)):
        snapshot = peek(environ=environ).snapshot
        assert (address(environ), snapshot.admin_port) == (("127.0.0.1", data, False), data + 1)


def test_health_of_nobody() -> None:
    """Nobody there is exit code 1, within the timeout; a URL that is none is bad usage."""
    with answering(200) as url:
        pass
    done = run("health", "--url", url)
    assert (done.exit_code, done.stderr) == (1, f"Error: {url}: nothing listens there; is edge running? "
                                                "--url names another\n")
    assert run("health", "--url", "file:///etc/passwd").exit_code == 2


ASKING = [("status",), ("reload",), ("stop",), ("fleet",), ("circuits",), ("circuits", "open", "a"), ("why", "x")]


@pytest.mark.parametrize("command", ASKING)
@pytest.mark.parametrize(("options", "said"), [
    (["--admin", "http://[::1"], "http:// or https:// URL"), (["--admin", "http://127.0.0.1:99999"], "https:// URL"),
    (["--admin", "http://127.0.0.1:x"], "https:// URL"), (["--admin", "http://a b"], "https:// URL"),
    (["--admin", "http://a\r\nb"], "https:// URL"), (["--admin", "127.0.0.1:1"], "got 127.0.0.1:1"),
    (["--admin", "http://127.0.0.1:1", "--key", "a\nb"], "printable ASCII"),
    (["--admin", "http://127.0.0.1:1", "--key", "caf\u00e9"], "printable ASCII")])
def test_a_gateway_that_cannot_be_asked(command: tuple[str, ...], options: list[str], said: str) -> None:
    """A URL or a key that cannot be sent is bad usage, whatever the command."""
    done = run(*command, *options)
    assert done.exit_code == 2 and said in done.stderr and isinstance(done.exception, SystemExit)


def test_a_port_that_the_kernel_chose(config: Any) -> None:
    """Where the configuration cannot tell the admin port the command says how it can be told."""
    path = config.write(config.good + "admin: {port: 0}\n")
    done = run("status", "--config", path, environ=environ(config))
    assert done.exit_code == 2 and "give --admin or --pidfile" in done.stderr


@pytest.mark.parametrize("command", ASKING)
@pytest.mark.parametrize("said", [b"{}", b"[]", b"null", b"<html>", b"", b'{"error": 5}'])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_who_is_no_admin_port(command: tuple[str, ...], said: bytes, status: int) -> None:
    """Whoever answers in place of an admin port, the command says so in a line, with exit code 1."""
    with answering(status, said) as url:
        done = run(*command, "--admin", url)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert done.stderr.startswith(f"Error: {url}") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    """The shells' completion scripts are to be had."""
    done = edge(environ={"_EDGE_COMPLETE": f"{shell}_source"})
    assert done.returncode == 0 and "_EDGE_COMPLETE" in done.stdout


@pytest.mark.parametrize(("words", "current", "expected"), [
    ("edge", "", set(COMMANDS)),
    ("edge c", "1", {"cache", "config", "circuits"}), ("edge config", "2", {"validate", "show", "init", "schema"}),
    ("edge --v", "1", {"--version"}), ("edge auth --g", "2", {"--generate"})])
def test_completion(words: str, current: str, expected: set[str]) -> None:
    """Subcommands and options are completed."""
    done = edge(environ={"_EDGE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": current or "1"})
    assert {line.split(",")[1] for line in done.stdout.splitlines()} == expected


@pytest.mark.parametrize("code", [SYNTAX, MISSING, INVALID])
def test_codes_of_the_configuration_are_explained(code: str) -> None:
    """Every code that `config validate` prints can be explained, in either letter case."""
    for word in (code, code.lower()):
        done = run("explain", word)
        assert done.exit_code == 0 and code in done.output and "Cause:" in done.output and "Fix:" in done.output


OUTPUT = [("errors",), ("errors", "--format", "json"), ("explain", "401"), ("config", "schema"), ("--help",),
          ("--version",), ("auth", "--generate"), ("simulate", "--list-faults"), ("config", "show", "GOOD"),
          ("config", "validate", "GOOD")]


@pytest.mark.parametrize("arguments", OUTPUT, ids=" ".join)
@pytest.mark.parametrize(("to", "said"), [(">/dev/full", "No space left"), (">&-", "Bad file descriptor"),
                                          ("| true", "")])
def test_output_that_cannot_be_written(config: Any, arguments: tuple[str, ...], to: str, said: str) -> None:
    """A full disk, a closed output or a reader who leaves is told in a line or not at all, and never as a success."""
    good = config.write(config.good + "admin: {port: 1}\n")
    words = shlex.join(good if word == "GOOD" else word for word in arguments)
    line = f"{shlex.quote(sys.executable)} -m edge {words} {to}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False,
                          env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **environ(config)})
    assert "Traceback" not in done.stderr and said in done.stderr and done.stderr.count("\n") <= 1
    assert done.returncode == (1 if said else done.returncode) and done.returncode in (0, 1)


def test_problems_that_cannot_be_written(config: Any) -> None:
    """A wrong file has its exit code also where nothing can be said of it."""
    for to in ("2>/dev/full", "2>&-", "<&- >&- 2>&-"):
        line = f"{shlex.quote(sys.executable)} -m edge config validate nowhere.yaml {to}"
        done = subprocess.run(["bash", "-c", line], timeout=60, check=False, env={"PYTHONPATH": str(ROOT)})
        assert done.returncode == 78


@pytest.mark.parametrize("known", [(), ("OPENAI",), ("ANTHROPIC",), ("OPENAI", "ANTHROPIC")], ids=str)
@pytest.mark.parametrize("file", ["edge.yaml", "my file.yaml"])
def test_init(config: Any, known: tuple[str, ...], file: str) -> None:
    """A first file validates as it is, lets its printed key in, says what to do next, is not written over unasked."""
    environ = {f"{name}_API_KEY": "sk-x" for name in known}
    arguments = ("init", *[file] * (file != "edge.yaml"))
    done = run("config", *arguments, environ=environ)
    assert done.exit_code == 0, done.output
    [key] = re.findall(r"^    (sk-\S+)$", done.output, re.M)
    snapshot = peek(file, environ=environ).snapshot
    assert [made.digest for made in snapshot.keys] == [digest(key, None)] and key not in Path(file).read_text()
    assert {provider.kind for provider in snapshot.providers} == ({name.lower() for name in known}
                                                                  or {"openai", "anthropic"})
    validated = run("config", "validate", file, environ=environ)
    assert validated.exit_code == 0 and validated.stdout.endswith("1 key, 0 warnings\n")
    assert f"edge serve --config {shlex.quote(file)}" in done.output
    assert ("edge simulate" in done.output) is not bool(known)
    before = Path(file).read_text()
    refused = run("config", *arguments, environ=environ)
    assert refused.exit_code == 1 and "--force" in refused.stderr and Path(file).read_text() == before
    assert run("config", *arguments, "--force", environ=environ).exit_code == 0 and Path(file).read_text() != before


def test_init_where_nothing_can_be_written() -> None:
    """What keeps a first file from being written is said."""
    done = run("config", "init", "nowhere/edge.yaml")
    assert done.exit_code == 1 and "cannot write nowhere/edge.yaml: No such file" in done.stderr


def test_what_a_first_file_suggests_is_right(config: Any) -> None:
    """Every line that is commented out in a first file is one that edge takes."""
    run("config", "init", environ={"OPENAI_API_KEY": "sk-x"})
    text = re.sub(r"^# ( *[-\w]+: .*)$", r"\1", Path("edge.yaml").read_text(), flags=re.M)
    wanted = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x", "ADMIN_KEY": config.key}
    snapshot = config.load(text, wanted)
    assert snapshot.limit is not None and snapshot.admin_addr == "0.0.0.0" and len(snapshot.models) == 2
