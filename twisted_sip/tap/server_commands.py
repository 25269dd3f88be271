"""What the control socket of a server can do, from all that the server has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_sip.element.admission_notes import users_key
from twisted_sip.tap.control import Command
from twisted_sip.tap.control_commands import ban_commands, contact_commands, trace_commands
from twisted_sip.tap.explain_commands import explain_commands
from twisted_sip.tap.policy_commands import policy_commands
from twisted_sip.tap.reload_commands import reload_commands
from twisted_sip.tap.user_removal import removal_commands

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server


def server_commands(server: Server) -> dict[str, Command]:
    """Return the commands of *server*, whose stores are open and whose chain is built."""
    location, clock = server.location, server.reactor.seconds
    assert location is not None
    commands: dict[str, Command] = {"status": server.status, **trace_commands(server.trace)}
    commands |= reload_commands(server.reload_soon)
    commands |= explain_commands(
        server.decisions, server.trace, server.user_known, lambda: users_key(server.configuration.auth)
    )
    commands |= contact_commands(location, clock) | ban_commands(server.bans, clock)
    commands |= removal_commands(
        location,
        server.parts,
        None if server.user_known is None else server.user_known.is_taken,
        server.credentials,
    )
    commands |= policy_commands(server.call_policies)
    for part in server.parts:
        commands |= part.commands()
    return commands
