"""Whether a line that some text tells its reader to type is one that the `edge` command understands."""

from __future__ import annotations

import shlex

import click

from edge.cli import main


def fault(line: str) -> str | None:
    """What is wrong with `edge ...` as written, an unknown command or option; None when nothing is."""
    words = shlex.split(line, comments=True)
    command: click.Command = main
    context = click.Context(main, info_name="edge")
    arguments = words[words.index("edge") + 1:]
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return f"{line}: there is no command {name}"
        command = found
        context = click.Context(found, parent=context, info_name=name)
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    known |= set(context.help_option_names)
    for word in arguments:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in known:
            return f"{line}: {command.name} has no option {option}"
    return None
