"""`twistd sip-ua` and `twisted-sip call` with ICE: directly, and where nothing but a TURN server reaches both."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from natted import Network
from processes import Program, free_port
from server import START, Server
from sound import RATE, babble, likeness, read_wav
from user_agent import ENVIRONMENT, AnsweringPhone, Caller

TURN = Path(__file__).parent / "turn_process.py"


def test_with_stun_and_turn_beside_a_straight_way(tmp_path: Path) -> None:
    """The relay is given back: it is of no use."""
    port = free_port()
    turn = Program(
        [sys.executable, TURN, "127.0.0.1", str(port), "bob", "secret"], directory=tmp_path, environment=ENVIRONMENT
    )
    file = tmp_path / "ua.toml"
    file.write_text(
        f'[server]\nstun = ["127.0.0.1:{port}"]\n[media]\nice = "full"\n'
        f'[[turn]]\naddress = "127.0.0.1:{port}"\nuser = "bob"\npassword = "secret"\n'
    )
    phone = None
    try:
        turn.wait_for("ready")
        phone = AnsweringPhone(tmp_path, "--config", file)
        said, heard = babble(tmp_path / "said.wav", 3.0), tmp_path / "heard.wav"
        status, told = Caller(
            tmp_path, phone.uri, "--stun", f"127.0.0.1:{port}", "--srtp", "required", "--play", said, "--record", heard
        ).finish()
        assert (status, told["status"]) == (0, 200), told
        assert likeness(read_wav(said)[: 2 * RATE], read_wav(heard)) > 0.95
        turn.wait_for(r"relayed \d+, [12] allocations")
        phone.stop()
        turn.wait_for(r"relayed \d+, 0 allocations", after=2)
        phone = None
    finally:
        if phone is not None:
            phone.stop()
        turn.stop()


@pytest.fixture
def middle() -> Iterator[tuple[Network, Network, Network]]:
    """A network in the middle, and two that reach it and not each other."""
    middle = Network()
    sides = [Network(middle), Network(middle)]
    try:
        for number, side in enumerate(sides, 1):
            middle.ip(
                "link", "add", f"veth{number}", "type", "veth", "peer", "name", "eth0", "netns", str(side._held.pid)
            )
            for network, name, host in ((middle, f"veth{number}", 1), (side, "eth0", 2)):
                network.ip("addr", "add", f"10.7.{number}.{host}/24", "dev", name)
                network.ip("link", "set", name, "up")
            side.ip("route", "add", "default", "via", f"10.7.{number}.1")
        middle.ip("addr", "add", "198.51.100.1/32", "dev", "lo")
        yield middle, sides[0], sides[1]
    finally:
        for network in (*sides, middle):
            network.stop()


def test_where_a_relay_is_the_only_way(middle: tuple[Network, Network, Network], tmp_path: Path) -> None:
    """The answering side alone has a TURN server; the caller reaches what is relayed."""
    centre, left, right = middle
    server = Server(
        tmp_path, "--no-auth", host="198.51.100.1", inside=centre.inside, ports={"udp": 5060}, domain="sip.test"
    )
    turn = Program(
        [sys.executable, TURN, "198.51.100.1", "3478", "bob", "secret"],
        directory=tmp_path, inside=centre.inside, environment=ENVIRONMENT,
    )  # fmt: skip
    file = tmp_path / "ua.toml"
    file.write_text(
        '[server]\nlisten = ["udp:5060:interface=10.7.1.2"]\nstun = ["198.51.100.1"]\nstate_dir = "ua"\n'
        '[media]\nice = "full"\n[[line]]\naor = "sip:bob@sip.test"\nproxies = ["sip:198.51.100.1"]\n'
        '[[turn]]\naddress = "198.51.100.1"\nuser = "bob"\npassword = "secret"\n'
    )
    run = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
    phone = caller = None
    try:
        server.start()
        turn.wait_for("ready")
        phone = Program(
            [sys.executable, "-c", run, "-n", "--pidfile=", "sip-ua", "--config", file],
            directory=tmp_path, inside=left.inside, environment=ENVIRONMENT,
        )  # fmt: skip
        phone.wait_for(" registered as ", START)
        said, heard = babble(tmp_path / "said.wav", 3.0), tmp_path / "heard.wav"
        for _ in range(3):
            # On a machine with too much to do packets come too late to be heard; not always.
            caller = Program(
                [*right.inside, sys.executable, "-m", "twisted_sip.cli.main", "call", "sip:bob@sip.test", "--proxy",
                 "sip:198.51.100.1", "--user", "alice@sip.test", "--ice", "full", "--play", said, "--record", heard],
                directory=tmp_path, environment=ENVIRONMENT,
            )  # fmt: skip
            assert caller.finish(60) == 0, caller.text + phone.text
            alike = likeness(read_wav(said)[: 2 * RATE], read_wav(heard))
            if alike > 0.95:
                break
        assert alike > 0.95, caller.text
        # Both ways, 50 packets a second each.
        turn.wait_for(r"relayed [2-9]\d\d, ")
        phone.wait_for(" ended: bye by remote")
    finally:
        for program in (caller, phone, turn):
            if program is not None:
                program.stop()
        server.stop()
