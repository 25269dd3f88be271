"""Watchers and publishers of the presence benchmark: one loop over two UDP sockets, bounded in time and count."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from types import TracebackType

from load import IP, PORT, UAC_PORT, WATCH_PORT, BenchError

_ANSWERED = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")
#: Seconds after which a request counts as unanswered.
_PATIENCE = 4.0


def _value(lines: list[bytes], name: bytes) -> bytes:
    """The value of the first header field called *name*, with its colon, in lower case."""
    for line in lines:
        if line[: len(name)].lower() == name:
            return line[len(name) :].strip()
    return b""


class Watcher:
    """One subscription."""

    __slots__ = ("accepted", "cseq", "known", "notify_cseq", "target", "to_tag", "user")

    def __init__(self, user: int) -> None:
        self.user = user
        self.cseq = 0
        self.target = f"sip:u{user}@bench.test"
        self.to_tag = ""
        self.accepted = 0
        self.notify_cseq = 0
        self.known = b""


class Presentity:
    """Who publishes. One PUBLISH at a time."""

    __slots__ = ("busy", "cseq", "etag", "told")

    def __init__(self) -> None:
        self.cseq = 0
        self.etag = ""
        self.busy = False
        self.told = b""


class Peers:
    """All of them; a context manager.

    Presentity *n* of the watched ones has the watchers *n*, *n* + presentities ...; as many again have none.

    :ivar each: watchers of one presentity.
    """

    def __init__(self, watchers: int, presentities: int) -> None:
        self.each = watchers // presentities
        self.watchers = [Watcher(number % presentities) for number in range(watchers)]
        self.presentities = [Presentity() for _ in range(2 * presentities)]
        self._watched = presentities
        self._counts = dict.fromkeys(
            ("published", "refreshed", "notified", "unanswered", "repeated", "disordered", "refused"), 0
        )
        self._sockets: list[socket.socket] = []
        self._next_watcher = self._next_watched = self._next_unwatched = self._serial = 0
        self._waiting: dict[bytes, float] = {}
        self._arrivals: list[float] | None = None

    def __enter__(self) -> Peers:
        for port in (WATCH_PORT, UAC_PORT):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sockets.append(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            made.bind((IP, port))
            made.setblocking(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._sockets:
            each.close()

    # -- what is done ----------------------------------------------------------------------

    def subscribe(self, rate: float) -> None:
        """Make every subscription.

        :raises BenchError: not all were made and notified.
        """
        total = len(self.watchers)
        self._loop(total / rate, [(rate, self._subscribe_next)])
        end = time.monotonic() + 10
        while time.monotonic() < end and not all(each.accepted and each.notify_cseq for each in self.watchers):
            self._loop(0.2, [])
        # The last few may be due to rounding.
        missing = [number for number, each in enumerate(self.watchers) if not each.cseq]
        for number in missing:
            self._subscribe(number)
        self._loop(1.0, [])
        made = sum(1 for each in self.watchers if each.accepted and each.notify_cseq)
        if made < total:
            raise BenchError(f"{made} of {total} subscriptions were made")

    def run(self, seconds: float, *, refreshes: float = 0, publishes: float = 0, unwatched: float = 0) -> None:
        """Load the server for so long, at so many per second."""
        work: list[tuple[float, Callable[[], None]]] = []
        for rate, step in (
            (refreshes, self._refresh_next), (publishes, self._publish_next), (unwatched, self._publish_unwatched)
        ):  # fmt: skip
            if rate:
                work.append((rate, step))
        self._loop(seconds, work)
        overdue = [key for key, since in self._waiting.items() if since < time.monotonic() - _PATIENCE]
        for key in overdue:
            del self._waiting[key]
            self._counts["unanswered"] += 1

    def burst(self, presentities: int) -> dict[str, float]:
        """Publish for many presentities in one moment."""
        self._arrivals = arrivals = []
        began = time.monotonic()
        for _ in range(presentities):
            self._publish_next()
        self._loop(6.0, [])
        self._arrivals = None
        peak = begin = 0
        for end, moment in enumerate(arrivals):
            while arrivals[begin] < moment - 0.05:
                begin += 1
            peak = max(peak, end - begin + 1)
        last = (arrivals[-1] - began) * 1000 if arrivals else 0.0
        return {"notified": len(arrivals), "peak": peak, "last_ms": round(last)}

    # -- what came of it -------------------------------------------------------------------------

    def counts(self) -> dict[str, float]:
        """How many of what there have been."""
        return {**self._counts}

    def stale(self) -> int:
        """How many watchers do not know the last published state."""
        return sum(1 for each in self.watchers if each.known != self.presentities[each.user].told)

    def drops(self) -> int:
        """Datagrams that the kernel dropped at sockets of ours and of the server, for want of room."""
        ports = {f"{port:04X}" for port in (PORT, WATCH_PORT, UAC_PORT)}
        with open("/proc/net/udp") as lines:
            rows = [line.split() for line in lines][1:]
        return sum(int(row[-1]) for row in rows if row[1].rpartition(":")[2] in ports)

    # -- the loop -----------------------------------------------------------------------------------

    def _loop(self, seconds: float, work: list[tuple[float, Callable[[], None]]]) -> None:
        began = time.monotonic()
        end = began + seconds
        done = [0] * len(work)
        poll = select.poll()
        for each in self._sockets:
            poll.register(each, select.POLLIN)
        while (now := time.monotonic()) < end:
            for place, (rate, step) in enumerate(work):
                # A few at a time: what is late is not made up for in one burst.
                due = min(int((now - began) * rate) - done[place], 8)
                for _ in range(due):
                    step()
                done[place] += max(0, due)
            if poll.poll(2 if work else 20):
                self._receive(self._sockets[0], self._watcher_received)
                self._receive(self._sockets[1], self._publisher_received)

    def _receive(self, source: socket.socket, received: Callable[[bytes], None]) -> None:
        for _ in range(256):
            try:
                data = source.recv(65535)
            except (BlockingIOError, ConnectionRefusedError):
                return
            received(data)

    # -- watchers ---------------------------------------------------------------------------------------

    def _subscribe_next(self) -> None:
        if self._next_watcher < len(self.watchers):
            self._subscribe(self._next_watcher)
            self._next_watcher += 1

    def _refresh_next(self) -> None:
        self._next_watcher = (self._next_watcher + 1) % len(self.watchers)
        self._subscribe(self._next_watcher)

    def _subscribe(self, number: int) -> None:
        watcher = self.watchers[number]
        watcher.cseq += 1
        tag = f";tag={watcher.to_tag}" if watcher.to_tag else ""
        # The server is the next hop whatever its route set says: it has put itself there.
        text = (
            f"SUBSCRIBE {watcher.target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {IP}:{WATCH_PORT};branch=z9hG4bKw{number}x{watcher.cseq}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:w{number}@bench.test>;tag=f{number}\r\nTo: <sip:u{watcher.user}@bench.test>{tag}\r\n"
            f"Call-ID: {number}@watchers\r\nCSeq: {watcher.cseq} SUBSCRIBE\r\n"
            f"Contact: <sip:w{number}@{IP}:{WATCH_PORT}>\r\nEvent: presence\r\nAccept: application/pidf+xml\r\n"
            "Expires: 3600\r\nContent-Length: 0\r\n\r\n"
        )
        self._send(0, text, f"{number}@watchers {watcher.cseq}")

    def _watcher_received(self, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        number = int(_value(lines, b"call-id:").partition(b"@")[0])
        watcher = self.watchers[number]
        cseq = int(_value(lines, b"cseq:").split()[0])
        if data.startswith(b"SIP/2.0 "):
            status = int(data[8:11])
            if status < 200:
                return
            self._waiting.pop(b"%d@watchers %d" % (number, cseq), None)
            if status >= 300:
                self._counts["refused"] += 1
                return
            if watcher.accepted:
                self._counts["refreshed"] += 1
            watcher.accepted += 1
            watcher.to_tag = _value(lines, b"to:").rpartition(b"tag=")[2].decode()
            watcher.target = _value(lines, b"contact:").partition(b"<")[2].partition(b">")[0].decode()
            return
        answer = b"\r\n".join(line for line in lines[1:] if line.lower().startswith(_ANSWERED))
        self._sockets[0].sendto(b"SIP/2.0 200 OK\r\n" + answer + b"\r\nContent-Length: 0\r\n\r\n", (IP, PORT))
        if cseq == watcher.notify_cseq:
            self._counts["repeated"] += 1
            return
        if cseq < watcher.notify_cseq:
            self._counts["disordered"] += 1
            return
        watcher.notify_cseq = cseq
        self._counts["notified"] += 1
        if self._arrivals is not None:
            self._arrivals.append(time.monotonic())
        if body:
            watcher.known = body.partition(b"<note>")[2].partition(b"</note>")[0]

    # -- publishers --------------------------------------------------------------------------------------

    def _publish_next(self) -> None:
        self._next_watched = (self._next_watched + 1) % self._watched
        self._publish(self._next_watched)

    def _publish_unwatched(self) -> None:
        self._next_unwatched = (self._next_unwatched + 1) % self._watched
        self._publish(self._watched + self._next_unwatched)

    def _publish(self, user: int) -> None:
        presentity = self.presentities[user]
        if presentity.busy:
            return
        presentity.busy = True
        presentity.cseq += 1
        self._serial += 1
        presentity.told = b"n%d" % self._serial
        match = f"SIP-If-Match: {presentity.etag}\r\n" if presentity.etag else ""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\r\n'
            f'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:u{user}@bench.test">\r\n'
            f'<tuple id="t1"><status><basic>open</basic></status><contact>sip:u{user}@bench.test</contact>'
            f"<note>n{self._serial}</note></tuple>\r\n</presence>\r\n"
        )
        text = (
            f"PUBLISH sip:u{user}@bench.test SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {IP}:{UAC_PORT};branch=z9hG4bKp{user}x{presentity.cseq}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:u{user}@bench.test>;tag=p{user}\r\nTo: <sip:u{user}@bench.test>\r\n"
            f"Call-ID: {user}@publishers\r\nCSeq: {presentity.cseq} PUBLISH\r\nEvent: presence\r\nExpires: 3600\r\n"
            f"{match}Content-Type: application/pidf+xml\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        self._send(1, text, f"{user}@publishers {presentity.cseq}")

    def _publisher_received(self, data: bytes) -> None:
        if not data.startswith(b"SIP/2.0 ") or data[8:9] == b"1":
            return
        lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
        call_id = _value(lines, b"call-id:")
        user = int(call_id.partition(b"@")[0])
        self._waiting.pop(call_id + b" " + _value(lines, b"cseq:").split()[0], None)
        presentity = self.presentities[user]
        presentity.busy = False
        if not data.startswith(b"SIP/2.0 200"):
            presentity.etag = ""
            self._counts["refused"] += 1
            return
        presentity.etag = _value(lines, b"sip-etag:").decode()
        self._counts["published"] += 1

    def _send(self, place: int, text: str, key: str) -> None:
        self._waiting[key.encode()] = time.monotonic()
        self._sockets[place].sendto(text.encode(), (IP, PORT))
