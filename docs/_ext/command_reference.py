"""Prints the reference of the commands, from the options that they declare.

``python docs/_ext/command_reference.py`` prints it as Markdown; ``docs/reference/commands.md`` is what it prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import click

from twisted_sip.cli.main import cli
from twisted_sip.tap import sip_b2bua, sip_presence, sip_proxy, sip_redirect, sip_registrar

_OPENING = """\
# Commands

## Servers

`twistd [options of twistd] sip-proxy [options]`. Of twistd's own options, `-n` keeps the server in the foreground,
`--pidfile=` writes no pid file, and `--logfile FILE` sets the log. The exit status is 1 if the server cannot
start, with one line on standard error for each reason.
"""


def reference() -> str:
    """Return the reference as Markdown."""
    return "\n".join([_OPENING, *_servers(), *_tools()])


def _servers() -> Iterator[str]:
    for module in (sip_proxy, sip_presence, sip_registrar, sip_redirect, sip_b2bua):
        options = module.Options()
        yield f"### `twistd {options.command}`\n"
        yield f"{options.longdesc}\n"
        yield "| option | meaning |"
        yield "| --- | --- |"
        yield from sorted(_server_options(options))
        yield ""


def _server_options(options: Any) -> Iterator[str]:
    for name, short, _, meaning in options.optParameters:
        yield _row(f"--{name} {name.upper().replace('-', '_')}", f"-{short}" if short else "", meaning)
    for name, short, meaning in options.optFlags:
        yield _row(f"--{name}", f"-{short}" if short else "", meaning)
    for name in ("behind", "domain", "listen", "proxy", "realm", "version", "xcap"):
        if not hasattr(options, f"opt_{name}"):
            continue
        value = {"version": "", "behind": " URI", "proxy": " URI"}.get(name, f" {name.upper()}")
        yield _row(f"--{name}{value}", "", " ".join((getattr(options, f"opt_{name}").__doc__ or "").split()))


def _tools() -> Iterator[str]:
    yield "## Tools\n"
    yield "`twisted-sip COMMAND`. The exit status is 0 if it was done, 1 if it failed, 2 for wrong usage.\n"
    context = click.Context(cli, info_name="twisted-sip")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield from _command(command, click.Context(command, context, info_name=name))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            inner = command.commands[name]
            yield from _command(inner, click.Context(inner, context, info_name=name))
        return
    yield f"### `{context.command_path}`\n"
    words = [word for parameter in command.get_params(context) for word in parameter.get_usage_pieces(context)]
    yield f"`{' '.join([context.command_path, '[options]', *words])}`\n"
    yield f"{cleandoc(command.help or '')}\n"
    rows = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    yield "| option | meaning |"
    yield "| --- | --- |"
    for option, meaning in rows:
        names = option.split(", ")
        yield _row(names[-1], names[0] if len(names) > 1 else "", meaning)
    yield ""


def _row(option: str, other: str, meaning: str) -> str:
    names = f"`{other}`, `{option}`" if other else f"`{option}`"
    return f"| {_cell(names)} | {_cell(meaning)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
