"""examples/click_to_call.py connects two baresips, who refuse an offer without streams (RFC 3725 section 4.3)."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from baresip import Baresip
from processes import Program, free_port
from server import ROOT
from sound import RATE, babble, likeness, read_wav
from user_agent import ENVIRONMENT


def test_two_baresips_hear_each_other(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "click_to_call.py", str(free_port()), "0"]
    web = Program(command, directory=tmp_path, environment=ENVIRONMENT)
    said = {"alice": babble(tmp_path / "a.wav", 3.0, seed=5), "bob": babble(tmp_path / "b.wav", 3.0, seed=6)}
    phones: dict[str, Baresip] = {}
    try:
        url = web.wait_for(r"http://\S+")[0]
        for user, sound in said.items():
            phones[user] = Baresip(
                tmp_path, user, "x", "127.0.0.1", "", said=sound, register=False, account=";answermode=auto"
            )
        uris = {"a": f"sip:alice@127.0.0.1:{phones['alice'].port}", "b": f"sip:bob@127.0.0.1:{phones['bob'].port}"}
        with urlopen(url, urlencode(uris).encode(), timeout=30) as answer:
            assert answer.read() == b"connected\n"
        # A file is played once, then the call ends.
        for phone in phones.values():
            phone.wait("CALL_CLOSED")
        for user, other in (("alice", "bob"), ("bob", "alice")):
            heard = max(likeness(read_wav(said[other])[:RATE], read_wav(file)) for file in phones[user].heard())
            assert heard > 0.9, (user, heard)
    finally:
        for phone in phones.values():
            phone.stop()
        web.stop()
    assert "Traceback" not in web.text
