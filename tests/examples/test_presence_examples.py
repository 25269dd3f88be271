"""examples/private_presence.py and examples/calendar_presence.py as a publisher and a watcher see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.documents.pidf import Presence

DOMAIN = "office.example"
EXAMPLES = Path(__file__).parents[2] / "examples"
#: NOTIFYs that may come before the one that is waited for.
_MOST = 20


def watch(peer: Any, watcher: str, user: str) -> None:
    contact = f"Contact: <sip:me@127.0.0.1:{peer.port}>"
    uri = f"sip:{user}@{DOMAIN}"
    peer.request("SUBSCRIBE", uri, watcher, uri, contact, "Event: presence", "Expires: 600")


def told(peer: Any, what: Callable[[Presence], bool]) -> Presence:
    """Return the first document that is *what*."""
    for _ in range(_MOST):
        message = peer.receive()
        if not message.startswith("NOTIFY"):
            continue
        head, _, body = message.partition("\r\n\r\n")
        kept = ("via", "from", "to", "call-id", "cseq")
        lines = [line for line in head.split("\r\n") if line.partition(":")[0].lower() in kept]
        peer._socket.send("\r\n".join(["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""]).encode())
        if body and what(presence := Presence.parse(body.encode())):
            return presence
    raise AssertionError("it is not told")


def test_colleagues_see_more(program: Callable[..., str], free_port: int, peer: Callable[[int], Any]) -> None:
    program("private_presence.py", DOMAIN, str(free_port))
    alice, colleague, other = (peer(free_port) for _ in range(3))
    aor = f"sip:alice@{DOMAIN}"
    published = Presence(aor).with_status("open", note="At my desk", activity="busy")
    fields = ("Event: presence", "Expires: 600", "Content-Type: application/pidf+xml")
    alice.request("PUBLISH", aor, aor, aor, *fields, body=published.to_xml().decode())
    assert alice.receive().startswith("SIP/2.0 200 OK")
    watch(colleague, f"sip:bob@{DOMAIN}", "alice")
    seen = told(colleague, lambda presence: presence.basic == "open")
    assert (seen.note, seen.activities) == ("At my desk", ("busy",))
    watch(other, "sip:eve@elsewhere.example", "alice")
    seen = told(other, lambda presence: presence.basic == "open")
    assert (seen.note, seen.activities) == ("", ())


def test_a_calendar_sets_presence(
    program: Callable[..., str], free_port: int, peer: Callable[[int], Any], tmp_path: Path
) -> None:
    calendar = tmp_path / "calendar.txt"
    # Without the file nobody is busy.
    program("calendar_presence.py", DOMAIN, str(free_port))
    of_alice, of_room = peer(free_port), peer(free_port)
    watch(of_alice, f"sip:bob@{DOMAIN}", "alice")
    watch(of_room, f"sip:bob@{DOMAIN}", "room")
    assert told(of_alice, bool).activities == ()
    assert told(of_room, lambda presence: presence.note == "Free").basic == "open"
    calendar.write_text("alice bob\n")
    assert told(of_alice, lambda presence: presence.activities == ("meeting",))
    assert told(of_room, lambda presence: presence.note == "Taken").basic == "closed"
    calendar.unlink()
    assert told(of_alice, lambda presence: presence.activities == ())


@pytest.mark.parametrize("name", ["private_presence.py", "calendar_presence.py"])
def test_they_are_short(name: str) -> None:
    lines = [line for line in (EXAMPLES / name).read_text("utf-8").splitlines() if line.strip()]
    assert len(lines) <= 40
