"""`twisted-sip call` and `load` call baresip and SIPp: what was played there is what was recorded here."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from baresip import Baresip
from processes import free_port, wait_for
from sipp import SIPp
from sound import RATE, babble, likeness, read_wav
from user_agent import ENVIRONMENT, Caller


def test_a_call_to_baresip(tmp_path: Path) -> None:
    """Both ways: its file is heard here, ours there."""
    theirs, ours = babble(tmp_path / "theirs.wav", 4.0, seed=3), babble(tmp_path / "ours.wav", 3.0, seed=4)
    phone = Baresip(
        tmp_path, "bob", "x", "127.0.0.1", "", said=theirs, register=False, account=";answermode=auto",
        modules=["srtp"],
    )  # fmt: skip
    try:
        heard = tmp_path / "heard.wav"
        status, told = Caller(
            tmp_path, f"sip:bob@127.0.0.1:{phone.port}", "--play", ours, "--record", heard, "--timeout", "10"
        ).finish()
        phone.wait("CALL_CLOSED")
        assert (status, told["status"]) == (0, 200), told
        assert told["media"]["codec"] == "PCMU/8000" and told["media"]["packets_lost"] == 0
        assert likeness(read_wav(theirs)[: 2 * RATE], read_wav(heard)) > 0.95
        assert likeness(read_wav(ours)[: 2 * RATE], read_wav(phone.heard()[0])) > 0.95
    finally:
        phone.stop()


def test_a_call_that_is_refused(tmp_path: Path) -> None:
    phone = Baresip(tmp_path, "bob", "x", "127.0.0.1", "", register=False)
    try:
        caller = Caller(tmp_path, f"sip:bob@127.0.0.1:{phone.port}", "--timeout", "20")
        phone.wait("CALL_INCOMING")
        phone.do("hangup")
        status, told = caller.finish()
        assert (status, told["status"]) == (1, 486), told
        assert 180 in told["provisional"]
    finally:
        phone.stop()


def listens(port: int) -> bool:
    """Tell whether somebody has the UDP port; one who says nothing can be asked in no other way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        try:
            other.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def test_calls_to_sipp_that_echoes(tmp_path: Path) -> None:
    nowhere: Any = SimpleNamespace(ports={"udp": 9})
    # SIPp takes the two ports above as well, for video.
    media, _ = free_port(pair=True), free_port(pair=True)
    sipp = SIPp(tmp_path, "echo", nowhere, "-rtp_echo", "-mi", "127.0.0.1", "-mp", str(media))
    try:
        wait_for(lambda: listens(sipp.port), sipp.why)
        said, heard = babble(tmp_path / "said.wav", 2.5, seed=9), tmp_path / "heard.wav"
        status, told = Caller(tmp_path, f"sip:echo@127.0.0.1:{sipp.port}", "--play", said, "--record", heard).finish()
        assert status == 0, told
        found = likeness(read_wav(said), read_wav(heard))
        assert found > 0.95, found
        assert told["media"]["mos"] > 4
        done = subprocess.run(
            [sys.executable, "-m", "twisted_sip.cli.main", "load", f"sip:{{n}}@127.0.0.1:{sipp.port}",
             "--rate", "20", "--calls", "40", "--duration", "0.3", "--json"],
            env={"PATH": "/usr/bin:/bin", **ENVIRONMENT}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done
        result = json.loads(done.stdout)
        assert (result["answered"], result["failed"]) == (40, {})
        assert 0 < result["setup_ms"]["p50"] <= result["setup_ms"]["p99"]
    finally:
        sipp.stop()
