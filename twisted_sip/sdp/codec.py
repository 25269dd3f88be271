"""Codecs as RTP names them: payload types, rtpmap and fmtp (RFC 8866 sections 6.6 and 6.15, RFC 3551 section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.hosts import printable
from twisted_sip.sdp.lines import check_range, check_text, check_token, is_token, number

_MOST_RATE = (1 << 32) - 1

#: Payload types from here on are bound by each session (RFC 3551 section 3).
FIRST_DYNAMIC = 96
#: RTCP packet types 200 to 204 would look like these where both share a port (RFC 5761 section 4).
RTCP_CONFLICTS = range(64, 96)

TELEPHONE_EVENT = "telephone-event"
COMFORT_NOISE = "CN"


@attrs.frozen(slots=True)
class Codec:
    """An encoding in an RTP session.

    :ivar name: its encoding name as IANA has it; compared in any case.
    :ivar clock_rate: of its RTP timestamps in Hz (8000 for G722, RFC 3551 section 4.5.2).
    :ivar channels: channels of audio.
    :ivar payload_type: its number in RTP packets, 0 to 127.
    :ivar parameters: format parameters as they stand in fmtp: ``minptime=10;useinbandfec=1``, ``0-16``.
    """

    name: str
    clock_rate: int
    channels: int = 1
    payload_type: int = 0
    parameters: str = ""

    def __attrs_post_init__(self) -> None:
        check_token(self.name, "encoding name")
        check_range(self.clock_rate, "clock rate", _MOST_RATE, 1)
        check_range(self.channels, "channels", 255, 1)
        check_range(self.payload_type, "payload type", 127)
        check_text(self.parameters, "format parameters")

    @property
    def key(self) -> tuple[str, int, int]:
        """What two descriptions of one encoding have in common: name in lower case, clock rate and channels."""
        name = self.name.lower()
        # Always two for Opus (RFC 7587 section 7); some leave them out.
        return name, self.clock_rate, 2 if name == "opus" else self.channels

    @property
    def rtpmap(self) -> str:
        """The value of its rtpmap attribute: ``0 PCMU/8000``."""
        channels = f"/{self.channels}" if self.channels > 1 else ""
        return f"{self.payload_type} {self.name}/{self.clock_rate}{channels}"

    @property
    def fmtp(self) -> Mapping[str, str]:
        """The format parameters by name in lower case; one without a value has an empty one."""
        return parse_parameters(self.parameters)

    @property
    def is_telephone_event(self) -> bool:
        """Whether it carries DTMF digits and other events (RFC 4733)."""
        return self.name.lower() == TELEPHONE_EVENT

    @property
    def is_comfort_noise(self) -> bool:
        """Whether it carries descriptions of silence (RFC 3389)."""
        return self.name.lower() == "cn"

    @property
    def events(self) -> frozenset[int]:
        """The events that a telephone-event format carries (RFC 4733 section 2.4.1): 0 to 15 where none are told."""
        return telephone_events(self.parameters)

    def with_payload_type(self, payload_type: int) -> Codec:
        """Return the same with another number."""
        return attrs.evolve(self, payload_type=payload_type)


def _static() -> dict[int, Codec]:
    audio = (
        "0 PCMU/8000 3 GSM/8000 4 G723/8000 5 DVI4/8000 6 DVI4/16000 7 LPC/8000 8 PCMA/8000 9 G722/8000 10 L16/44100/2 "
        "11 L16/44100 12 QCELP/8000 13 CN/8000 14 MPA/90000 15 G728/8000 16 DVI4/11025 17 DVI4/22050 18 G729/8000"
    )
    video = "25 CelB/90000 26 JPEG/90000 28 nv/90000 31 H261/90000 32 MPV/90000 33 MP2T/90000 34 H263/90000"
    words = f"{audio} {video}".split()
    rows = [parse_rtpmap(f"{first} {second}") for first, second in zip(words[::2], words[1::2], strict=True)]
    return {row.payload_type: row for row in rows}


def parse_rtpmap(value: str) -> Codec:
    """Return the value of an rtpmap attribute (RFC 8866 section 6.6).

    :raises RemoteProtocolError: it is malformed.
    """
    words = value.split()
    if len(words) < 2:
        raise RemoteProtocolError(f"Malformed rtpmap {printable(value)}")
    name, *numbers = words[1].split("/")
    if not is_token(name) or not numbers:
        raise RemoteProtocolError(f"Malformed rtpmap {printable(value)}")
    payload_type = number(words[0], "payload type", 127)
    clock_rate = number(numbers[0], "clock rate", _MOST_RATE, 1)
    # What else stands there is a parameter of encodings that are not audio.
    channels = number(numbers[1], "channels", 255, 1) if len(numbers) > 1 and numbers[1] else 1
    return Codec(name, clock_rate, channels, payload_type)


def parse_parameters(text: str) -> dict[str, str]:
    """Return ``name=value;name=value`` by name in lower case; the last one of a name counts."""
    found = {}
    for part in text.split(";"):
        name, _, value = part.strip(" \t").partition("=")
        if name.strip():
            found[name.strip().lower()] = value.strip()
    return found


def telephone_events(parameters: str) -> frozenset[int]:
    """Return the events in format parameters of telephone-event: ``0-11,66,70`` (RFC 4733 section 2.4.1)."""
    text = parameters.strip()
    if "=" in text:
        text = parse_parameters(text).get("events", "")
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low = _event(first)
        high = _event(last) if dash else low
        if low is not None and high is not None:
            found.update(range(low, high + 1))
    return frozenset(found or range(16))


def format_events(events: Iterable[int]) -> str:
    """Return format parameters that list *events*, 0 to 255, in ranges (RFC 4733 section 2.4.1)."""
    ranges: list[list[int]] = []
    for event in sorted(set(events)):
        check_range(event, "an event", 255)
        if ranges and ranges[-1][1] == event - 1:
            ranges[-1][1] = event
        else:
            ranges.append([event, event])
    return ",".join(f"{low}-{high}" if high > low else str(low) for low, high in ranges)


def _event(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 and int(text) < 256 else None


#: What payload types mean where no rtpmap tells (RFC 3551 section 6, tables 4 and 5).
STATIC_PAYLOAD_TYPES: Mapping[int, Codec] = _static()
