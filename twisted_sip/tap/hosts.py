"""Names and addresses: those that may stand in a configuration, and those of this host."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from pathlib import Path

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.faults import WrongSetting
from twisted_sip.transport.descriptors import parse_descriptor
from twisted_sip.transport.local_addresses import local_addresses

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")


def is_address(text: str) -> bool:
    """Tell whether *text* is a numeric address, brackets around IPv6 or not."""
    bare = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """Tell whether *text* is a domain name or a numeric address, brackets around IPv6 or not."""
    if is_address(text):
        return True
    labels = text.removesuffix(".").split(".")
    return len(text) <= 254 and all(_LABEL.match(label) for label in labels) and not labels[-1].isdigit()


def domain(text: str) -> str:
    """Return *text* if it can be a domain of ours.

    :raises WrongSetting: it cannot.
    """
    if not is_host(text):
        raise WrongSetting(
            f'"{text}" is not a domain', "write a name like example.com or an address, without sip: and without port"
        )
    return text


def listen_descriptor(text: str, base: Path) -> str:
    """Return the listen descriptor *text*, relative paths in it counted from *base*.

    :raises WrongSetting: it is none.
    """
    try:
        descriptor = parse_descriptor(text)
    except ConfigurationError as error:
        text = "; ".join(problem.removeprefix("listen ") for problem in error.problems)
        raise WrongSetting(text, complete=True) from error
    certificate = descriptor.certificate
    if certificate is None:
        return text
    parts = [descriptor.kind.parameter, str(descriptor.port)]
    for name, value in (
        ("interface", descriptor.interface),
        ("advertise", descriptor.advertise),
        ("privateKey", str(base / certificate.private_key)),
        ("certKey", str(base / certificate.certificate)),
    ):
        if value:
            parts.append(f"{name}=" + re.sub(r"([\\:])", r"\\\1", value))
    return ":".join(parts)


def check_bindable(key: str, address: str) -> None:
    """Refuse an address that sockets of this host cannot have.

    :param key: the setting that it comes from.
    :raises ConfigurationError: it is none of ours.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError as error:
        raise ConfigurationError([f"{key}: {address} is no address of this host, choose one that is"]) from error


def domains_of(written: Sequence[str], before: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what a server is responsible for where *written* are the domains in its configuration.

    :param before: the domains that it had until now. Of this host's own names, those in it are taken for granted: to
        ask for them may take long, and a server that runs has no time. Its addresses are looked up in any case.
    """
    if written:
        return tuple(written)
    names = [name for name in before if not is_address(name) and name != "localhost"]
    return host_names(names if names else None)


def host_names(known: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the addresses of this host and its names: what a server is responsible for where nothing else is said.

    The address by which others reach it comes first, loopback addresses come last.

    :param known: its names, asked for if left out.
    """
    addresses = local_addresses()
    loopback = [address for address in addresses if ipaddress.ip_address(address).is_loopback]
    outward = [address for address in addresses if address not in loopback]
    asked = (socket.gethostname(), socket.getfqdn()) if known is None else known
    names = [name.lower() for name in asked if is_host(name)]
    return tuple(dict.fromkeys([*outward, *names, "localhost", *loopback]))
