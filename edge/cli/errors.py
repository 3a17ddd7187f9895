"""`edge errors` and `edge explain`: the error contracts, for reading."""

from __future__ import annotations

import shutil
from difflib import get_close_matches

import click

from edge import contract as contracts
from edge.config import MEANINGS
from edge.contract import Contract, ContractError, reference

FORMATS = ("table", "markdown", "json")
_NAME = "A contract's name, or the file of one of your own."


def chosen(ctx: click.Context, param: click.Parameter, value: str | None) -> Contract | None:
    """The contract of a name or of a file; its problems are told in full."""
    if value is None:
        return None
    try:
        if value.endswith((".yaml", ".yml")) or "/" in value:
            return contracts.load(contracts.names((value,))[-1], (value,))
        return contracts.load(value)
    except ContractError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def _width() -> int:
    """Columns to write in: the terminal's, neither cramped nor endless."""
    return max(80, min(shutil.get_terminal_size((100, 24)).columns, 120))


@click.command()
@click.option("--contract", callback=chosen, default="openai", show_default=True, help=_NAME)
@click.option("--surface", type=click.Choice(["openai", "anthropic", "admin"]), default="openai", show_default=True,
              help="Whose routes: the envelope differs.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
def errors(contract: Contract, surface: str, form: str) -> None:
    """Print the reference of all errors of a contract."""
    if surface not in contract.surfaces:
        raise click.BadParameter(f"{contract.name} has {', '.join(contract.surfaces)} alone", param_hint="--surface")
    click.echo(page(contract, surface, form), nl=form != "markdown")


def page(contract: Contract, surface: str, form: str) -> str:
    """The reference in one of FORMATS."""
    if form == "json":
        return reference.to_json(contract, surface)
    if form == "markdown":
        return reference.to_markdown(contract, surface)
    return reference.to_table(contract, surface, _width())


@click.command()
@click.argument("code")
@click.option("--contract", callback=chosen, help=f"Look in this one alone. {_NAME}")
def explain(code: str, contract: Contract | None) -> None:
    """Explain CODE: a code such as AUTH_001, the name of a condition, or a status."""
    chosen = [contract] if contract else [contracts.load(name) for name in contracts.names()]
    found = reference.find(code, chosen)
    parts = [reference.explain(name, chosen, _width()) for name in found]
    if (meaning := MEANINGS.get(code.strip().upper())) is not None:
        parts.insert(0, reference.told(f"{code.strip().upper()} (configuration)", *meaning, _width()))
    if not parts:
        words = [*reference.known_words(chosen), *MEANINGS]
        folded = {word.lower(): word for word in words}
        close = [folded[word] for word in get_close_matches(code.strip().lower(), folded, 3, 0.5)]
        hint = f"Did you mean {' or '.join(close)}? " if close else ""
        raise click.UsageError(f"there is no error {code}. {hint}edge errors lists them all.")
    click.echo("\n\n".join(parts))
