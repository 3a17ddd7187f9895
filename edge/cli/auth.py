"""`edge auth`: a new gateway key, or the hash of one that is there."""

from __future__ import annotations

import re
import sys

import click

from edge.config import ConfigError, keys, peek
from edge.strict_yaml.writing import scalar
from edge.values.snapshot import Secret


@click.command()
@click.option("--generate", is_flag=True, help="Make a key, shown once and kept nowhere.")
@click.option("--hash", "hashes", is_flag=True, help="Read a key from standard input and hash it.")
@click.option("--name", default="client", show_default=True, help="What logs and metrics call the key.")
@click.option("--config", "file", type=click.Path(), help="The configuration whose key_secret keys the hash.")
def auth(generate: bool, hashes: bool, name: str, file: str | None) -> None:
    """Make a gateway key, or hash one, and print the lines to add to the configuration."""
    if generate == hashes:
        raise click.UsageError("give one of --generate, for a new key, and --hash, for one that there is")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise click.BadParameter("up to 64 letters, digits, dots, - and _", param_hint="--name")
    secret = _key_secret(file)
    if generate:
        key = keys.generate()
        click.echo(f"The key, shown this once:\n\n    {key}\n")
    else:
        key = _read_key()
    click.echo("Add to the configuration; where it has keys, the last two lines beside them:\n\n"
               f"keys:\n  - name: {scalar(name)}\n    hash: {scalar(keys.hashed(key, secret))}")


def _read_key() -> str:
    if sys.stdin.isatty():
        key = str(click.prompt("Key", hide_input=True, err=True))
    else:
        key = sys.stdin.readline(4096).strip()
    if fault := keys.fault(key):
        raise click.ClickException(f"the key {fault}")
    return key


def _key_secret(file: str | None) -> Secret | None:
    """The file's key_secret. The rest of the file may be wrong: a missing key is what this command mends."""
    loaded = peek(file)
    if found := [problem for problem in loaded.problems if problem.key == "key_secret"]:
        raise ConfigError(found)
    return loaded.snapshot.key_secret
