"""The parts of ``twisted-sip doctor``: NAT, DNS, clock, limits, what a status tells."""

from __future__ import annotations

import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip import __version__
from twisted_sip.cli import dns_findings, doctor_machine
from twisted_sip.cli.doctor_dns import port_findings
from twisted_sip.cli.doctor_machine import clock_findings, limit_findings, skew_findings
from twisted_sip.cli.doctor_nat import is_outside, is_private, nat_findings, read_traffic
from twisted_sip.cli.doctor_server import server_findings
from twisted_sip.errors import ResolutionError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TLS, UDP
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.sections import ServerSection

OUTSIDE, PHONE, LAN = "8.8.4.4", "10.0.0.7", "192.168.1.2"
NOTHING = read_traffic([])


def words(findings: Any) -> list[tuple[str, str]]:
    found = list(findings)
    assert all(one.mend for one in found if one.level != "ok")
    return [(one.level, f"{one.subject}: {one.text}") for one in found]


# -- NAT ------------------------------------------------------------------------------------


def message(remote: str, sdp: str = "", *, sent: bool = False, date: str = "", more: str = "") -> dict[str, Any]:
    body = f"v=0\r\nc=IN IP4 {sdp}\r\nm=audio 5004 RTP/AVP 0\r\n{more}" if sdp else ""
    head = f"INVITE sip:x@y SIP/2.0\r\n{f'Date: {date}' if date else 'Subject: Date'}\r\n"
    return {"remote": f"{remote}:5060", "sent": sent, "time": 1_800_000_000.0, "text": f"{head}\r\n{body}"}


def binding(contact: str, received: str, **more: Any) -> dict[str, Any]:
    return {"aor": "sip:bob@example.com", "contact": f"sip:bob@{contact}", "received": f"UDP:{received}:5060", **more}


def test_which_addresses_are_outside() -> None:
    assert is_outside(OUTSIDE) and is_outside("2001:4860::1") and is_outside("[2001:4860::1]")
    for host in (PHONE, LAN, "100.64.1.1", "127.0.0.1", "fd00::1", "fe80::1%eth0"):
        assert is_private(host) and not is_outside(host)
    for host in ("example.com", "0.0.0.0"):
        assert not is_private(host) and not is_outside(host)


def test_phones_behind_nat_are_well() -> None:
    found = nat_findings(
        [OUTSIDE], "", [binding(PHONE, OUTSIDE), binding(LAN, LAN), binding("8.8.8.8", OUTSIDE)], NOTHING
    )
    assert words(found) == [("ok", "NAT: 1 contacts are behind NAT and reached over their flows (bob@example.com)")]
    assert words(nat_findings([OUTSIDE], "", [binding(PHONE, OUTSIDE, path=["<sip:p>"])], NOTHING)) == []
    assert words(nat_findings([OUTSIDE], "", [{**binding(PHONE, OUTSIDE), "contact": "mailto:x"}], NOTHING)) == []


def test_a_server_behind_nat_that_does_not_say_so() -> None:
    [(level, text)] = words(nat_findings([LAN], "", [binding(OUTSIDE, OUTSIDE)], NOTHING))
    assert level == "error" and f"{OUTSIDE} comes from outside" in text
    [(level, text)] = words(nat_findings([LAN], "192.168.1.2", [], read_traffic([message(OUTSIDE)])))
    assert level == "error" and "192.168.1.2 is advertised" in text
    assert words(nat_findings([LAN], "sip.example.com", [binding(OUTSIDE, OUTSIDE)], NOTHING)) == []
    assert words(nat_findings([LAN], "", [binding(LAN, LAN)], read_traffic([message(LAN, LAN)]))) == []


def test_private_addresses_in_session_descriptions() -> None:
    candidate = "a=candidate:1 1 UDP 1 8.8.4.4 9 typ srflx raddr 10.0.0.7 rport 9\r\n"
    messages = [
        message(OUTSIDE, PHONE),
        message("8.8.8.8", LAN, sent=True),
        message("8.8.8.9", "8.8.8.9"),
        message("8.8.8.10", PHONE, more=candidate),
    ]
    [(level, into), (_, out)] = words(nat_findings([OUTSIDE], "", [], read_traffic(messages)))
    assert level == "warning"
    assert into == f"media: {OUTSIDE} asks for sound at a private address, which does not lead there"
    assert out == "media: 8.8.8.8 was told to send sound to a private address of ours"


# -- the clock --------------------------------------------------------------------------------


def test_the_clocks_of_peers() -> None:
    messages = [message(LAN, date=formatdate(1_800_000_000 + 3600, usegmt=True)) for _ in range(3)]
    messages += [message(LAN, date="nonsense"), message(LAN, sent=True, date=formatdate(0, usegmt=True))]
    skews = read_traffic(messages).skews
    assert skews == [-3600.0] * 3
    assert words(skew_findings(skews)) == [("warning", "clock: is 3600 s behind those of peers")]
    assert words(skew_findings(skews[:2])) == words(skew_findings([0.5, 1.0, 5000.0])) == []


def test_a_clock_that_cannot_be_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine.time, "time", lambda: 86400.0)
    assert words(clock_findings(tmp_path)) == [("error", "clock: shows 1970-01-02, which cannot be")]


@pytest.mark.parametrize(
    ("answer", "level", "text"),
    [
        (0, "ok", "is plausible"),
        (-1, "ok", "is plausible"),
        (5, "warning", "is kept right by nothing, says the kernel"),
    ],
)
def test_what_the_kernel_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int, level: str, text: str
) -> None:
    class Library:
        def __init__(self, *arguments: Any, **how: Any) -> None:
            pass

        def adjtimex(self, place: Any) -> int:
            return answer

    monkeypatch.setattr(doctor_machine.ctypes, "CDLL", Library)
    [(found, words_of)] = words(clock_findings(tmp_path / "none"))
    assert (found, words_of) == (level, f"clock: {text}")


@pytest.fixture
def time_server() -> Iterator[Callable[[bytes], str]]:
    """Starts a time server that answers once with what is given, or tells an hour ago."""
    threads: list[threading.Thread] = []

    def start(data: bytes) -> str:
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.bind(("127.0.0.1", 0))

        def serve() -> None:
            with listening:
                _, peer = listening.recvfrom(512)
                listening.sendto(data, peer)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return f"127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join(10)


def ntp(offset: float, stratum: int = 2) -> bytes:
    return bytes([0x24, stratum]) + bytes(38) + struct.pack("!II", int(time.time() + offset) + 2_208_988_800, 0)


def test_a_time_server(tmp_path: Path, time_server: Callable[[bytes], str]) -> None:
    [(level, text)] = words(clock_findings(tmp_path, time_server(ntp(-3600))))
    assert level == "error" and " s ahead of 127.0.0.1:" in text
    [(level, text)] = words(clock_findings(tmp_path, time_server(ntp(3600))))
    assert level == "error" and " s behind 127.0.0.1:" in text
    [(level, _)] = words(clock_findings(tmp_path, time_server(ntp(0.5))))
    assert level == "ok"
    for data in (b"short", ntp(0, stratum=0)):
        [(level, text)] = words(clock_findings(tmp_path, time_server(data)))
        assert level == "warning" and "does not know the time" in text
    [(level, text)] = words(clock_findings(tmp_path, "127.0.0.1:x"))
    assert level == "warning" and "does not tell the time" in text


# -- the server ---------------------------------------------------------------------------------


def status(**changes: Any) -> dict[str, Any]:
    known = {"version": __version__, "pid": 1, "domains": ["example.com"], "listening": {"udp": ["127.0.0.1:5060"]}}
    return {**known, "counts": {}, **changes}


def test_what_a_status_tells() -> None:
    assert words(server_findings(status(), None))[0][0] == "ok"
    assert "runs version 0.0" in words(server_findings(status(version="0.0"), None))[0][1]
    counts = {"load": 0.9, "requests shed": 3, "messages refused": 5, "bans": 2}
    found = words(server_findings(status(counts=counts), None))[1:]
    assert [(level, text.partition(":")[0]) for level, text in found] == [
        ("error", "load"), ("warning", "load"), ("warning", "limits"), ("warning", "bans"),
    ]  # fmt: skip


def test_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = attrs.evolve(Configuration(), limits=attrs.evolve(Configuration().limits, max_connections=1))
    monkeypatch.setattr(doctor_machine, "_open_files", lambda pid: (1024, 1000))
    assert words(limit_findings(few, 1)) == [("error", "open files: 1000 of 1024 are in use")]
    monkeypatch.setattr(doctor_machine, "_open_files", lambda pid: (1024, 0))
    assert words(limit_findings(few)) == [("ok", "open files: 1024 are allowed")]
    monkeypatch.undo()
    # A process that there is not.
    assert words(limit_findings(few, 1 << 30)) == []


@pytest.mark.parametrize(("free", "level"), [(10 << 20, "error"), (100 << 20, "warning"), (10 << 30, "ok")])
def test_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    monkeypatch.setattr(doctor_machine.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free}))
    section = ServerSection(state_dir=tmp_path)
    [(found, text)] = words(doctor_machine.file_findings(attrs.evolve(Configuration(), server=section)))
    assert found == level and f"{free >> 20} MB are free" in text


# -- the DNS --------------------------------------------------------------------------------------


class Names:
    """A resolver that knows each URI from a table."""

    def __init__(self, **table: Any) -> None:
        self.table = table

    def resolve(self, uri: Any) -> Any:
        name = uri.scheme if uri.scheme == "sips" else uri.params.get("transport")
        found = self.table.get(name)
        if found is None:
            raise ResolutionError("no such name")
        return succeed(found) if name == "tls" else found


def asked(names: Names, ports: dict[str, set[int]]) -> list[tuple[str, str]]:
    results: list[Any] = []
    work = port_findings(names, None, ["example.com"], {"192.0.2.1"}, ports)
    Deferred.fromCoroutine(work).addCallback(results.append)
    return words(results[0])


def to(kind: Any, port: int, host: str = "192.0.2.1") -> list[Destination]:
    return [Destination(kind, Address(host, port), "example.com")]


def test_records_that_lead_to_the_ports() -> None:
    ports = {"udp": {5060}, "tls": {5061}}
    names = Names(udp=to(UDP, 5060), sips=to(TLS, 5061))
    assert asked(names, ports) == [
        ("ok", "DNS of example.com, udp: leads to port 5060 here"),
        ("ok", "DNS of example.com, sips: leads to port 5061 here"),
    ]


def test_records_that_lead_past_them() -> None:
    [(level, text)] = asked(Names(udp=to(UDP, 5080)), {"udp": {5060}})
    assert level == "error"
    assert text == "DNS of example.com, udp: leads to udp port 5080, which the server does not listen on (but 5060)"
    [(level, text)] = asked(Names(udp=to(TLS, 5061)), {"udp": {5060}})
    assert "tls port 5061, which the server does not listen on (but none)" in text
    # Where it leads elsewhere another finding tells.
    assert asked(Names(udp=to(UDP, 5080, "192.0.2.9")), {"udp": {5060}}) == []


def test_whether_domains_lead_here(monkeypatch: pytest.MonkeyPatch) -> None:
    class Known:
        """A resolver that knows hosts."""

        def resolve(self, uri: Any) -> Any:
            if uri.host == "unknown.example":
                raise ResolutionError("unknown.example has no address")
            return to(UDP, 5060, "192.0.2.1" if uri.host == "sip.example.com" else "192.0.2.9")

    monkeypatch.setattr(dns_findings, "host_names", lambda: ("host.example", "192.0.2.5"))

    def found(advertise: str, *domains: str) -> list[tuple[str, str]]:
        names: Any = tuple(domains)
        configuration = attrs.evolve(Configuration(), server=ServerSection(domains=names, advertise=advertise))
        results: list[Any] = []

        async def ask() -> Any:
            own = await dns_findings.own_addresses(Known(), None, configuration)  # type: ignore[arg-type]
            return await dns_findings.domain_findings(Known(), None, configuration, own)  # type: ignore[arg-type]

        Deferred.fromCoroutine(ask()).addCallback(results.append)
        return words(results[0])

    assert found("sip.example.com", "sip.example.com", "192.0.2.77") == [
        ("ok", "DNS of sip.example.com: leads here: udp 192.0.2.1:5060")
    ]
    assert found("192.0.2.9", "example.com") == [("ok", "DNS of example.com: leads here: udp 192.0.2.9:5060")]
    [(level, text), (other, _)] = found("unknown.example", "example.com")
    assert (level, text) == ("error", "advertise unknown.example: unknown.example has no address")
    assert other == "warning"
    assert dns_findings.dns_findings(Configuration()) == []


def test_databases_as_files(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    sqlite3.connect(path).close()
    path.chmod(0o600)
    with (tmp_path / "x.db-wal").open("wb") as log:
        log.truncate(300 << 20)
    found = words(doctor_machine._database(path))
    assert ("warning", f"database {path}: has 300 MB in its log") in found
    path.write_bytes(b"nonsense" * 200)
    [(level, text), *_] = [one for one in words(doctor_machine._database(path)) if one[0] == "error"]
    assert level == "error" and "is damaged" in text
    assert next(one.mend for one in doctor_machine._database(path) if one.level == "error").startswith(
        "restore a backup"
    )


def test_what_a_path_is_called_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "damaged" / "x.db"
    path.mkdir(parents=True)
    assert doctor_machine._held(path) == "cannot be used (unable to open database file)"


def test_what_is_locked_needs_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    path.chmod(0o600)
    assert [(one.text, one.mend) for one in doctor_machine._database(path)] == [
        ("is locked by another process", "end that")
    ]
    holder.close()


def test_keys_of_listen_descriptors(tmp_path: Path) -> None:
    key = tmp_path / "k.pem"
    key.touch()
    key.chmod(0o604)
    listen: Any = (f"tls:5061:privateKey={key}:certKey={key}",)
    section = ServerSection(listen=listen, state_dir=tmp_path / "none")
    found = words(doctor_machine.file_findings(attrs.evolve(Configuration(), server=section)))
    assert found == [("error", f"key {key}: can be read by everybody on this machine")]
