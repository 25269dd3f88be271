"""kill -9 in the middle of many calls: `twisted-sip calls` accounts for every one that the callers saw answered.

``INTEROP_RECORDED_CALLS`` says how many (150 by default).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import wait_for
from server import Server
from sipp import SIPp

CALLS = int(os.environ.get("INTEROP_RECORDED_CALLS", "150"))
RATE = 50
#: Milliseconds that each call is talked.
TALK = 1500
CALLEES = [f"u{number}" for number in range(10)]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    servers: list[Server] = []

    def start(plugin: str) -> Server:
        server = Server(tmp_path / "server", "--no-auth", plugin=plugin, transports=("udp",))
        server.directory.mkdir()
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def sipps() -> Iterator[list[SIPp]]:
    """Append to it what is to be stopped at the end."""
    running: list[SIPp] = []
    yield running
    for each in running:
        each.stop()


def register(server: Server, callee: SIPp) -> None:
    """Register all users at *callee*."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(30)
        phone.connect((server.host, server.ports["udp"]))
        here = phone.getsockname()[1]
        for number, user in enumerate(CALLEES):
            head = [
                "REGISTER sip:sip.test SIP/2.0",
                f"Via: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bKr{number}",
                "Max-Forwards: 70",
                f"From: <sip:{user}@sip.test>;tag=r{number}",
                f"To: <sip:{user}@sip.test>",
                f"Call-ID: r{number}",
                "CSeq: 1 REGISTER",
                f"Contact: <sip:{user}@127.0.0.1:{callee.port}>",
                "Expires: 3600",
                "Content-Length: 0",
            ]
            phone.send("\r\n".join([*head, "", ""]).encode())
            assert phone.recv(65535).startswith(b"SIP/2.0 200 ")


def said(sipp: SIPp, word: str) -> set[str]:
    """Return the Call-IDs of which *sipp* has said *word*."""
    return {found[1] for line in sipp.logged() if (found := re.search(rf"{word} (\S+)", line))}


def killed_in_the_middle(server: Server, tmp_path: Path, sipps: list[SIPp]) -> SIPp:
    """Make calls, kill the server amid them, start it again, and wait until the calls are over."""
    callee = SIPp(tmp_path, "callee", server)
    sipps.append(callee)
    register(server, callee)
    rows = [(CALLEES[number % len(CALLEES)],) for number in range(CALLS)]
    # What was being set up when the server died gets no answer any more.
    options = ("-d", str(TALK), "-recv_timeout", "10000")
    caller = SIPp(tmp_path, "counted_caller", server, *options, calls=CALLS, rate=RATE, rows=rows)
    sipps.append(caller)
    wait_for(lambda: len(said(caller, "answered")) > CALLS // 3, caller.why, 60)
    server.kill()
    server.start()
    caller.finish()
    return caller


def recorded(server: Server) -> dict[str, dict[str, Any]]:
    """Return the records of all calls that were answered, by Call-ID; each has one."""
    records = [one for one in server.json("calls", "--limit", "0") if one["answered"]]
    found = {one["call_id"]: one for one in records}
    assert len(found) == len(records)
    return found


def last_moment(records: dict[str, dict[str, Any]], over: set[str]) -> set[str]:
    """Return those of the calls *over* whose end was not on disk yet when the server died: nobody waits for that."""
    found = {call for call in over if records[call]["result"] != "answered"}
    assert len(found) <= RATE // 4
    return found


def test_calls_through_a_proxy(started: Callable[[str], Server], tmp_path: Path, sipps: list[SIPp]) -> None:
    server = started("sip-proxy")
    caller = killed_in_the_middle(server, tmp_path, sipps)
    records = recorded(server)
    answered, over = said(caller, "answered"), said(caller, "over")
    assert len(answered) > CALLS // 3
    assert answered <= set(records)
    # Calls go on while the proxy is not there: those that were over afterwards have ended as others do.
    ended = over - last_moment(records, over)
    assert {records[call]["result"] for call in ended} == {"answered"}
    assert all(records[call]["seconds"] >= 0.8 * TALK / 1000 for call in ended)
    live = {one["call_id"] for one in server.json("calls", "--live", "--limit", "0")}
    assert not live & ended
    # With the server stopped there is nothing else to be seen.
    server.stop()
    assert set(recorded(server)) == set(records)


def test_calls_through_a_b2bua(started: Callable[[str], Server], tmp_path: Path, sipps: list[SIPp]) -> None:
    server = started("sip-b2bua")
    caller = killed_in_the_middle(server, tmp_path, sipps)
    records = recorded(server)
    answered, over = said(caller, "answered"), said(caller, "over")
    assert answered <= set(records)
    # What it was in the middle of has ended with it.
    assert {records[call]["result"] for call in over - last_moment(records, over)} == {"answered"}
    interrupted = [one for one in records.values() if one["result"] == "interrupted"]
    assert interrupted and all(one["ended_by"] == "server" and one["ended"] for one in interrupted)
    assert all(records[call]["result"] for call in answered)
