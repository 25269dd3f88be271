"""Session descriptions as lines: what a b2bua changes in those that it passes on (RFC 3725 section 4.3, RFC 7092).

A leg has a session of its own, so its ``o=`` line is ours, with a version that goes up by one with each change (RFC
3264 section 8), and it never has fewer streams than before. All else that describes media stays as it came.
"""

from __future__ import annotations

import re
from secrets import token_bytes

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.media.sdes import OwnKeys
from twisted_sip.media.srtp_profile import PROFILES
from twisted_sip.sdp.crypto import Crypto

#: Attributes of the session that tell about the program which wrote them.
_TELLTALE = (b"a=tool:", b"a=charset:", b"i=", b"u=", b"e=", b"p=")

_MEDIA = b"\nm="

_CRYPTO = b"a=crypto:"

#: A session of which no line but o= and s= is to change, up to its first stream; the group ends with the s= line.
_ORDINARY = re.compile(
    rb"(v=0\r\no=[^\r\n]*\r\ns=[^\r\n]*)(?:\r\n[bctkrz]=[^\r\n]+)*(?:\r\na=(?!tool:|charset:)[^\r\n]+)*\r\nm="
).match


def split(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the lines of the session, and each stream as it stands, from its ``m=`` on.

    :raises RemoteProtocolError: it is no session description.
    """
    if b"\r\n" not in data:
        data = data.replace(b"\n", b"\r\n")
    head, *media = data.split(_MEDIA)
    lines = [line.rstrip(b"\r") for line in head.split(b"\n")]
    if lines[0] != b"v=0":
        raise RemoteProtocolError("Malformed session description", status=400)
    return [line for line in lines if line], [b"m=" + one.rstrip(b"\r\n") for one in media]


def count(data: bytes) -> int:
    """Return how many streams *data* describes."""
    return data.count(_MEDIA)


def rejected(stream: bytes) -> bytes:
    """Return *stream* as one that is not wanted: port 0 (RFC 3264 section 6)."""
    fields = stream.partition(b"\r\n")[0].split(b" ")
    if len(fields) < 4:
        fields = [b"m=audio", b"0", b"RTP/AVP", b"0"]
    fields[1] = b"0"
    return b" ".join(fields)


def held(stream: bytes) -> bytes:
    """Return an answer to *stream* by which nothing flows: the first format, inactive, and the address that leads
    nowhere (RFC 3725 section 5)."""
    lines = stream.split(b"\r\n")
    fields = lines[0].split(b" ")
    if len(fields) < 4 or fields[1].partition(b"/")[0] == b"0":
        return rejected(stream)
    first = fields[3]
    kept = [b" ".join([fields[0], b"9", *fields[2:4]]), b"c=IN IP4 0.0.0.0"]
    kept += [line for line in lines[1:] if line.startswith((b"a=rtpmap:" + first + b" ", b"a=fmtp:" + first + b" "))]
    kept += [line for line in lines[1:] if line.startswith(b"a=mid:")]
    keys = _keys(lines)
    if keys is not None:
        kept.append(b"a=" + str(keys.attribute).encode())
    return b"\r\n".join([*kept, b"a=inactive"])


def _keys(lines: list[bytes]) -> Crypto | None:
    """Return what answers the keys in a stream, though nothing is going to be protected: without it the answer is none
    (RFC 4568 section 5.1.2)."""
    offered = []
    for line in lines:
        if line.startswith(_CRYPTO):
            try:
                offered.append(Crypto.parse(line[len(_CRYPTO) :].decode()))
            except (RemoteProtocolError, UnicodeDecodeError):
                continue
    chosen = OwnKeys(tuple(PROFILES.values()), token_bytes).answer(offered) if offered else None
    return None if chosen is None else chosen[0]


class OwnSession:
    """Our session on one leg, as its peer sees it.

    :ivar address: where we are.
    """

    __slots__ = ("_first", "_last", "_number", "_streams", "_version", "address")

    def __init__(self, number: int, address: str) -> None:
        """Begin one.

        :param number: its id, unique to us.
        :param address: ours, numeric.
        """
        self._number = number
        self._version = number
        self.address = address
        # The first description, until somebody has to know what it says.
        self._first: bytes | None = None
        self._last: tuple[list[bytes], list[bytes]] | None = None
        self._streams: list[bytes] = []

    def describe(self, data: bytes, *, exactly: int | None = None, offer: bytes = b"") -> bytes:
        """Return *data*, made by somebody else, as ours.

        :param exactly: how many streams there must be, as in the answer to an offer; None for as many as before or
            more, as in an offer (RFC 3264 sections 6 and 8).
        :param offer: what it answers; streams of that which it leaves out are rejected.
        :raises RemoteProtocolError: it is no session description.
        """
        if self._last is None and self._first is None:
            plain = self._with_our_lines(data, exactly)
            if plain:
                self._first = data
                return plain
        head, media = split(data)
        if exactly is not None and len(media) < exactly and offer:
            media += [rejected(one) for one in split(offer)[1][len(media) : exactly]]
        return self._write(head, media, exactly)

    def _with_our_lines(self, data: bytes, exactly: int | None) -> bytes:
        """Return *data*, the first description, with our o= and s= lines; empty where more is to be done, or nobody
        knows."""
        ordinary = _ORDINARY(data)
        streams = data.count(_MEDIA)
        if (
            ordinary is None
            or (exactly is not None and streams != exactly)
            # One line end at the end, and between streams.
            or data[-2:] != b"\r\n"
            or data[-3] in b"\r\n"
            or (streams > 1 and (data.count(b"\r\nm=") != streams or b"\n\r\nm=" in data or b"\r\r\nm=" in data))
        ):
            return b""
        return b"v=0\r\n" + self._origin() + b"\r\ns=-" + data[ordinary.end(1) :]

    def _origin(self) -> bytes:
        kind = "IP6" if ":" in self.address else "IP4"
        return f"o=- {self._number} {self._version} IN {kind} {self.address}".encode()

    def nothing(self) -> bytes:
        """Return an offer without streams (RFC 3725 section 4.4)."""
        return self._write([b"v=0", b"o=", b"s=-", b"t=0 0"], [], None)

    def silence(self, offer: bytes) -> bytes:
        """Return an answer to *offer* by which nothing flows."""
        _, media = split(offer)
        return self._write([b"v=0", b"o=", b"s=-", b"c=IN IP4 0.0.0.0", b"t=0 0"], [held(one) for one in media], None)

    def _write(self, head: list[bytes], media: list[bytes], exactly: int | None) -> bytes:
        first, self._first = self._first, None
        if first is not None:
            # Now it matters what has been said.
            old, self._streams = split(first)
            self._last = ([line for line in old if not line.startswith(_TELLTALE)][2:], self._streams)
        kept = [line for line in head if not line.startswith(_TELLTALE)]
        wanted = max(len(media), len(self._streams)) if exactly is None else exactly
        media = media[:wanted]
        if len(media) < wanted:
            media = [*media, *[rejected(one) for one in self._streams[len(media) : wanted]]]
        now = (kept[2:], media)
        if self._last is not None and not _same(now, self._last):
            self._version += 1
        self._last = now
        self._streams = media
        lines = [b"v=0", self._origin(), b"s=-", *[line for line in kept[1:] if not line.startswith((b"o=", b"s="))]]
        return b"\r\n".join([*lines, *media]) + b"\r\n"


def _same(one: tuple[list[bytes], list[bytes]], other: tuple[list[bytes], list[bytes]]) -> bool:
    return _without_names(one[0]) == _without_names(other[0]) and one[1] == other[1]


def _without_names(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if not line.startswith((b"o=", b"s="))]


def same_session(one: bytes, other: bytes) -> bool:
    """Tell whether two descriptions say the same about media, whoever has written them."""
    if one == other:
        return True
    (head, media), (other_head, other_media) = split(one), split(other)
    return _same((head[1:], media), (other_head[1:], other_media))
