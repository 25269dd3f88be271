"""A composed server: devices that are woken, registration for others, temporary GRUUs and news of registrations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import fail

from twisted_sip.auth.client import DigestClient
from twisted_sip.documents.reginfo import ReginfoDocument
from twisted_sip.errors import ConfigurationError, StoreError
from twisted_sip.interfaces.push import PushNotification
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.registrar.settings import PushSettings, RegistrarSettings, ThirdParty
from twisted_sip.storage.subscription_sqlite import SQLiteSubscriptionStore
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration, overridden
from twisted_sip.tap.making import parts_without_presence
from twisted_sip.tap.startup import StartFailure
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer

from .threadless import stop, without_threads

HOST, ALICE, BOB = "192.0.2.1", "sip:alice@example.com", "sip:bob@example.com"
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000000001>"'
PN = "pn-provider=apns;pn-param=t.a.voip;pn-prid=00fc"


class Sent:
    def __init__(self) -> None:
        self.all: list[PushNotification] = []

    def notify(self, notification: PushNotification) -> None:
        self.all.append(notification)


class Stage:
    """``twistd sip-proxy`` on a simulated network, with the users alice and bob and a phone for each."""

    def __init__(self, directory: Path, **sections: Any) -> None:
        self.directory = directory
        self.network = Network(3)
        self.network.clock.advance(1_800_000_000.0)
        self.node: Any = self.network.node(HOST)
        self.sections = sections
        self.sent = Sent()
        self.phones = {
            ALICE: Peer(self.network.node("192.0.2.11")),
            BOB: Peer(self.network.node("192.0.2.12")),
        }
        self.digests = {aor: DigestClient(aor[4:].partition("@")[0], "secret") for aor in self.phones}
        self.number = 0
        self.start()

    def start(self) -> None:
        configuration = overridden(
            Configuration(),
            domains=["example.com"],
            listen=[f"udp:5060:interface={HOST}"],
            state_dir=str(self.directory),
        )
        self.configuration = attrs.evolve(configuration, **self.sections)
        self.server = Server(self.node, self.configuration, parts=parts_without_presence(self.configuration))
        self.server.push.notifier = self.sent
        self.server.startService()
        assert self.server.credentials is not None
        for aor in self.phones:
            self.server.credentials.add(aor[4:].partition("@")[0], "example.com", "secret")
        self.network.advance(0.5)

    def send(self, aor: str, method: str, uri: str, *lines: str, call_id: str = "", from_: str = "") -> Request:
        """Send a request of *aor*, answer the challenge; return it as it was sent last."""
        self.number += 1
        phone = self.phones[aor]
        host = phone.address.host
        fields = [
            ("Via", f"SIP/2.0/UDP {host};branch=z9hG4bK{self.number}"),
            ("Max-Forwards", "70"),
            ("From", f"<{from_ or aor}>;tag=f{self.number}"),
            ("To", f"<{lines[0] if method == 'REGISTER' else uri}>"),
            ("Call-ID", call_id or f"call{self.number}"),
            ("CSeq", f"{2 * self.number} {method}"),
            *[(name, value) for name, _, value in (line.partition(": ") for line in lines[method == "REGISTER" :])],
            ("Content-Length", "0"),
        ]
        asked = Request(method, uri, fields)
        phone.send(asked, (HOST, 5060))
        challenge = phone.expect(lambda message: isinstance(message, Response) and message.status in (401, 407))
        if method == "INVITE":
            ack = Request("ACK", uri, [(name, value) for name, value in fields if name not in ("CSeq", "Contact")])
            ack.headers.append("cseq", f"{2 * self.number} ACK")
            phone.send(ack, (HOST, 5060))
        again = self.digests[aor].authorize(asked, challenge)
        assert again is not None
        again.headers.set("via", f"SIP/2.0/UDP {host};branch=z9hG4bK{self.number}b")
        again.headers.set("cseq", f"{2 * self.number + 1} {method}")
        phone.send(again, (HOST, 5060))
        return again

    def ask(self, aor: str, method: str, uri: str, *lines: str, **how: Any) -> Response:
        self.send(aor, method, uri, *lines, **how)
        found: Response = self.phones[aor].expect(
            lambda message: isinstance(message, Response) and message.status >= 200
        )
        return found

    def register(self, aor: str, contact: str, *lines: str, by: str = "", **how: Any) -> Response:
        return self.ask(by or aor, "REGISTER", "sip:example.com", aor, f"Contact: {contact}", *lines, **how)

    def stop(self) -> None:
        stop(self.server, self.network)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads would need the time of the world, and the control socket a real one."""
    without_threads(monkeypatch, "reg_event_part")


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[Any]:
    stages: list[Stage] = []

    def make(**sections: Any) -> Stage:
        stages.append(Stage(tmp_path, **sections))
        return stages[-1]

    yield make
    for stage in stages:
        stage.stop()


PUSH = PushSettings(providers=("apns",))


def test_a_call_wakes_a_device_and_finds_it(make_stage: Any) -> None:
    stage = make_stage(push=PUSH)
    registered = stage.register(BOB, f"<sip:bob@192.0.2.12;{PN}>")
    assert registered.headers.first("feature-caps").startswith('*;+sip.pns="apns";+sip.pnspurr="')
    stage.network.advance(60)
    stage.send(ALICE, "INVITE", BOB, "Contact: <sip:alice@192.0.2.11>")
    stage.network.advance(1)
    assert [(each.prid, each.aor, each.method) for each in stage.sent.all] == [("00fc", BOB, "INVITE")]
    assert stage.server.push.counts() == {"requests waiting for devices": 1}
    assert stage.register(BOB, f"<sip:bob@192.0.2.12;{PN}>").status == 200
    bob = stage.phones[BOB]
    bob.answer(bob.expect("INVITE"), 200, headers=[("contact", "<sip:bob@192.0.2.12>")])
    assert stage.phones[ALICE].expect(200).cseq.method == "INVITE"


def test_devices_are_woken_to_renew_after_a_restart(make_stage: Any) -> None:
    stage = make_stage(push=PUSH)
    stage.register(BOB, f"<sip:bob@192.0.2.12;{PN}>")
    stage.stop()
    stage.start()
    stage.network.advance(3440)
    assert stage.sent.all == []
    stage.network.advance(20)
    assert [each.method for each in stage.sent.all] == ["REGISTER"]


def test_other_settings_while_it_runs(make_stage: Any) -> None:
    stage = make_stage()
    assert "feature-caps" not in stage.register(BOB, f"<sip:bob@192.0.2.12;{PN}>").headers
    part, server = stage.server.push, stage.server
    assert part.counts() == {} and server.element.waker is None

    def adopt(settings: PushSettings) -> None:
        prepared = part.reload(server, attrs.evolve(stage.configuration, push=settings))
        assert prepared is not None
        prepared.commit()

    adopt(PUSH)
    assert "feature-caps" in stage.register(BOB, f"<sip:bob@192.0.2.12;{PN}>").headers
    bucket = part.bucket
    adopt(attrs.evolve(PUSH, wait=3.0))
    assert part.bucket is bucket and bucket is server.element.waker and bucket.settings.wait == 3.0
    adopt(PushSettings())
    assert server.element.waker is None and server.registrar.push.providers == ()
    part.notifier = None
    for settings, fault in ((PUSH, "push.url: is missing"), (attrs.evolve(PUSH, url="ftp://x"), "push.url: ")):
        with pytest.raises(ConfigurationError, match=fault):
            part.reload(server, attrs.evolve(stage.configuration, push=settings))
    adopt(attrs.evolve(PUSH, url="https://push.example.com/wake"))
    assert type(part.bucket.notifier).__name__ == "HTTPPushNotifier"


def test_who_is_to_be_woken_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "start", lambda self: None)
    stage = Stage(tmp_path)
    configuration = overridden(
        Configuration(), domains=["example.com"], listen=[f"udp:5060:interface={HOST}"], state_dir=str(tmp_path)
    )
    server = Server(stage.node, attrs.evolve(configuration, push=PUSH))
    with pytest.raises(StartFailure, match=r"^push\.url: is missing beside providers, write the URL"):
        server.startService()


def test_registration_for_others(make_stage: Any) -> None:
    stage = make_stage()
    assert stage.register(BOB, "<sip:bob@192.0.2.11>", by=ALICE).status == 403
    stage.stop()
    rule = ThirdParty(registrants=(ALICE,), users=("sip:b*@example.com",))
    stage.sections = {"registrar": RegistrarSettings(third_party=(rule,))}
    stage.start()
    assert stage.register(BOB, "<sip:bob@192.0.2.11>", by=ALICE).status == 200
    (binding,) = stage.server.location.lookup(BOB)
    assert binding.contact == "sip:bob@192.0.2.11"
    assert stage.register("sip:babs@example.com", "<sip:babs@192.0.2.11>", by=ALICE).status == 404


def temporary_gruu(response: Response) -> str:
    return (response.contacts[0].params.get("temp-gruu") or "")[1:-1]


def test_a_temporary_gruu_outlives_a_restart(make_stage: Any) -> None:
    stage = make_stage()
    gruu = temporary_gruu(stage.register(BOB, f"<sip:bob@192.0.2.12>;{INSTANCE}", "Supported: gruu", call_id="reg"))
    assert gruu.startswith("sip:tgruu.") and "bob" not in gruu
    stage.stop()
    stage.start()
    again = temporary_gruu(stage.register(BOB, f"<sip:bob@192.0.2.12>;{INSTANCE}", "Supported: gruu", call_id="reg"))
    assert again != gruu
    bob = stage.phones[BOB]
    for target in (gruu, again):
        stage.send(ALICE, "OPTIONS", target)
        got = bob.expect("OPTIONS")
        assert got.uri_text == "sip:bob@192.0.2.12"
        bob.answer(got, 200)
        assert stage.phones[ALICE].expect(200)
    stage.register(BOB, f"<sip:bob@192.0.2.12>;{INSTANCE}", "Supported: gruu", call_id="after-a-reset")
    assert stage.ask(ALICE, "OPTIONS", gruu).status == 404


def test_news_of_registrations_without_presence(make_stage: Any) -> None:
    """RFC 3680 and RFC 5628; third parties and devices that are woken show in it."""
    rule = ThirdParty(registrants=(ALICE,), users=(BOB,))
    stage = make_stage(registrar=RegistrarSettings(reg_event=True, third_party=(rule,)), push=PUSH)
    bob = stage.phones[BOB]
    stage.register(BOB, f"<sip:bob@192.0.2.12;{PN}>;{INSTANCE}", "Supported: gruu")
    contact = "Contact: <sip:bob@192.0.2.12>"
    assert stage.ask(BOB, "SUBSCRIBE", BOB, "Event: reg", contact).status == 200
    told = _told(bob)
    (mine,) = told.registrations[0].contacts
    assert (mine.event, PN in mine.uri) == ("registered", True)
    assert mine.pub_gruu.startswith(f"{BOB};gr=urn:uuid:")
    assert mine.temp_gruu.startswith("sip:tgruu.") and mine.first_cseq == 3
    gruus = stage.server.element.temporary_gruus
    assert gruus.read(SIPURI.parse(mine.temp_gruu))[0] == BOB
    stage.network.advance(10)
    stage.register(BOB, "<sip:bob@192.0.2.99>", by=ALICE)
    (other,) = _told(bob).registrations[0].contacts
    assert (other.event, other.uri) == ("registered", "sip:bob@192.0.2.99")
    assert stage.ask(ALICE, "SUBSCRIBE", BOB, "Event: reg", "Contact: <sip:alice@192.0.2.11>").status == 403
    options = stage.ask(ALICE, "OPTIONS", "sip:example.com", from_=ALICE)
    assert options.headers.first("allow-events") == "reg"
    # A subscription of another kind is for the user's own device.
    stage.register(BOB, f"<sip:bob@192.0.2.12;{PN}>;{INSTANCE}", "Supported: gruu")
    stage.send(ALICE, "SUBSCRIBE", BOB, "Event: dialog", "Contact: <sip:alice@192.0.2.11>")
    assert bob.expect("SUBSCRIBE").headers.first("event") == "dialog"


def test_a_subscription_to_registrations_outlives_a_restart(make_stage: Any) -> None:
    stage = make_stage(registrar=RegistrarSettings(reg_event=True))
    bob = stage.phones[BOB]
    stage.register(BOB, "<sip:bob@192.0.2.12>")
    assert stage.ask(BOB, "SUBSCRIBE", BOB, "Event: reg", "Contact: <sip:bob@192.0.2.12>").status == 200
    _told(bob)
    stage.stop()
    stage.start()
    assert _told(bob).full
    assert stage.server.parts[-1].counts() == {"subscriptions": 1}


def test_subscriptions_that_cannot_be_read(make_stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registrations and calls go on; who asks for news is told that there are none."""
    monkeypatch.setattr(SQLiteSubscriptionStore, "load", lambda self: fail(StoreError("damaged")))
    stage = make_stage(registrar=RegistrarSettings(reg_event=True))
    assert stage.register(BOB, "<sip:bob@192.0.2.12>").status == 200
    subscribe = stage.ask(BOB, "SUBSCRIBE", BOB, "Event: reg", "Contact: <sip:bob@192.0.2.12>")
    assert subscribe.status in (500, 503)


def _told(phone: Peer) -> ReginfoDocument:
    notify = phone.expect("NOTIFY", within=20)
    phone.answer(notify, 200)
    return ReginfoDocument.parse(notify.body)


def test_nobody_is_told_who_did_not_ask(make_stage: Any) -> None:
    stage = make_stage()
    assert parts_without_presence(stage.configuration) == []
