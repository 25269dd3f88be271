"""What ``twisted-sip doctor`` finds about the server that runs: what it is, how it does, whether its ports answer."""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from twisted_sip import __version__
from twisted_sip.cli.findings import Finding
from twisted_sip.tap.configuration import Configuration
from twisted_sip.transport.descriptors import parse_descriptor

_PATIENCE = 2.0
#: A load from which on a server is near to refusing.
_HIGH_LOAD = 0.6


def server_findings(status: Mapping[str, Any], configuration: Configuration | None) -> Iterator[Finding]:
    """Yield what the *status* of the running server tells, and where it differs from the *configuration* in its file.

    :param configuration: None where no file was given.
    """
    if status["version"] != __version__:
        wrong = f"runs version {status['version']}, {__version__} is installed"
        yield Finding("warning", "server", wrong, "restart it")
    else:
        yield Finding("ok", "server", f"runs as process {status['pid']}, version {status['version']}")
    yield from _load(status["counts"])
    if configuration is not None:
        yield from _drift(status, configuration)


def _load(counts: Mapping[str, Any]) -> Iterator[Finding]:
    refused, shed, load = (counts.get(name, 0) for name in ("messages refused", "requests shed", "load"))
    if load >= _HIGH_LOAD:
        yield Finding("error", "load", f"is {load:.2f} of what it can do", "find out who sends so much, or add servers")
    if shed:
        yield Finding("warning", "load", f"{shed} requests were shed", "look at its load: twisted-sip status")
    if refused:
        mend = "find the sender, or raise [limits] requests_per_second"
        yield Finding("warning", "limits", f"{refused} messages came too fast from one source", mend)
    if counts.get("bans", 0):
        mend = "see who: twisted-sip bans list"
        yield Finding("warning", "bans", f"{counts['bans']} are in force after wrong passwords", mend)


def _drift(status: Mapping[str, Any], configuration: Configuration) -> Iterator[Finding]:
    """Yield where the server is not what the file says: it was changed since, or options came before it."""
    wanted = {name.lower() for name in configuration.server.domains}
    runs = {name.lower() for name in status["domains"]}
    if wanted and wanted != runs:
        wrong = f"runs for {', '.join(sorted(runs))}, the file has {', '.join(sorted(wanted))}"
        yield Finding("warning", "domains", wrong, "reload or restart the server, or correct the file")
    ports = {(kind, address.rpartition(":")[2]) for kind, each in status["listening"].items() for address in each}
    for text in configuration.server.listen:
        descriptor = parse_descriptor(text)
        if descriptor.port and (descriptor.kind.parameter, str(descriptor.port)) not in ports:
            wrong = "is in the file, but the server does not listen there"
            yield Finding("error", f"listen {text}", wrong, "reload or restart the server")


def listening(status: Mapping[str, Any], kind: str) -> list[tuple[str, int]]:
    """Return where the server listens over *kind* (``udp``, ``tcp``, ``tls``)."""
    found = []
    for address in status["listening"].get(kind, ()):
        host, _, port = address.rpartition(":")
        found.append((host.strip("[]"), int(port)))
    return found


def reach_findings(status: Mapping[str, Any], advertised: str) -> Iterator[Finding]:
    """Yield whether the ports of the running server answer, at its addresses and where it tells peers to send.

    :param advertised: the name or address that it is told to advertise, empty if there is none.
    """
    for kind in ("udp", "tcp", "tls"):
        places = listening(status, kind)
        for host, port in places:
            fault = options(kind, host, port)
            subject = f"{kind} {host}:{port}"
            if fault:
                mend = "look into its log, and whether a firewall is in the way"
                yield Finding("error", subject, f"does not answer OPTIONS ({fault})", mend)
            else:
                yield Finding("ok", subject, "answers OPTIONS")
        for port in dict.fromkeys(port for _, port in places if advertised):
            fault = options(kind, advertised, port)
            subject = f"{kind} {advertised}:{port}"
            if fault:
                mend = "forward the port to this host; some routers let only others in: try from outside"
                yield Finding("warning", subject, f"is advertised and does not answer from here ({fault})", mend)
            else:
                yield Finding("ok", subject, "is advertised and answers")


def options(kind: str, host: str, port: int) -> str:
    """Send OPTIONS to a place and return why there was no SIP answer, empty if there was one (RFC 3261 section 11)."""
    try:
        family, type_, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
        )[0]
        with socket.socket(family, type_) as plain:
            plain.settimeout(_PATIENCE)
            plain.connect(address)
            if kind != "tls":
                return _asked(plain, kind)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with context.wrap_socket(plain, server_hostname=host) as secure:
                return _asked(secure, kind)
    except (OSError, ValueError) as error:
        return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _asked(connected: socket.socket, kind: str) -> str:
    own, there = connected.getsockname()[:2], connected.getpeername()[:2]
    here, target = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in (own, there))
    connected.sendall(
        f"OPTIONS sip:{target};transport={kind} SIP/2.0\r\n"
        f"Via: SIP/2.0/{kind.upper()} {here};branch=z9hG4bK{secrets.token_hex(8)};rport\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <sip:doctor@doctor.invalid>;tag={secrets.token_hex(8)}\r\n"
        f"To: <sip:{target}>\r\n"
        f"Call-ID: {secrets.token_hex(12)}\r\n"
        "CSeq: 1 OPTIONS\r\n"
        "Content-Length: 0\r\n\r\n".encode("ascii")
    )
    answer = connected.recv(65536)
    return "" if answer.startswith(b"SIP/2.0 ") else "what answers speaks no SIP"
