"""References to secrets, and that no secret is ever shown."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from edge.config import ConfigError
from edge.config.keys import digest, fault, generate, hashed
from edge.values.snapshot import Secret

FILE = """\
port: 8766
listen_addr: 127.0.0.1
providers:
  openai: {{key: "{key}"}}
keys: [{{name: a, key: env:KEY_A}}]
"""


def test_variable(config: Any) -> None:
    """env:NAME is the variable's value."""
    assert config.load(FILE.format(key="env:P"), {"P": "sk-p"}).providers[0].keys == (Secret("sk-p"),)


@pytest.mark.parametrize("place", ["relative", "absolute"])
def test_file(config: Any, place: str) -> None:
    """file:PATH is the file's one line, and a relative path begins at the configuration's folder."""
    path = config.folder / "key"
    path.write_text("sk-from-file\n")
    path.chmod(0o600)
    loaded = config.load(FILE.format(key=f"file:{'key' if place == 'relative' else path}"))
    assert loaded.providers[0].keys == (Secret("sk-from-file"),) and loaded.warnings == ()


def test_file_that_all_can_read(config: Any) -> None:
    """A secret's file that everybody can read is used, with a warning that says how to close it."""
    (config.folder / "key").write_text("sk-from-file")
    (config.folder / "key").chmod(0o644)
    [warning] = config.load(FILE.format(key="file:key")).warnings
    assert "providers.openai.key" in warning and "chmod 600" in warning and "sk-from-file" not in warning


@pytest.mark.parametrize(("key", "content", "said"), [
    ("env:NOT_SET", None, "the variable NOT_SET is not set"),
    ("env:EMPTY", None, "the variable EMPTY is empty"),
    ("env:a b", None, "is not followed by the name"),
    ("env:TWO_LINES", None, "a line break"),
    ("env:UMLAUT", None, "beyond ASCII"),
    ("$OPENAI_API_KEY", None, "not how a variable is named"),
    ("${OPENAI_API_KEY}", None, "not how a variable is named"),
    ("${env:OPENAI_API_KEY}", None, "not how a variable is named"),
    ("{env:OPENAI_API_KEY}", None, "not how a variable is named"),
    ("os.environ/OPENAI_API_KEY", None, "not how a variable is named"),
    ("***", None, "is masked"),
    ("", None, "is empty"),
    ("file:none", None, "No such file"),
    ("file:.", None, "is no file of one line"),
    ("file:key", b"", "is empty"),
    ("file:key", b"a\nb\n", "a line break"),
    ("file:key", b"\xff", "not text"),
    ("file:key", b"x" * 70000, "is no file of one line"),
])
def test_references_that_lead_nowhere(config: Any, key: str, content: bytes | None, said: str) -> None:
    """A reference that cannot be followed is told with line, key and way out."""
    if content is not None:
        (config.folder / "key").write_bytes(content)
    found = config.problem(FILE.format(key=key), {"EMPTY": "", "TWO_LINES": "a\nb", "UMLAUT": "schlüssel"})
    assert (found.place.line, found.key) == (4, "providers.openai.key")
    assert said in found.message and found.way_out


@pytest.mark.parametrize(("key", "reference"), [
    ("enf:OPENAI_API_KEY", "env:OPENAI_API_KEY"), ("ENV:OPENAI_API_KEY", "env:OPENAI_API_KEY"),
    ("Env: OPENAI_API_KEY", "env:OPENAI_API_KEY"), ("env.OPENAI_API_KEY", "env:OPENAI_API_KEY"),
    ("env=OPENAI_API_KEY", "env:OPENAI_API_KEY"), ("en:OPENAI_API_KEY", "env:OPENAI_API_KEY"),
    ("envs:OPENAI_API_KEY", "env:OPENAI_API_KEY"), ("nev:OPENAI_API_KEY", "env:OPENAI_API_KEY"),
    ("eenv:OPENAI_API_KEY", "env:OPENAI_API_KEY"), ("enc:0abcdef", "env:..."), ("ENV:sk-hidden", "env:..."),
    ("File:/x/hidden", "file:..."), ("FILE:/x/hidden", "file:..."), ("fiel:/x/hidden", "file:..."),
    ("fil:/x/hidden", "file:..."), ("files:/x/hidden", "file:..."), ("file.hidden", "file:...")])
def test_almost_references(config: Any, key: str, reference: str) -> None:
    """A reference with a slip in it is told with the one that was meant, and is no key; no part of a key is shown."""
    found = config.problem(FILE.format(key=key))
    assert (found.place.line, found.key) == (4, "providers.openai.key")
    assert f"{reference} is meant?" in found.message and "hidden" not in found.message + found.way_out


@pytest.mark.parametrize("key", ["sk-a:b", "abc.def", "sk-env:X", "eyJhbGciOiJIUzI1NiJ9.e30.x", "dev:0123", "user:pass",
                                 "env", "envy", "key=abc", "Bearer env.x", "live.x", "environ:X", "x.env:Y", "1env:X"])
def test_keys_like_references(config: Any, key: str) -> None:
    """A key may hold colons and dots: it is taken, with the warning that it stands in plain text."""
    loaded = config.load(FILE.format(key=key))
    assert loaded.providers[0].keys == (Secret(key),) and len(loaded.warnings) == 1


def test_headers_like_references(config: Any) -> None:
    """What is no secret may hold any words."""
    text = FILE.format(key="env:P").replace("{key", "{headers: {x-tier: Env.prod}, key")
    assert config.load(text, {"P": "sk-p"}).providers[0].headers == (("x-tier", Secret("Env.prod")),)


def test_plain_secret(config: Any) -> None:
    """A secret in plain text is used, with a warning that names line and key and not the secret."""
    loaded = config.load(FILE.format(key="sk-plain-secret"))
    assert loaded.providers[0].keys == (Secret("sk-plain-secret"),)
    [warning] = loaded.warnings
    assert ":4:" in warning and "providers.openai.key" in warning and "sk-plain-secret" not in warning


SECRETS = {"P": "sk-secret-provider", "H": "secret-header", "X": "http://user:secret-proxy@10.0.0.1:3128",
           "S": "secret-key-secret", "A": "secret-admin-key-0", "KEY_A": "sk-secret-client-key"}
FULL = """\
port: 8766
listen_addr: 127.0.0.1
providers:
  openai: {key: env:P, headers: {x-one: env:H, x-token: secret-plain-header}, proxy: env:X}
keys: [{name: a, key: env:KEY_A}]
key_secret: env:S
admin: {key: secret-plain-admin-key, tokens: [{name: a, token: secret-plain-admin-token, scope: viewer}]}
"""


def test_nothing_shows_a_secret(config: Any) -> None:
    """Neither the Snapshot nor what it was made of shows a secret in its text or its warnings."""
    loaded = config.read(FULL, SECRETS)
    shown = f"{loaded.snapshot!r} {loaded.settings!r} {loaded.snapshot.warnings}"
    assert "secret-" not in shown and "***" in shown


def test_errors_show_no_secret(config: Any) -> None:
    """A secret in the wrong place, of the wrong form, or twice is complained of without being repeated."""
    with pytest.raises(ConfigError) as caught:
        config.load("""\
            port: secret-1
            listen_addr: secret-2
            providers:
              openai: {kind: secret-3, base_url: "secret-4", keys: secret-5, max_idle: secret-6}
              other: {kind: openai, base_url: "http://secret-7@x", key: secret-8, proxy: "ftp://secret-9@x"}
            keys:
              - {name: a, key: secret-10, hash: secret-11}
              - {name: b, key: secret-12, expires: secret-13}
            contract: [secret-14]
            workers: secret-15
            admin: {key: "secret-16\\u00fc0000000000"}
            """, {"EDGE_RATE_LIMIT": "secret-17", "HTTPS_PROXY": "secret://secret-18"})
    assert len(caught.value.problems) > 10
    assert "secret-" not in caught.value.render() + str(caught.value) + repr(caught.value)


def test_snapshot_is_pickled_whole(config: Any) -> None:
    """A Snapshot goes to other processes and compares by value."""
    snapshot = config.load(FULL, SECRETS)
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot


def test_generated_keys() -> None:
    """A generated key is sk- and 43 URL-safe characters, and never the same."""
    made = {generate() for _ in range(50)}
    assert len(made) == 50
    assert all(len(key) == 46 and key.startswith("sk-") and fault(key) is None for key in made)


def test_digest_depends_on_the_secret() -> None:
    """A digest is 32 bytes of BLAKE2b, of text and bytes alike, another one under another secret."""
    assert digest("sk-1", None) == digest(b"sk-1", None) != digest("sk-1", Secret("a" * 16))
    assert digest("sk-1", Secret("a" * 16)) != digest("sk-1", Secret("b" * 16))
    # b2sum -l 256 of "sk-1"
    assert hashed("sk-1", None) == (
        "blake2b:33940665b9b88f8bda8b8c4c50a9923bedb3085d1ed202a671337591dcd0ddf4")


def test_keyed_hash_and_reference_agree(config: Any) -> None:
    """A key given as hash and the same key given by reference have one digest, under key_secret."""
    secret = Secret("0123456789abcdef")
    text = """\
        port: 1
        listen_addr: 127.0.0.1
        key_secret: env:S
        providers: {openai: {key: env:OPENAI_API_KEY}}
        keys: [{name: a, ENTRY}]
        """
    by_hash = config.load(text.replace("ENTRY", f'hash: "{hashed(config.key, secret)}"'), {"S": secret.reveal()})
    by_reference = config.load(text.replace("ENTRY", "key: env:KEY_A"), {"S": secret.reveal()})
    assert by_hash.keys == by_reference.keys


@pytest.mark.parametrize(("entry", "said"), [
    ("{name: a}", "needs one of key and hash"),
    ("{name: a, key: env:KEY_A, hash: 'blake2b:" + "0" * 64 + "'}", "needs one of key and hash"),
    ("{name: a, key: env:SHORT}", "shorter than 16"),
    ("{name: a, key: env:BLANK}", "a blank or a character"),
    ("{name: 'a b', key: env:KEY_A}", "has not the right form"),
    ("{name: a, hash: 'blake2b:" + "A" * 64 + "'}", "has not the right form"),
    ("{name: a, key: env:KEY_A, expires: tomorrow}", "is no ISO date"),
    ("{name: a, key: env:KEY_A, scopes: [chatt]}", "there is no scope chatt"),
    ("{name: a, key: env:KEY_A, models: ['a**']}", "is no pattern"),
    ("{name: a, key: env:KEY_A}, {name: a, hash: 'blake2b:" + "0" * 64 + "'}", "is the name of keys[0] too"),
    ("{name: a, key: env:KEY_A}, {name: b, key: env:KEY_A}", "is the same key as a"),
])
def test_unusable_client_keys(config: Any, entry: str, said: str) -> None:
    """A client's key that could not work, or could not be told from another, is an error at its line."""
    text = FILE.format(key="env:OPENAI_API_KEY").replace("{name: a, key: env:KEY_A}", entry)
    found = config.problem(text, {"SHORT": "sk-1", "BLANK": "sk-0123456789 123456"})
    assert found.place.line == 5 and said in found.message


def test_client_keys(config: Any) -> None:
    """A key's limit, expiry (UTC unless it says otherwise), models and scopes arrive as written."""
    [key] = config.load("""\
        port: 1
        listen_addr: 127.0.0.1
        providers: {openai: {key: env:OPENAI_API_KEY}}
        keys:
          - name: a
            key: env:KEY_A
            rate_limit: {requests_per_second: 2.5}
            disabled: true
            expires: 2030-01-01
            models: ["gpt-*"]
            scopes: [chat, relay]
        """).keys
    assert (key.name, key.digest, key.state) == ("a", digest(config.key, None), "disabled")
    assert key.limit is not None and (key.limit.rate, key.limit.burst) == (2.5, 3)
    assert (key.expires, key.models, key.scopes) == (1893456000.0, ("gpt-*",), ("chat", "relay"))


def test_one_provider_key_twice(config: Any) -> None:
    """The same provider key twice is an error: it would be benched as one and tried as two."""
    text = FILE.replace('key: "{key}"', "keys: [env:P, env:Q]").format()
    assert config.problem(text, {"P": "sk-p", "Q": "sk-p"}).key == "providers.openai.keys[1]"


def test_key_beside_keys(config: Any) -> None:
    """`key` beside `keys` is an error, as their order would be a guess."""
    text = FILE.replace('key: "{key}"', "key: env:P, keys: [env:Q]").format()
    assert config.problem(text, {"P": "sk-p", "Q": "sk-q"}).key == "providers.openai.key"


def test_folder_is_the_files(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative reference means the same from whatever folder the command runs in."""
    (config.folder / "key").write_text("sk-from-file")
    config.write(FILE.format(key="file:key"))
    monkeypatch.chdir(tmp_path.parent)
    assert config.load(FILE.format(key="file:key")).providers[0].keys == (Secret("sk-from-file"),)
