"""The ``twisted-sip`` command."""

from __future__ import annotations

import importlib
import os
import sys

import click

from twisted_sip import __version__

#: Command -> (module, what it is for); a module is imported when its command runs, so that each starts fast.
_COMMANDS = {
    "user": ("user", "Add, change, remove, list and import users."),
    "policy": ("policy", "Say what becomes of the calls of a user: forward, block, do not disturb."),
    "contacts": ("contacts", "List where users can be reached now."),
    "gateways": ("gateways", "Show the gateways and whether they work; switch them on and off."),
    "bans": ("bans", "List and lift bans for wrong passwords."),
    "calls": ("calls", "List calls, those of now and those before, and what they come to."),
    "presence": ("presence", "Show who is where, once or live."),
    "watchers": ("watchers", "List who watches a user."),
    "messages": ("messages", "List the messages that wait for a user."),
    "trace": ("trace", "Show the messages of a call as a ladder diagram."),
    "explain": ("explain", "Tell why a call went the way it did, with the keys of the configuration."),
    "status": ("status", "Show how a running server is doing."),
    "reload": ("reload", "Have a running server read its configuration anew."),
    "check": ("check", "Look for what is wrong with a configuration and its surroundings."),
    "doctor": ("doctor", "Look a server over: DNS, certificates, clock, NAT, ports, databases, limits."),
    "options": ("options", "Ask a SIP server or phone what it can do (OPTIONS)."),
    "register": ("register", "Register and show the bindings (REGISTER)."),
    "message": ("message", "Send an instant message (MESSAGE)."),
    "publish": ("publish", "Publish presence (PUBLISH)."),
    "call": ("call", "Call somebody, with sound from and to WAV files."),
    "load": ("load", "Make many calls at a steady rate, and tell how they went."),
    "chat": ("chat", "Chat with somebody, on a terminal or in a pipe."),
}


class _Commands(click.Group):
    """Finds the commands by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command *cmd_name*."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"twisted_sip.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="twisted-sip")
def cli() -> None:
    """Look after a twisted-sip server, and try others out."""


def main() -> None:
    """Run the command; exit status 0 for done, 1 for failed, 2 for wrong usage."""
    try:
        cli(prog_name="twisted-sip")
    except OSError as error:
        # A file for the output on a disk that is full, above all. What is left of the output has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        about = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"twisted-sip: {about}{(error.strerror or str(error)).lower()}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
