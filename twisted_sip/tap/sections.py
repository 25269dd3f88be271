"""The sections of the configuration file that belong to no floor below, each a frozen settings class.

The other sections are the settings classes of the floors themselves; :mod:`twisted_sip.tap.configuration` puts all of
them together. Every field carries its meaning in its metadata, from which the reference page is made.
"""

# ruff: noqa: RUF009  (a field, not a shared default)
from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs

from twisted_sip.b2bua.settings import B2BUASettings
from twisted_sip.element.decisions import MOST_DECISIONS
from twisted_sip.storage.batch_writer import BATCH_SIZE, FLUSH_INTERVAL
from twisted_sip.storage.location_table import MAX_BINDINGS
from twisted_sip.tap.constraints import Domain, ListenDescriptor
from twisted_sip.tap.faults import WrongSetting, checked
from twisted_sip.tap.hosts import is_host
from twisted_sip.transport.descriptors import default_descriptors, parse_descriptor
from twisted_sip.transport.settings import KnownCertificate

#: The state directory where none is written.
DEFAULT_STATE_DIR = "twisted-sip-state"


def setting(default: Any, meaning: str, validator: Any = None, **metadata: Any) -> Any:
    """Return an attrs field with its *meaning* for the reference.

    :param metadata: ``shown_default`` for the reference where the default itself says little.
    """
    return attrs.field(default=default, validator=validator, metadata={"help": meaning, **metadata})


@checked("")
def host_or_empty(value: Any) -> None:
    """Refuse what is neither empty nor a host."""
    if value and not is_host(value):
        raise WrongSetting(f'"{value}" is not a host', "write a name or an address, without port")


@checked("")
def readable_file(value: Any) -> None:
    """Refuse a path at which no file is, or none that can be read."""
    if value is None:
        return
    if not value.exists():
        raise WrongSetting(f"{value} does not exist", "write the path of a file")
    if not value.is_file():
        raise WrongSetting(f"{value} is not a file", "write the path of a file")
    try:
        value.open("rb").close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WrongSetting(f"{value} cannot be read ({reason})", "make it readable for this user") from error


@checked("")
def listened_once(value: Any) -> None:
    """Refuse to listen twice in one place."""
    seen: set[tuple[str, str, int]] = set()
    for text in value:
        descriptor = parse_descriptor(text)
        place = (descriptor.kind.parameter, descriptor.interface, descriptor.port)
        if place in seen and descriptor.port:
            raise WrongSetting(f"{text} is listened on twice", "leave one out")
        seen.add(place)


@attrs.frozen(kw_only=True)
class ServerSection:
    """``[server]``: who we are and where we listen."""

    domains: tuple[Domain, ...] = setting(
        (),
        "Domains for whose users this server is responsible.",
        shown_default="the names and addresses of the host",
    )
    listen: tuple[ListenDescriptor, ...] = setting(
        tuple(ListenDescriptor(text) for text in default_descriptors()),
        "Where to listen, in the manner of Twisted endpoints: transport, port, then options, "
        "as in `udp:5060:interface=127.0.0.1` or `tls:5061:privateKey=key.pem:certKey=certificate.pem`.",
        listened_once,
    )
    advertise: str = setting(
        "",
        "Name or address that peers are to use for this server, where it is not the one listened on (behind NAT).",
        host_or_empty,
        shown_default="the address listened on",
    )
    state_dir: Path = setting(
        Path(DEFAULT_STATE_DIR),
        "Directory for the databases, keys, the control socket and the certificate made on first start.",
        shown_default="`./twisted-sip-state`",
    )


@attrs.frozen(kw_only=True)
class TLSSection:
    """``[tls]``: our certificate, and whom we believe."""

    certificate: Path | None = setting(
        None,
        "Certificate chain in PEM, our own certificate first.",
        readable_file,
        shown_default="made on first start, self-signed, for trying out",
    )
    private_key: Path | None = setting(
        None,
        "Private key of the certificate in PEM.",
        readable_file,
        shown_default="made with the certificate",
    )
    ca: Path | None = setting(
        None,
        "Certificates in PEM of the authorities that are believed.",
        readable_file,
        shown_default="those of the system",
    )
    verify: bool = setting(
        True, "Connect over TLS only to servers whose certificate proves the domain asked for (RFC 5922)."
    )
    client_certificates: Literal["none", "ask", "require"] = setting(
        "none",
        "Client certificates: off (`none`), optional (`ask`: one that is not valid counts as none) or required "
        "(`require`), see RFC 5922 section 7.4.",
    )
    client_ca: Path | None = setting(
        None,
        "Certificates in PEM of the authorities that client certificates are signed by.",
        readable_file,
        shown_default="those of `ca`",
    )
    reuse_connections: bool = setting(
        True,
        "Where clients are asked for certificates, send requests to a domain over a connection on which its server has "
        "proved to be that (RFC 5923).",
    )
    client: tuple[KnownCertificate, ...] = setting(
        (), "Client certificates, and as whom their owners may speak; others speak as the `sip:` URIs in them say."
    )

    def __attrs_post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            there, missing = (
                ("certificate", "private_key") if self.private_key is None else ("private_key", "certificate")
            )
            raise WrongSetting(f"is missing beside {there}", "write the path of both or of none", missing)


#: Where XCAP is served where nothing is written: over TLS for everybody, without it for this machine alone.
DEFAULT_XCAP_LISTEN = (ListenDescriptor("tls:8443"), ListenDescriptor("tcp:8080:interface=127.0.0.1"))


@checked("")
def path_below_root(value: Any) -> None:
    """Refuse what is not one plain segment of a path."""
    if not value.strip("/") or "/" in value.strip("/") or not value.isascii() or not value.isprintable():
        raise WrongSetting(f'"{value}" is not a path', "write one segment, like /xcap-root")


@attrs.frozen(kw_only=True)
class XCAPSection:
    """``[xcap]``: where users keep buddy lists and presence rules (RFC 4825)."""

    enabled: bool = setting(True, "Serve XCAP, where presence is served.")
    listen: tuple[ListenDescriptor, ...] = setting(
        (),
        "Where to listen for HTTP (`tcp:8080`) and HTTPS (`tls:8443`), written as in `[server] listen`.",
        shown_default="`tls:8443` and `tcp:8080:interface=127.0.0.1`, each if it is free",
    )
    path: str = setting("/xcap-root", "The path of the XCAP root.", path_below_root)
    max_documents: int = setting(100, "The most documents of one user.", attrs.validators.ge(1))
    max_bytes: int = setting(1 << 20, "The most bytes of all documents of one user.", attrs.validators.ge(1024))
    max_connections: int = setting(1000, "The most HTTP connections at a time.", attrs.validators.ge(1))
    max_connections_per_source: int = setting(
        100, "The most HTTP connections of one source at a time; those of this host have no such limit.",
        attrs.validators.ge(1),
    )  # fmt: skip


@checked("")
def file_name_or_empty(value: Any) -> None:
    """Refuse what is neither empty nor the name of a file in a directory."""
    if value and (Path(value).name != value or value in (".", "..")):
        raise WrongSetting(f'"{value}" is not a file name', "write a name without a path, or nothing")


@attrs.frozen(kw_only=True)
class B2BUASection(B2BUASettings):
    """``[b2bua]``: calls through the back-to-back user agent."""


_flush = attrs.validators.and_(attrs.validators.ge(0.0), attrs.validators.le(1.0))


@attrs.frozen(kw_only=True)
class StorageSection:
    """``[storage]``: where users and registrations are kept."""

    directory: Path | None = setting(
        None,
        "Directory of the databases: `users.db`, `location.db` and, with presence, `publications.db`, "
        "`subscriptions.db`, `messages.db` and `documents.db`.",
        shown_default="the state directory",
    )
    max_bindings: int = setting(MAX_BINDINGS, "The most registrations kept at a time.", attrs.validators.ge(1))
    flush_interval: float = setting(
        FLUSH_INTERVAL, "Seconds for which a registration waits for others to be written with.", _flush
    )
    batch_size: int = setting(
        BATCH_SIZE, "Registrations that are written together without waiting longer.", attrs.validators.ge(1)
    )
    lock_timeout: float = setting(
        5.0, "Seconds to wait for another process that holds a database.", attrs.validators.ge(0)
    )


@attrs.frozen(kw_only=True)
class LogSection:
    """``[log]``: what is logged and how."""

    format: Literal["text", "json"] = setting("text", "Lines for people, or one JSON object on each line for programs.")
    level: Literal["debug", "info", "warn", "error", "critical"] = setting("info", "The least level that is logged.")
    burst: int = setting(
        200,
        "Lines of one kind that are written in each second; of what goes beyond, as in an attack, only the number is "
        "told. 0 writes all.",
        attrs.validators.ge(0),
    )
    file: Path | None = setting(
        None, "The log file.", shown_default="what twistd says: `--logfile`, or standard output"
    )


@attrs.frozen(kw_only=True)
class TraceSection:
    """``[trace]``: the messages kept in memory for ``twisted-sip trace``."""

    enabled: bool = setting(True, "Keep messages; credentials in them are masked when they are shown.")
    calls: int = setting(
        2000,
        "Calls (Call-IDs) kept, the oldest go first.",
        attrs.validators.and_(attrs.validators.ge(1), attrs.validators.le(1_000_000)),
    )
    messages_per_call: int = setting(
        200,
        "Messages kept of one call, the first ones.",
        attrs.validators.and_(attrs.validators.ge(2), attrs.validators.le(100_000)),
    )
    memory: int = setting(
        32 * 1024 * 1024,
        "Bytes of messages kept in all.",
        attrs.validators.and_(attrs.validators.ge(65536), attrs.validators.le(1 << 34)),
    )


@attrs.frozen(kw_only=True)
class ServerTraceSection(TraceSection):
    """``[trace]`` of a server: the decisions kept for ``twisted-sip explain`` too."""

    decisions: int = setting(
        MOST_DECISIONS,
        "Decisions kept for `twisted-sip explain`, of all requests together, the oldest go first; 0 keeps none.",
        attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1_000_000)),
    )
