"""The `edge` command. A subcommand's module is imported when it runs, so `edge --help` stays quick."""

from __future__ import annotations

import platform
import sys
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from edge import __version__
from edge.cli.streams import UNWRITTEN, complete_stdio, mute, tell

# name: its module, and what `edge --help` says of it. The command in the module bears the same name.
COMMANDS = {
    "serve": ("edge.cli.serve", "Run the gateway."),
    "reload": ("edge.cli.lifecycle", "Let a running gateway read its configuration again."),
    "stop": ("edge.cli.lifecycle", "Stop a running gateway, and wait for its end."),
    "status": ("edge.cli.lifecycle", "Show what runs."),
    "config": ("edge.cli.config", "Check and show the configuration."),
    "auth": ("edge.cli.auth", "Make a gateway key, or hash one."),
    "keys": ("edge.cli.keys", "Make, limit, rotate and revoke keys at a running gateway."),
    "accounts": ("edge.cli.parties", "Make, limit and suspend the accounts that keys belong to."),
    "users": ("edge.cli.parties", "Make and ban the users whose the keys are."),
    "groups": ("edge.cli.parties", "Say what groups of keys may use."),
    "workspaces": ("edge.cli.parties", "Switch features of workspaces on and off."),
    "usage": ("edge.cli.usage", "Show what accounts, keys and models have used and spent."),
    "audit": ("edge.cli.audit", "Show what admins did."),
    "store": ("edge.cli.store", "Check, migrate, back up and restore the database of keys."),
    "errors": ("edge.cli.errors", "Print the reference of all errors."),
    "explain": ("edge.cli.errors", "Explain one error: its cause and the fix."),
    "simulate": ("edge.cli.simulate", "Run a simulator of providers."),
    "health": ("edge.cli.health", "Ask a running gateway whether it is well."),
    "top": ("edge.cli.top", "Watch a running gateway: traffic, providers, breakers, limits, errors."),
    "why": ("edge.cli.why", "Tell what happened to one request, and what to do about it."),
    "fleet": ("edge.cli.fleet", "Show the hosts that share limits, and what is left of them."),
    "models": ("edge.cli.models", "List the models, and switch them off and on."),
    "maintenance": ("edge.cli.maintenance", "Answer all requests with 503 for a while."),
    "cache": ("edge.cli.cache", "Show the response cache, and clear it."),
    "circuits": ("edge.cli.circuits", "List a running gateway's targets, and take one out or put it back."),
}


class Commands(click.Group):
    """The subcommands of COMMANDS. A ConfigError of any of them is told in full, with exit code 78."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of a first day's use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a subcommand."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """A name that is none is told with the one that was meant."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            from difflib import get_close_matches
            if close := get_close_matches(args[0], COMMANDS, 1):
                ctx.fail(f"No such command '{args[0]}'. Did you mean '{close[0]}'?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of `--help`, without an import."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of subcommands, without an import, and options."""
        names = [CompletionItem(name, help=about) for name, (_, about) in COMMANDS.items()
                 if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def main(self, *arguments: Any, **more: Any) -> Any:
        """Run the command. Output that cannot be written is told in a line, with exit code 1."""
        complete_stdio()
        try:
            return super().main(*arguments, **more)
        except OSError as error:
            if error.filename is not None or error.errno not in UNWRITTEN:
                raise
            mute()
            tell(f"Error: standard output: {error.strerror}")
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if "edge.config" not in sys.modules:        # and so it is no ConfigError
                raise
            from edge.config import ConfigError

            if not isinstance(error, ConfigError):
                raise
            tell(error.render())
            sys.exit(error.exit_code)


@click.group(name="edge", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=f"edge {__version__} (Python {platform.python_version()}, "
                                           f"{platform.system()} {platform.machine()})")
def main() -> None:
    """One front door for LLM traffic."""
