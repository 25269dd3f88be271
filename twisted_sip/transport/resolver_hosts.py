"""The hosts file (hosts(5)): read when it has changed, looked at no more often than every few seconds."""

from __future__ import annotations

import os
import socket

from twisted.internet.interfaces import IReactorTime

_LOOK_AGAIN = 5.0


class HostsFile:
    """Names and their numeric hosts."""

    __slots__ = ("_clock", "_look_again_at", "_path", "_stamp", "_table")

    def __init__(self, clock: IReactorTime, path: str = "/etc/hosts") -> None:
        self._clock = clock
        self._path = path
        self._look_again_at = float("-inf")
        self._stamp: tuple[int, int] | None = None
        self._table: dict[str, tuple[str, ...]] = {}

    def lookup(self, name: str) -> tuple[str, ...]:
        """Return the numeric hosts of *name* (lower case), none if it is not in the file, or there is no file."""
        now = self._clock.seconds()
        if now >= self._look_again_at:
            self._look_again_at = now + _LOOK_AGAIN
            self._refresh()
        return self._table.get(name, ())

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            with open(self._path, encoding="ascii", errors="replace") as file:
                self._table = parse_hosts(file.read())
            self._stamp = stamp
        except OSError:
            # No hosts file is an empty hosts file.
            self._table = {}
            self._stamp = None


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Return lower-case name -> numeric hosts of a hosts file's *text*; lines that cannot be read are passed over."""
    table: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            host = socket.inet_ntop(family, socket.inet_pton(family, address))
        except (OSError, ValueError):
            continue
        for name in names:
            table[name.lower()] = (*table.get(name.lower(), ()), host)
    return table
