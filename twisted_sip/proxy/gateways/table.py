"""All gateways by their groups: which are tried for a request, and in which order."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from twisted_sip.interfaces.routing import Target
from twisted_sip.proxy.gateways.live import LiveGateway, State
from twisted_sip.proxy.gateways.selection import in_order
from twisted_sip.proxy.gateways.settings import Gateway, GatewaysSettings


def _nobody(gateway: LiveGateway) -> None:
    pass


class Gateways:
    """The groups of gateways.

    :ivar groups: group -> its gateways.
    :ivar troubled: called with a gateway when a request has shown that it does not work.
    :ivar changed: called when there are others than before.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        gateways: Sequence[Gateway] = (),
        settings: GatewaysSettings | None = None,
        randbelow: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        """Make the table.

        :param clock: seconds of a clock.
        :param randbelow: draws a number below its argument, for the weights.
        """
        self._clock = clock
        self._randbelow = randbelow
        self.groups: dict[str, list[LiveGateway]] = {}
        self.troubled: Callable[[LiveGateway], object] = _nobody
        self.changed: Callable[[], object] = lambda: None
        self.adopt(gateways, settings or GatewaysSettings())

    def __iter__(self) -> Iterator[LiveGateway]:
        return (gateway for group in self.groups.values() for gateway in group)

    def __bool__(self) -> bool:
        return bool(self.groups)

    def adopt(self, gateways: Sequence[Gateway], settings: GatewaysSettings) -> None:
        """Take others in place of those that are there. What is known of one stays if its group, name and URI do."""
        known = {_identity(gateway.settings): gateway for gateway in self}
        groups: dict[str, list[LiveGateway]] = {}
        for place, one in enumerate(gateways):
            key = f"gateway[{place}]"
            live = known.get(_identity(one))
            if live is None:
                live = LiveGateway(self._clock, one, settings, key, self._tell)
            else:
                live.adopt(one, settings, key)
            groups.setdefault(one.group, []).append(live)
        self.groups = groups
        self.changed()

    def chance(self) -> float:
        """Return a number from 0 to 1, by chance."""
        return self._randbelow(1001) / 1000

    def _tell(self, gateway: LiveGateway) -> None:
        self.troubled(gateway)

    def choose(self, group: str) -> list[LiveGateway]:
        """Return the gateways of *group* in the order in which a request tries them.

        Those that work come first, then those that have failed lately. Those that are down are tried where there is no
        other: a probe may be wrong. Those that are full are left out.
        """
        up: list[LiveGateway] = []
        suspect: list[LiveGateway] = []
        down: list[LiveGateway] = []
        lists = {State.UP: up, State.SUSPECT: suspect, State.DOWN: down}
        for gateway in self.groups.get(group, ()):
            if gateway.enabled and not gateway.full:
                lists[gateway.state].append(gateway)
        chosen = in_order(up, self._randbelow) + in_order(suspect, self._randbelow)
        return chosen or in_order(down, self._randbelow)

    def named(self, name: str) -> list[LiveGateway]:
        """Return the gateways that are called *name*, or whose URI it is: one in each of several groups, perhaps."""
        return [gateway for gateway in self if name in (gateway.settings.label, gateway.settings.uri)]

    def usable(self, name: str) -> list[LiveGateway]:
        """Return the gateways called *name* that are enabled, and may take one more call."""
        return [gateway for gateway in self.named(name) if gateway.enabled and not gateway.full]

    def targets(self, group: str, user: str, q: int, no_answer: float = 0.0) -> list[Target]:
        """Return the targets in *group* for a request, one less preferred than the other.

        :param user: the user part of the Request-URI.
        :param q: that of the first target.
        :raises RemoteProtocolError: *user* cannot stand in a SIP URI.
        """
        return [gateway.target(user, q - place, no_answer) for place, gateway in enumerate(self.choose(group))]

    @property
    def limited(self) -> bool:
        """Whether one of them may have so many calls only."""
        return any(gateway.settings.max_calls for gateway in self)

    def enable(self, name: str, enabled: bool) -> int:
        """Use the gateway called *name*, or do not, whatever the configuration says; return how many there are."""
        found = self.named(name)
        for gateway in found:
            gateway.by_hand = enabled
        self.changed()
        return len(found)

    def lets_in(self, host: str) -> LiveGateway | None:
        """Return the gateway with the numeric address *host* that may call our users, None if there is none."""
        found = (one for one in self if one.settings.inbound and one.enabled and host.strip("[]") in one.addresses)
        return next(found, None)

    def shown(self) -> list[Mapping[str, Any]]:
        """Return what people are told of all of them, in the order of the configuration."""
        return [gateway.shown() for gateway in self]


def _identity(gateway: Gateway) -> tuple[str, str, str]:
    return gateway.group, gateway.label, gateway.uri
