"""Sends a copy of each message to a capture server in HEPv3; credentials are masked as in the trace.

Copies are no business of calls: they are made after the message has gone on its way, no more than so many a second, and
one that cannot be sent is counted and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from twisted_sip.console.hep import packet
from twisted_sip.console.settings import HEPSettings
from twisted_sip.element.trace_masking import masked
from twisted_sip.errors import SIPError
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

_log = Logger()


class HEPExporter(DatagramProtocol):
    """The sender: a UDP protocol that listens on a port of the system's choice and sends to one place.

    :ivar exported: copies that were sent.
    :ivar dropped: copies that were not, since there were too many in a second or the network refused them.
    """

    # The log says where copies go; that there is a socket for them tells nobody anything.
    noisy = False

    def __init__(self, settings: HEPSettings, now: Callable[[], float]) -> None:
        """Make an exporter.

        :param now: seconds since the epoch.
        """
        self._settings = settings
        self._now = now
        self._where: tuple[str, int] | None = None
        self._second, self._this_second = 0, 0
        self.exported = 0
        self.dropped = 0

    def reaches(self, host: str, port: int) -> None:
        """From now on send to the numeric *host* and *port*."""
        self._where = host, port

    def sent(self, message: Request | Response, data: bytes, flow: Flow) -> None:
        """Copy a message that went out; a watcher of the element."""
        self._copy(message, data, flow.local, flow.remote, flow)

    def seen(self, message: Request | Response, data: bytes, flow: Flow) -> None:
        """Copy a message that came in."""
        self._copy(message, data, flow.remote, flow.local, flow)

    def _copy(self, message: Request | Response, data: bytes, source: Address, to: Address, flow: Flow) -> None:
        if self._where is None or self.transport is None or not self._has_room():
            self.dropped += 1
            return
        settings = self._settings
        try:
            call_id = message.call_id
        except SIPError:
            call_id = ""
        try:
            copy = packet(
                data if settings.credentials else masked(data).encode("utf-8", "surrogateescape"),
                source,
                to,
                self._now(),
                stream=flow.kind.stream,
                agent=settings.agent,
                key=settings.key,
                correlation=call_id,
            )
            transport: Any = self.transport
            transport.write(copy, self._where)
        except (ValueError, OSError) as error:
            self.dropped += 1
            _log.debug("a message is not captured: {reason}", reason=str(error))
        else:
            self.exported += 1

    def _has_room(self) -> bool:
        second = int(self._now())
        if second != self._second:
            self._second, self._this_second = second, 0
        self._this_second += 1
        return self._this_second <= self._settings.max_rate
