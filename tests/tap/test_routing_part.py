"""A composed server with routes and gateways: it routes, is told other settings, and shows its gateways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.errors import ConfigurationError
from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.tap.b2bua_part import B2BUAPart
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration, overridden, read
from twisted_sip.tap.control import CommandError
from twisted_sip.tap.gateway_commands import gateway_commands
from twisted_sip.tap.startup import StartFailure
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer

from .threadless import stop, without_threads

HOST = "192.0.2.1"
TEXT = """
[[route]]
user = "0*"
strip = 1
add_prefix = "+49"
to = "least-cost"
[[gateway]]
group = "berlin"
name = "one"
uri = "sip:192.0.2.50"
[[gateway]]
group = "munich"
name = "two"
uri = "sip:192.0.2.51"
[gateways]
probe_interval = 20
[least_cost]
file = "rates.csv"
[emergency]
to = "gateway:berlin"
"""


class Stage:
    """A server on a simulated network."""

    def __init__(self, directory: Path, text: str, *, no_auth: bool = True, **how: Any) -> None:
        self.directory = directory
        self._no_auth = no_auth
        self.network = Network(3)
        self.network.clock.advance(1_800_000_000.0)
        self.one, self.two, self.alice = (Peer(self.network.node(f"192.0.2.{number}")) for number in (50, 51, 11))
        self.server = Server(self.network.node(HOST), self.settings(text), **how)
        self._sent = 0

    def settings(self, text: str) -> Configuration:
        return overridden(
            read(text, "sip.toml", self.directory),
            domains=["example.com"], listen=[f"udp:5060:interface={HOST}"], state_dir=str(self.directory),
            no_auth=self._no_auth,
        )  # fmt: skip

    def adopt(self, text: str) -> None:
        """Give the part of routing other settings."""
        configuration = self.settings(text)
        prepared = self.server.routing.reload(self.server, configuration)
        assert prepared is not None
        prepared.commit()

    def send(self, method: str, uri: str) -> None:
        self._sent += 1
        self.alice.send(
            f"{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bK{self._sent}\nMax-Forwards: 70\n"
            f"From: <sip:alice@example.com>;tag={self._sent}\nTo: <{uri}>\nCall-ID: {self._sent}\n"
            f"CSeq: 1 {method}\nContact: <sip:alice@192.0.2.11>\n\n",
            (HOST, 5060),
        )

    def stop(self) -> None:
        stop(self.server, self.network)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stage]]:
    """Makes servers. Threads would need the time of the world, and the control socket a real one."""
    without_threads(monkeypatch)
    (tmp_path / "rates.csv").write_text("prefix,rate,gateway\n49,0.02,berlin\n4989,0.01,munich\n")
    made: list[Stage] = []

    def make(text: str = TEXT, **how: Any) -> Stage:
        made.append(Stage(tmp_path, text, **how))
        made[-1].server.startService()
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_it_routes_and_watches(stage: Callable[..., Stage]) -> None:
    made = stage()
    for peer in (made.one, made.two):
        peer.answer(peer.expect("OPTIONS"), 200)
    made.send("MESSAGE", "sip:0891@example.com")
    got = made.two.expect("MESSAGE")
    assert got.uri_text == "sip:+49891@192.0.2.51"
    made.two.answer(got, 503)
    got = made.one.expect("MESSAGE")
    made.one.answer(got, 200)
    made.alice.expect(200)
    assert made.server.routing.counts() == {"gateways": 2, "gateways up": 2}
    shown = made.server.routing.commands()["gateways"]({})
    assert [(row["name"], row["state"], row["failed"]) for row in shown] == [("one", "up", 0), ("two", "up", 1)]
    made.send("INVITE", "urn:service:sos")
    got = made.one.expect("INVITE")
    assert got.uri_text == "sip:112@192.0.2.50"
    made.one.answer(got, 200, [("contact", "<sip:192.0.2.50>")])
    made.alice.expect(200)


def test_calls_for_help_to_one_of_our_users(stage: Callable[..., Stage]) -> None:
    """Whatever that user wants to become of calls; other routes there do not go past it."""
    made = stage('[emergency]\nto = "sip:desk@example.com"\n[[route]]\nuser = "9"\nto = "sip:desk@example.com"\n')
    made.two.send(
        "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.51;branch=z9hG4bKr\nMax-Forwards: 70\n"
        "From: <sip:desk@example.com>;tag=1\nTo: <sip:desk@example.com>\nCall-ID: r\nCSeq: 1 REGISTER\n"
        "Contact: <sip:desk@192.0.2.51>\n\n",
        (HOST, 5060),
    )
    made.two.expect(200)
    assert made.server.call_policies is not None
    made.server.call_policies.set("sip:desk@example.com", CallPolicy(do_not_disturb=True))
    made.send("INVITE", "sip:9@example.com")
    made.alice.expect(480)
    made.send("INVITE", "sip:112@example.com")
    made.two.answer(made.two.expect("INVITE"), 200, [("contact", "<sip:desk@192.0.2.51>")])
    made.alice.expect(200)


def test_other_settings(stage: Callable[..., Stage], tmp_path: Path) -> None:
    made = stage()
    switch = made.server.routing.commands()["gateways-enable"]
    assert switch({"name": "two", "enabled": False}) == {"gateways": 1}
    # The file alone has changed.
    (tmp_path / "rates.csv").write_text("prefix,rate,gateway\n49,0.02,two\n49,0.03,one\n")
    made.adopt(TEXT)
    made.send("MESSAGE", "sip:0891@example.com")
    made.one.answer(made.one.expect("MESSAGE"), 200)
    made.alice.expect(200)
    made.adopt('[[route]]\nuser = "0*"\nto = "sip:{user}@192.0.2.51"\n[enum]\nsuffixes = "e164.example"\n')
    made.send("MESSAGE", "sip:0891@example.com")
    got = made.two.expect("MESSAGE")
    assert got.uri_text == "sip:0891@192.0.2.51"
    made.two.answer(got, 200)
    made.alice.expect(200)
    assert made.server.routing.counts() == {}
    made.send("MESSAGE", "urn:service:sos")
    made.alice.expect(416)
    # Calls are counted from when there is a limit.
    assert made.server.proxy is not None
    policies = len(made.server.proxy.policies)
    for _ in range(2):
        made.adopt('[[gateway]]\ngroup = "g"\nuri = "sip:192.0.2.50"\nmax_calls = 2\n')
        assert len(made.server.proxy.policies) == policies + 1
    (tmp_path / "rates.csv").write_text("prefix,rate,gateway\nx,0.02,two\n")
    with pytest.raises(ConfigurationError):
        made.adopt(TEXT)


@pytest.mark.parametrize(
    ("inbound", "from_", "uri", "status"),
    [
        (True, "sip:+1@elsewhere.example", "sip:bob@example.com", 480),
        (True, "sip:anonymous@anonymous.invalid", "sip:bob@example.com", 480),
        (True, "sip:anonymous@anonymous.invalid", "sip:x@elsewhere.example", 407),
        (False, "sip:anonymous@anonymous.invalid", "sip:bob@example.com", 407),
        (True, "sip:+1@elsewhere.example", "sip:0891@example.com", 403),
        (True, "sip:+1@elsewhere.example", "sip:x@elsewhere.example", 403),
        # It is none of our users.
        (True, "sip:alice@example.com", "sip:bob@example.com", 407),
        (False, "sip:+1@elsewhere.example", "sip:bob@example.com", 403),
    ],
)
def test_calls_from_a_gateway(stage: Callable[..., Stage], inbound: bool, from_: str, uri: str, status: int) -> None:
    flag = str(inbound).lower()
    text = TEXT.replace('uri = "sip:192.0.2.50"', f'uri = "sip:192.0.2.50"\ninbound = {flag}')
    made = stage(text + "[auth]\nforeign_callers = false\n", no_auth=False)
    made.one.send(
        f"INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKg\nMax-Forwards: 70\n"
        f"From: <{from_}>;tag=g\nTo: <{uri}>\nCall-ID: g\nCSeq: 1 INVITE\nContact: <sip:192.0.2.50>\n\n",
        (HOST, 5060),
    )
    made.one.expect(status)
    assert made.server.decisions is not None
    keys = [decision.key for decision in made.server.decisions.call("g")]
    assert ("gateway[0].inbound" in keys) == (inbound and status != 407 and "elsewhere" not in uri)
    if uri.startswith("sip:0"):
        assert "route[0].strangers" in keys


def test_a_table_with_faults_is_no_start(stage: Callable[..., Stage], tmp_path: Path) -> None:
    made = Stage(tmp_path, TEXT)
    (tmp_path / "rates.csv").write_text("prefix,rate,gateway\n49,0.02,nobody\n")
    with pytest.raises(StartFailure) as caught:
        made.server.startService()
    assert 'rates.csv:2: gateway "nobody" is unknown' in str(caught.value)
    made.network.advance(1.0)


def test_commands_that_cannot_be_done() -> None:
    commands = gateway_commands(None)
    assert commands["gateways"]({}) == [] and commands["gateways-enable"]({"name": "x", "enabled": True}) == {
        "gateways": 0
    }
    for request in ({"enabled": True}, {"name": "x"}, {"name": "x", "enabled": 1}):
        with pytest.raises(CommandError):
            commands["gateways-enable"](request)


@pytest.fixture
def b2bua(stage: Callable[..., Stage]) -> Stage:
    to = 'to = ["gateway:berlin", "gateway:munich", "sip:192.0.2.51:5099"]'
    part = B2BUAPart()
    made = stage(TEXT.replace('to = "least-cost"', to) + '[b2bua]\nmedia = "direct"\n', forwards=False, parts=[part])
    assert isinstance(part.b2bua, B2BUA)
    made.send("INVITE", "sip:0891@example.com")
    return made


def test_the_gateways_of_a_b2bua(b2bua: Stage) -> None:
    got = b2bua.one.expect("INVITE")
    assert got.uri_text == "sip:+49891@192.0.2.50"
    b2bua.one.answer(got, 503)
    got = b2bua.two.expect("INVITE")
    # What the callee says ends the search.
    b2bua.two.answer(got, 486)
    b2bua.alice.expect(486)
    rows = b2bua.server.routing.commands()["gateways"]({})
    assert [(row["requests"], row["failed"], row["state"]) for row in rows] == [(1, 1, "up"), (1, 0, "up")]


@pytest.mark.parametrize("uri", ["sip:0900@192.0.2.51", "sip:0900@elsewhere.example;maddr=192.0.2.50"])
def test_a_b2bua_leads_to_gateways_by_routes_alone(stage: Callable[..., Stage], uri: str) -> None:
    route = 'user = "0*"\nhost = "example.com"'
    made = stage(
        TEXT.replace('user = "0*"', route) + '[b2bua]\nmedia = "direct"\n', forwards=False, parts=[B2BUAPart()]
    )
    made.send("INVITE", uri)
    made.alice.expect(403)
    made.one.skip()
    made.two.skip()
    for peer in (made.one, made.two):
        assert not [message for message in peer.messages if getattr(message, "method", "") == "INVITE"]


def test_a_gateway_of_a_b2bua_answers(b2bua: Stage) -> None:
    b2bua.one.answer(b2bua.one.expect("INVITE"), 200, [("contact", "<sip:192.0.2.50>")])
    b2bua.alice.expect(200)
    [row, _] = b2bua.server.routing.commands()["gateways"]({})
    assert (row["requests"], row["failed"]) == (1, 0)


def test_a_gateway_of_a_b2bua_says_nothing(b2bua: Stage) -> None:
    b2bua.one.expect("INVITE")
    b2bua.two.expect("INVITE", within=40.0)
    [row, _] = b2bua.server.routing.commands()["gateways"]({})
    assert (row["requests"], row["failed"]) == (1, 1) and row["state"] != "up"


@pytest.mark.parametrize("uri", ["sip:112@example.com", "urn:service:sos.fire"])
def test_calls_for_help_through_a_b2bua(stage: Callable[..., Stage], uri: str) -> None:
    """Limits and those who say who may call are not for them."""
    part = B2BUAPart()
    text = '[b2bua]\nmedia = "direct"\nmax_calls = 1\nmax_calls_per_user = 1\n'
    made = stage(TEXT + text, forwards=False, parts=[part])
    assert part.b2bua is not None
    for number in (1, 2):
        made.send("INVITE", uri)
        got = made.one.expect("INVITE")
        assert got.uri_text == "sip:112@192.0.2.50"
        made.one.answer(got, 200, [("contact", "<sip:192.0.2.50>")], to_tag=str(number))
        made.alice.expect(200)
        part.b2bua.authorize_call = lambda call: 0  # type: ignore[method-assign]
    made.send("INVITE", "sip:0891@example.com")
    made.alice.expect(503)
