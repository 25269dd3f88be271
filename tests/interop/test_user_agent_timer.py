"""The session timer of `twistd sip-ua` over two periods of 90 seconds (RFC 4028).

It takes more than three minutes and runs where SLOW is set in the environment; tests/dialog/test_session_timer.py has
session timers on a clock.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from baresip import Baresip
from conftest import PASSWORDS
from linphonec import LinphoneConsole
from processes import wait_for
from server import Server
from user_agent import AnsweringPhone

pytestmark = pytest.mark.skipif(not os.environ.get("SLOW"), reason="takes three minutes: set SLOW=1")

#: Two periods, and what refreshes may be late.
LENGTH = 185.0


def test_sessions_are_refreshed(server: Server, tmp_path: Path) -> None:
    """baresip knows no session timer, so we refresh; linphone refreshes itself."""
    (tmp_path / "ua.toml").write_text("[agent]\nsession_expires = 90\nmin_se = 90\n")
    phone = AnsweringPhone(tmp_path, "--answer", "echo", "--config", tmp_path / "ua.toml")
    one = Baresip(tmp_path, "alice", "x", "127.0.0.1", "", register=False)
    timer = "use_info=0\nsession_expires_enabled=1\nsession_expires_value=90\nsession_expires_refresher_value=2"
    other = LinphoneConsole(
        tmp_path, "bob", PASSWORDS["bob"], server.domain, server.uri(), changes={"use_info=0": timer}
    )
    try:
        other.registered()
        one.do("dial", phone.uri)
        one.wait("CALL_ESTABLISHED")
        other.program.write(f"call {phone.uri}\n")
        other.program.wait_for("Media streams established")
        time.sleep(LENGTH)
        assert len(re.findall(r" media PCMU/8000", phone.program.text)) >= 2, phone.program.text
        refreshes = re.findall(r"^(?:INVITE|UPDATE) sip:alice", one.program.text, re.MULTILINE)
        assert len(refreshes) >= 3, one.program.text[-8000:]
        assert " ended: " not in phone.program.text, phone.program.text
        one.do("hangup")
        other.program.write("terminate\n")
        wait_for(lambda: phone.program.text.count(" ended: bye by remote") == 2, lambda: phone.program.text)
    finally:
        one.stop()
        other.stop()
        phone.stop()
