"""Where to listen, written as Twisted writes endpoints: ``udp:5060:interface=127.0.0.1``.

``transport:port`` and then ``name=value`` options, all separated by colons. A colon in a value is written ``\\\\:``; an
IPv6 address may stand in brackets instead. Without ``interface`` every address of the host is meant.
"""

from __future__ import annotations

import ipaddress

import attrs

from twisted_sip.errors import ConfigurationError
from twisted_sip.interfaces.transport_kind import TCP, TLS, TRANSPORT_KINDS, UDP, TransportKind
from twisted_sip.transport.listener import bare, is_numeric
from twisted_sip.transport.settings import CertificateFiles

_OPTIONS = ("interface", "advertise")
_TLS_OPTIONS = ("privateKey", "certKey")


@attrs.frozen(slots=True)
class Descriptor:
    """One place to listen.

    :ivar text: as it was written.
    :ivar kind: the transport.
    :ivar port: 0 to 65535, 0 for any free one.
    :ivar interface: numeric address, empty for every address of the host.
    :ivar advertise: what to tell peers instead of the address; None for what the settings say.
    :ivar certificate: the certificate to present, None for those of the settings.
    """

    text: str
    kind: TransportKind
    port: int
    interface: str = ""
    advertise: str | None = None
    certificate: CertificateFiles | None = None

    @property
    def wildcard(self) -> bool:
        """True if it stands for several addresses."""
        return self.interface in ("", "0.0.0.0", "::")


def parse_descriptor(text: str) -> Descriptor:
    """Read one descriptor.

    :raises ConfigurationError: with one line for each fault.
    """
    problems: list[str] = []

    def fault(what: str) -> None:
        problems.append(f"listen {text}: {what}")

    words, options = _split(text)
    kind = TRANSPORT_KINDS.get(words[0].upper()) if words else None
    if kind is None:
        known = ", ".join(sorted(kind.parameter for kind in TRANSPORT_KINDS.values()))
        fault(f"unknown transport {words[0] if words else ''!r}, write one of {known}")
        kind = UDP
    port = kind.default_port
    if len(words) > 1 and words[1]:
        if words[1].isascii() and words[1].isdigit() and int(words[1]) < 65536:
            port = int(words[1])
        else:
            fault(f"{words[1]!r} is no port, write a number from 0 to 65535")
    for extra in words[2:]:
        fault(f"{extra!r} is no option, write name=value (and \\: for a colon in a value)")
    allowed = _OPTIONS + _TLS_OPTIONS if kind is TLS else _OPTIONS
    for name in options:
        if name not in allowed:
            fault(f"unknown option {name!r}, write one of {', '.join(allowed)}")
    interface = bare(options.get("interface", ""))
    if interface and not is_numeric(interface.partition("%")[0]):
        fault(f"interface {interface!r} is no numeric address, write one such as 127.0.0.1 or [::1]")
    elif interface and "%" not in interface:
        interface = str(ipaddress.ip_address(interface))
    certificate = None
    given = [name for name in _TLS_OPTIONS if options.get(name)]
    if len(given) == 1:
        fault("privateKey and certKey go together, give both")
    elif given and kind is TLS:
        certificate = CertificateFiles(private_key=options["privateKey"], certificate=options["certKey"])
    if problems:
        raise ConfigurationError(problems)
    return Descriptor(text, kind, port, interface, options.get("advertise"), certificate)


def _split(text: str) -> tuple[list[str], dict[str, str]]:
    """Return the plain words and the options of a descriptor."""
    words: list[str] = []
    options: dict[str, str] = {}
    name = ""
    word = ""
    depth = 0
    escaped = False
    for char in text + ":":
        if escaped:
            word += char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ":" and depth == 0:
            if name:
                options[name] = word
            else:
                words.append(word)
            name = word = ""
        elif char == "=" and not name and depth == 0:
            name, word = word, ""
        else:
            depth += (char == "[") - (char == "]" and depth > 0)
            word += char
    if word or name:
        # A backslash at the very end took the last colon, or a bracket was never closed.
        words.append(f"{name}={word}" if name else word)
    return words, options


def default_descriptors() -> tuple[str, ...]:
    """Return what is listened on when nobody says where."""
    return (f"udp:{UDP.default_port}", f"tcp:{TCP.default_port}", f"tls:{TLS.default_port}")
