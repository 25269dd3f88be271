"""What ``twistd sip-ua`` takes over of other settings while it runs: where it listens, certificates, limits, manners.

Lines and what is done with their calls are what it was started for; they wait for the next start. See
:mod:`twisted_sip.tap.reload`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from twisted_sip.tap.hosts import host_names
from twisted_sip.tap.part import Prepared
from twisted_sip.tap.transport_settings import transport_settings
from twisted_sip.tap.ua_sections import UAConfiguration, listened_on

if TYPE_CHECKING:
    from twisted_sip.tap.ua_composition import UAServer


class UASettings:
    """The user agent as one that follows its settings."""

    sections: Sequence[str] = tuple(name for name in attrs.fields_dict(UAConfiguration) if name != "log")
    fixed: Sequence[str] = (
        "server.state_dir",
        "server.stun",
        "line",
        "turn",
        "answer",
        "voicemail",
        "agent.dialog_watchers",
        "media",
        "trace",
        "transport.backlog",
    )

    def reload(self, server: UAServer, configuration: UAConfiguration) -> Prepared | None:
        """Open what is to be listened on, and read the certificates.

        :raises ConfigurationError: one line for each thing that cannot be had.
        """
        element, agent = server.element, server.agent
        assert element is not None and agent is not None
        listen = listened_on(configuration)
        change = element.transports.relisten(
            transport_settings(with_listen(configuration, listen), host_names(())),
            listened_on(server.configuration),
            listen,
        )

        def commit() -> None:
            change.commit()
            element.configure(element.timer_values, configuration.limits.max_transactions)
            server.limits.configure(configuration.limits)
            agent.settings = configuration.agent

        return Prepared(commit, change.roll_back, tuple(change.opened), tuple(change.closed))


def with_listen(configuration: UAConfiguration, listen: Sequence[Any]) -> Any:
    """Return *configuration* with where we listen."""
    return attrs.evolve(configuration, server=attrs.evolve(configuration.server, listen=tuple(listen)))
