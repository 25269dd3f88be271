"""Media without sound: descriptions that fit, ports that are counted, and a watch over what a call asks of them.

A FakedMedia keeps the contract of interfaces.media.IMediaSession, and notes each breach of it by its caller.
"""

from __future__ import annotations

from typing import Any

from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.interfaces.media import MediaStatistics
from twisted_sip.sdp.description import SessionDescription

_SDP = """v=0
o=- {id} {version} IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio {port} RTP/AVP 0
a={way}
"""

#: What is said to an offer: (the offer's direction, whether we hold) -> ours (RFC 3264 section 6.1).
_WAYS = {
    ("sendrecv", False): "sendrecv",
    ("sendrecv", True): "sendonly",
    ("sendonly", False): "recvonly",
    ("sendonly", True): "inactive",
    ("recvonly", False): "sendonly",
    ("recvonly", True): "sendonly",
    ("inactive", False): "inactive",
    ("inactive", True): "inactive",
}


class FakedPorts:
    """The ports of one host, and the media sessions that have them; calling it makes a session.

    :ivar open: port -> the session that has it.
    :ivar made: every session, in order.
    :ivar problems: breaches of the contract, one line each.
    :ivar refuses: refuse what is offered from now on, with 488.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.open: dict[int, FakedMedia] = {}
        self.made: list[FakedMedia] = []
        self.problems: list[str] = []
        self.refuses = False

    def __call__(self, call: Any = None) -> FakedMedia:
        media = FakedMedia(self, call, 10_000 + 2 * len(self.made))
        self.made.append(media)
        self.open[media.port] = media
        return media


class FakedMedia:
    """The media of one call.

    :ivar port: its port.
    :ivar agreed: our description and the peer's, as texts; None before there are any.
    :ivar holding: the peer is to be held.
    :ivar closed: it was closed.
    :ivar asked: what was asked of it besides descriptions: ``("play", source)`` and the like.
    :ivar bridged: who else is heard.
    """

    rate = 8000

    def __init__(self, ports: FakedPorts, call: Any, port: int) -> None:
        self.call = call
        self.port = port
        self.agreed: tuple[str, str] | None = None
        self.holding = False
        self.closed = False
        self.on_dtmf: Any = None
        self.asked: list[tuple[str, Any]] = []
        self.bridged: list[Any] = []
        self._ports = ports
        self._version = 0
        # The offer of ours that waits, the last one, and what was agreed before the last answer of ours.
        self._waits = False
        self._offer = ""
        self._before: tuple[str, str] | None = None

    def _breach(self, what: str) -> None:
        self._ports.problems.append(f"{what}: {self.call!r}")

    def _describe(self, way: str) -> SessionDescription:
        self._version += 1
        return SessionDescription.parse(
            _SDP.format(id=self.port, version=self._version, host=self._ports.host, port=self.port, way=way)
        )

    @property
    def way(self) -> str:
        """The direction that is agreed, as we see it; empty before there is one."""
        return "" if self.agreed is None else direction_of(self.agreed[0])

    # -- IMediaSession ------------------------------------------------------------------------

    def offer(self) -> SessionDescription:
        """See IMediaSession."""
        if self._waits or self.closed:
            self._breach(f"an offer is wanted, {'the session is closed' if self.closed else 'and one waits'}")
            raise LocalProtocolError("there can be no offer now")
        self._waits = True
        made = self._describe("sendonly" if self.holding else "sendrecv")
        self._offer = _text(made)
        return made

    def answer(self, offer: SessionDescription) -> SessionDescription:
        """See IMediaSession."""
        if self.closed:
            self._breach("an answer is wanted after the end")
        if self._waits or self.closed:
            raise LocalProtocolError("there can be no answer now")
        if self._ports.refuses:
            raise MediaRefused("not now", warning_code=370, warning_text="Insufficient bandwidth")
        made = self._describe(_WAYS[direction_of(_text(offer)), self.holding])
        self._before = self.agreed
        self.agreed = (_text(made), _text(offer))
        return made

    def answered(self, answer: SessionDescription) -> None:
        """See IMediaSession."""
        if not self._offer:
            self._breach("an answer to no offer")
        if self.closed:
            self._breach("an answer after the end")
        self._waits = False
        self._before = self.agreed
        self.agreed = (self._offer, _text(answer))

    def rolled_back(self) -> None:
        """See IMediaSession."""
        if self._waits:
            self._waits = False
        else:
            self.agreed = self._before

    def hold(self, on: bool) -> None:
        """See IMediaSession."""
        self.holding = on

    def statistics(self) -> MediaStatistics:
        """See IMediaSession."""
        return MediaStatistics(codec="PCMU/8000")

    def close(self) -> None:
        """See IMediaSession."""
        self.closed = True
        self._ports.open.pop(self.port, None)

    # -- sound that nobody hears -------------------------------------------------------------------

    def play(self, source: Any) -> None:
        """Note it."""
        self.asked.append(("play", source))

    def stop_playing(self) -> None:
        """Note it."""
        self.asked.append(("stop playing", None))

    def record(self, sink: Any) -> None:
        """Note it."""
        self.asked.append(("record", sink))

    def stop_recording(self) -> None:
        """Note it."""
        self.asked.append(("stop recording", None))

    def echo(self, on: bool = True) -> None:
        """Note it."""
        self.asked.append(("echo", on))

    def bridge(self, other: Any) -> None:
        """Note it."""
        self.bridged.append(other)


def _text(description: SessionDescription) -> str:
    return description.to_bytes().decode()


def direction_of(text: str) -> str:
    """Return the direction of the first stream in the description *text*."""
    return str(SessionDescription.parse(text).media[0].direction.value)
