"""`twistd sip-b2bua` as it is run: a call policy that an operator sets counts for the next call."""

from __future__ import annotations

import socket
from pathlib import Path

from .test_twistd import HERE, PATIENCE, Running


def invited(port: int, number: int) -> str:
    """Call bob as alice; return the status line of the final response."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as alice:
        alice.settimeout(PATIENCE)
        alice.connect(("127.0.0.1", port))
        here = alice.getsockname()[1]
        head = [
            "INVITE sip:bob@127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bK{number}",
            "Max-Forwards: 70",
            f"From: <sip:alice@127.0.0.1>;tag={number}",
            "To: <sip:bob@127.0.0.1>",
            f"Call-ID: {number}",
            "CSeq: 1 INVITE",
            f"Contact: <sip:alice@127.0.0.1:{here}>",
            "Content-Length: 0",
        ]
        alice.send("\r\n".join([*head, "", ""]).encode())
        while True:
            line = alice.recv(65535).decode().partition("\r\n")[0]
            if not line.startswith("SIP/2.0 1"):
                return line


def test_who_is_blocked_is_declined(tmp_path: Path) -> None:
    running = Running(
        tmp_path, "sip-b2bua", "--no-auth", "--domain", "127.0.0.1", "--listen", HERE, until="AUTHENTICATION IS OFF"
    )
    try:
        port = running.port("udp")
        assert invited(port, 1).startswith("SIP/2.0 480 ")
        done = running.command("policy", "set", "bob@127.0.0.1", "--block", "alice@127.0.0.1")
        assert done.returncode == 0, done
        assert invited(port, 2) == "SIP/2.0 603 Decline"
        done = running.command("policy", "clear", "bob@127.0.0.1")
        assert done.returncode == 0, done
        assert invited(port, 3).startswith("SIP/2.0 480 ")
    finally:
        running.stop()
