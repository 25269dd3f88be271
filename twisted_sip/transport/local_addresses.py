"""The addresses of this host: all of them, and the one that faces a given peer."""

from __future__ import annotations

import socket
import struct
import sys

from twisted.logger import Logger

_log = Logger()

_SIOCGIFCONF = 0x8912
_IF_INET6 = "/proc/net/if_inet6"
# Flags of <linux/if_addr.h> that make an IPv6 address unfit to listen on: failed or unfinished duplicate detection.
_UNFIT = 0x08 | 0x40


def local_addresses() -> list[str]:
    """Return the numeric addresses of this host, loopback last, link-local ones left out (they need a scope)."""
    found = _ipv4() + _ipv6()
    unique = list(dict.fromkeys(found)) or ["127.0.0.1"]
    return sorted(unique, key=lambda host: (host.startswith("127.") or host == "::1", ":" in host))


def _ipv4() -> list[str]:
    if sys.platform != "linux":
        return _by_name(socket.AF_INET)
    import array
    import fcntl

    size = 64 * 1024
    names = array.array("B", bytes(size))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("iL", size, names.buffer_info()[0])
        try:
            used = struct.unpack("iL", fcntl.ioctl(sock.fileno(), _SIOCGIFCONF, request))[0]
        except OSError as error:
            _log.warn("The addresses of this host cannot be listed: {error}", error=str(error))
            return _by_name(socket.AF_INET)
    data = names.tobytes()
    # struct ifreq: sixteen octets of name, a sockaddr_in, padding up to the word size's union.
    step = 16 + (24 if struct.calcsize("P") == 8 else 16)
    return [socket.inet_ntoa(data[place + 20 : place + 24]) for place in range(0, used, step)]


def _ipv6() -> list[str]:
    if sys.platform != "linux":
        return _by_name(socket.AF_INET6)
    try:
        with open(_IF_INET6, encoding="ascii") as file:
            return parse_if_inet6(file.read())
    except OSError:
        # No IPv6 here.
        return []


def parse_if_inet6(text: str) -> list[str]:
    """Return the global and loopback addresses in the *text* of Linux's ``/proc/net/if_inet6``."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 6 or fields[3] == "20" or int(fields[4], 16) & _UNFIT:
            continue
        found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0])))
    return found


def _by_name(family: int) -> list[str]:
    found = ["127.0.0.1" if family == socket.AF_INET else "::1"]
    try:
        answers = socket.getaddrinfo(socket.gethostname(), None, family, socket.SOCK_DGRAM)
    except OSError:
        return found
    hosts = [str(answer[4][0]) for answer in answers]
    return [host for host in hosts if not host.startswith("fe80:")] + found


def source_address(remote_host: str) -> str:
    """Return the local address from which *remote_host*, numeric, is reached, an empty string if there is no route.

    Asks the kernel's routing table through a datagram socket; nothing is sent.
    """
    family = socket.AF_INET6 if ":" in remote_host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((remote_host, 9))
            return str(sock.getsockname()[0])
    except OSError:
        return ""
