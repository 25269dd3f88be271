"""Who made a session, and where its media go: ``o=`` and ``c=`` (RFC 8866 sections 5.2 and 5.7)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.hosts import ipv4_bytes, ipv6_bytes, printable
from twisted_sip.sdp.lines import check_range, check_word, number

#: Versions beyond a signed number of 64 bits are read but never sent first (RFC 3264 section 5).
_MOST_VERSION = 10**40


def address_type_of(address: str) -> str:
    """Return ``IP6`` for an IPv6 address, ``IP4`` for all else (RFC 8866 section 5.7)."""
    return "IP6" if ":" in address else "IP4"


def ip_of(address: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that *address* is, None where it is a name or nothing known."""
    packed = ipv6_bytes(address) if ":" in address else ipv4_bytes(address)
    return None if packed is None else ip_address(packed)


@attrs.frozen(slots=True)
class Origin:
    """Who made the session, and which version of it this is (RFC 8866 section 5.2).

    :ivar username: the user, ``-`` where there is none.
    :ivar session_id: digits that tell this session from others of the same user.
    :ivar version: the version of the description, one more with each change (RFC 3264 section 8).
    :ivar address: address or name of the machine.
    :ivar network_type: ``IN``.
    :ivar address_type: ``IP4`` or ``IP6``; taken from *address* where it is left empty.
    """

    username: str
    session_id: str
    version: int
    address: str
    network_type: str = "IN"
    address_type: str = ""

    def __attrs_post_init__(self) -> None:
        check_word(self.username, "user name")
        check_word(self.session_id, "session id")
        check_range(self.version, "session version", _MOST_VERSION)
        check_word(self.address, "address")
        if not self.address_type:
            object.__setattr__(self, "address_type", address_type_of(self.address))
        check_word(self.network_type, "network type")
        check_word(self.address_type, "address type")

    @classmethod
    def parse(cls, value: str) -> Origin:
        """Return the value of an ``o=`` line.

        User names with spaces are read, and a missing one, and versions that are negative.

        :raises RemoteProtocolError: it is malformed.
        """
        words = value.split()
        if len(words) < 5:
            raise RemoteProtocolError(f"Malformed o= {printable(value)}")
        *name, session_id, version, network_type, address_type, address = words
        parts = ["_".join(name) or "-", session_id, network_type, address_type, address]
        for part in parts:
            _readable_word(part, "o=")
        # Some print a signed number of 32 bits that has run over.
        version_number = number(version.removeprefix("-"), "session version", _MOST_VERSION)
        return cls(parts[0], session_id, version_number, address, network_type, address_type)

    def same_session(self, other: Origin) -> bool:
        """Tell whether both are of one session: all is the same but the version (RFC 8866 section 5.2)."""
        return attrs.evolve(self, version=other.version) == other

    def __str__(self) -> str:
        return (
            f"{self.username} {self.session_id} {self.version} {self.network_type} {self.address_type} {self.address}"
        )


@attrs.frozen(slots=True)
class Connection:
    """Where media go (RFC 8866 section 5.7).

    :ivar address: an address or a name.
    :ivar ttl: the time to live of an IPv4 multicast address, else None.
    :ivar count: of how many multicast addresses in a row this is the first, None where that is not told.
    :ivar network_type: ``IN``.
    :ivar address_type: ``IP4`` or ``IP6``; taken from *address* where it is left empty.
    """

    address: str
    ttl: int | None = None
    count: int | None = None
    network_type: str = "IN"
    address_type: str = ""

    def __attrs_post_init__(self) -> None:
        check_word(self.address, "address")
        if not self.address_type:
            object.__setattr__(self, "address_type", address_type_of(self.address))
        check_word(self.network_type, "network type")
        check_word(self.address_type, "address type")
        if self.ttl is not None:
            check_range(self.ttl, "TTL", 255)
        if self.count is not None:
            check_range(self.count, "number of addresses", 65535, 1)

    @classmethod
    def parse(cls, value: str) -> Connection:
        """Return the value of a ``c=`` line.

        :raises RemoteProtocolError: it is malformed.
        """
        words = value.split()
        if len(words) == 2 and words[0].upper() in {"IP4", "IP6"}:
            words.insert(0, "IN")
        if len(words) < 3:
            raise RemoteProtocolError(f"Malformed c= {printable(value)}")
        network_type, address_type, whole = words[:3]
        address, *numbers = whole.split("/")
        address = address.strip("[]")
        for part in (network_type, address_type, address):
            _readable_word(part, "c=")
        ttl = count = None
        if len(numbers) > 2 or (numbers and address_type.upper() == "IP6" and len(numbers) > 1):
            raise RemoteProtocolError(f"Malformed c= {printable(value)}")
        if numbers and address_type.upper() == "IP6":
            # IPv6 has scopes in place of a TTL.
            count = number(numbers[0], "number of addresses", 65535, 1)
        elif numbers:
            ttl = number(numbers[0], "TTL", 255)
            count = number(numbers[1], "number of addresses", 65535, 1) if len(numbers) > 1 else None
        return cls(address, ttl, count, network_type, address_type)

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """The address as a number, None where it is a name or of another kind."""
        return ip_of(self.address)

    @property
    def is_multicast(self) -> bool:
        """Whether it is a multicast address."""
        found = self.ip
        return found is not None and found.is_multicast

    @property
    def is_unspecified(self) -> bool:
        """Whether it is ``0.0.0.0`` or ``::``, or a name under ``.invalid``: send nothing there.

        RFC 3264 section 8.4 says so of 0.0.0.0, RFC 6157 section 5.3.1 of names under ``.invalid`` with IPv6.
        """
        found = self.ip
        if found is not None:
            return found.is_unspecified
        name = self.address.lower().rstrip(".")
        return name == "invalid" or name.endswith(".invalid")

    def __str__(self) -> str:
        numbers = "".join(f"/{value}" for value in (self.ttl, self.count) if value is not None)
        return f"{self.network_type} {self.address_type} {self.address}{numbers}"


def _readable_word(text: str, where: str) -> None:
    if not text or (not text.isprintable() and any(letter <= " " or letter == "\x7f" for letter in text)):
        raise RemoteProtocolError(f"Malformed {where} {printable(text)}")
