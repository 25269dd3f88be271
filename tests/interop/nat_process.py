"""The NAT: sockets of the inner network are given to it, those of the public network it opens, one for each inner peer.

Its mappings let only the server answer (address and port dependent filtering, RFC 4787 section 5).

Arguments: public address, server's address, file descriptors of the inner UDP socket and the inner TCP listeners.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys

selector = selectors.DefaultSelector()


def datagrams(inner: socket.socket, public: str, server: str) -> None:
    mappings: dict[object, socket.socket] = {}
    port = inner.getsockname()[1]

    def outgoing() -> None:
        data, source = inner.recvfrom(65535)
        outer = mappings.get(source)
        if outer is None:
            outer = mappings[source] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            outer.bind((public, 0))
            outer.connect((server, port))
            selector.register(outer, selectors.EVENT_READ, lambda: incoming(mappings[source], source))
        outer.send(data)

    def incoming(outer: socket.socket, source: object) -> None:
        with contextlib.suppress(ConnectionRefusedError):
            inner.sendto(outer.recv(65535), source)  # type: ignore[arg-type]

    selector.register(inner, selectors.EVENT_READ, outgoing)


def connections(listener: socket.socket, public: str, server: str) -> None:
    port = listener.getsockname()[1]

    def accept() -> None:
        inner, _ = listener.accept()
        try:
            outer = socket.create_connection((server, port), 10, (public, 0))
        except OSError:
            inner.close()
            return
        pair = (inner, outer)
        for one, other in (pair, pair[::-1]):
            selector.register(one, selectors.EVENT_READ, lambda one=one, other=other: pump(one, other))

    def pump(one: socket.socket, other: socket.socket) -> None:
        try:
            data = one.recv(65535)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for end in (one, other):
            with contextlib.suppress(KeyError, ValueError):
                selector.unregister(end)
            end.close()

    selector.register(listener, selectors.EVENT_READ, accept)


def main(public: str, server: str, *files: str) -> None:
    udp, *listeners = [socket.socket(fileno=int(file)) for file in files]
    datagrams(udp, public, server)
    for listener in listeners:
        connections(listener, public, server)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            with contextlib.suppress(KeyError):
                key.data()


if __name__ == "__main__":
    main(*sys.argv[1:])
