"""ICE in the description: candidates and their kin (RFC 8839 section 5)."""

from __future__ import annotations

import re

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.hosts import printable
from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.connection import ip_of
from twisted_sip.sdp.lines import check_range, check_token, check_word, number

_FOUNDATION = re.compile(r"[A-Za-z0-9+/]{1,32}").fullmatch
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}").fullmatch
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}").fullmatch
_VISIBLE = re.compile(r"[\x21-\x7e]*").fullmatch

_MOST_PRIORITY = (1 << 32) - 1


@attrs.frozen(slots=True)
class Candidate:
    """A transport address that media may be sent to (RFC 8839 section 5.1).

    :ivar foundation: the same for candidates of one kind, base and server.
    :ivar component: 1 for RTP, 2 for RTCP; up to 256.
    :ivar transport: ``UDP`` or another one (``TCP``, RFC 6544).
    :ivar priority: 1 to 2**31-1; the higher the better.
    :ivar address: an IP address; peers may send names (``.local``), which nobody needs to use.
    :ivar port: its port.
    :ivar type: ``host``, ``srflx``, ``prflx``, ``relay``, or another one.
    :ivar related_address: base or mapped address, empty where it is not told.
    :ivar related_port: its port, None where it is not told.
    :ivar extensions: pairs of name and value, in order: ``("tcptype", "active")``.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    type: str = "host"
    related_address: str = ""
    related_port: int | None = None
    extensions: tuple[tuple[str, str], ...] = ()

    def __attrs_post_init__(self) -> None:
        if _FOUNDATION(self.foundation) is None:
            raise LocalProtocolError(f"{self.foundation[:40]!r} is no foundation")
        check_range(self.component, "a component", 256, 1)
        check_token(self.transport, "transport")
        check_range(self.priority, "a priority", _MOST_PRIORITY)
        check_word(self.address, "address")
        check_range(self.port, "a port", 65535)
        check_token(self.type, "type of a candidate")
        if self.related_address:
            check_word(self.related_address, "address")
        if self.related_port is not None:
            check_range(self.related_port, "a port", 65535)
        for name, value in self.extensions:
            check_token(name, "name of an extension")
            if _VISIBLE(value) is None:
                raise LocalProtocolError(f"{value[:40]!r} is no value of an extension")

    @classmethod
    def parse(cls, value: str) -> Candidate:
        """Return the value of a candidate attribute, a leading ``candidate:`` is read over.

        :raises RemoteProtocolError: it is malformed.
        """
        words = value.strip().removeprefix("candidate:").split()
        if len(words) < 8 or words[6].lower() != "typ":
            raise RemoteProtocolError(f"Malformed candidate {printable(value)}", status=488)
        foundation, component, transport, priority, address, port, _, kind, *rest = words
        pairs = list(zip(rest[::2], [*rest[1::2], ""], strict=False))
        related_address, related_port = "", None
        if pairs and pairs[0][0].lower() == "raddr":
            related_address = pairs.pop(0)[1]
        if pairs and pairs[0][0].lower() == "rport":
            related_port = number(pairs.pop(0)[1], "port", 65535)
        try:
            return cls(
                foundation,
                number(component, "component", 256, 1),
                transport,
                number(priority, "priority", _MOST_PRIORITY),
                address,
                number(port, "port", 65535),
                kind,
                related_address,
                related_port,
                tuple(pairs),
            )
        except LocalProtocolError:
            raise RemoteProtocolError(f"Malformed candidate {printable(value)}", status=488) from None

    @property
    def has_address(self) -> bool:
        """Whether it is an IP address; those with names must be ignored (RFC 8839 section 5.1)."""
        return ip_of(self.address) is not None

    @property
    def attribute(self) -> Attribute:
        """The attribute that says so."""
        return Attribute("candidate", str(self))

    def __str__(self) -> str:
        words = [
            self.foundation,
            str(self.component),
            self.transport,
            str(self.priority),
            self.address,
            str(self.port),
            "typ",
            self.type,
        ]
        if self.related_address:
            words += ["raddr", self.related_address]
        if self.related_port is not None:
            words += ["rport", str(self.related_port)]
        for pair in self.extensions:
            words += pair
        return " ".join(words)


@attrs.frozen(slots=True)
class RemoteCandidate:
    """What a controlling agent has chosen of its peer's candidates (RFC 8839 section 5.2)."""

    component: int
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.component} {self.address} {self.port}"


def parse_remote_candidates(value: str) -> tuple[RemoteCandidate, ...]:
    """Return the value of a remote-candidates attribute.

    :raises RemoteProtocolError: it is malformed.
    """
    words = value.split()
    if not words or len(words) % 3:
        raise RemoteProtocolError(f"Malformed remote-candidates {printable(value)}", status=488)
    found = zip(words[::3], words[1::3], words[2::3], strict=True)
    return tuple(
        [
            RemoteCandidate(number(one, "component", 256, 1), two, number(three, "port", 65535))
            for one, two, three in found
        ]
    )


def check_credentials(ufrag: str, password: str) -> None:
    """Refuse credentials that cannot be sent (RFC 8839 section 5.4).

    :raises LocalProtocolError: the user fragment has not 4 to 256, the password not 22 to 256 letters, digits, + and /.
    """
    if _UFRAG(ufrag) is None or _PASSWORD(password) is None:
        raise LocalProtocolError("ICE credentials have 4, the password 22 letters, digits, + or / at least")
