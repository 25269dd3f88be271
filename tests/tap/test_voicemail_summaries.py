"""Who is told how many messages wait for a line, and who is not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted_sip.agent.account import Account
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.documents.message_summary import Summary
from twisted_sip.events.watchers import FORBIDDEN
from twisted_sip.interfaces.event_package import Authorization
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.tap.mailboxes import Mailbox
from twisted_sip.tap.voicemail_summaries import VoicemailSummaries, VouchedWatchers

BOB = "sip:bob@example.com"
CONTACT = "sip:x7f@198.51.100.1"


def subscription(watcher: str = BOB, resource: str = CONTACT) -> Any:
    return SimpleNamespace(
        watcher=watcher, resource=resource, memory={}, authorization=Authorization(), state="active", reason=""
    )


class Host:
    """A notifier that keeps whom it was to tell."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.all = [subscription(), subscription()]

    def subscriptions(self, event: str, resource: str | None = None) -> list[Any]:
        assert event == "message-summary"
        return self.all

    def notify(self, one: Any) -> None:
        self.told.append(one)


def summaries(directory: Path) -> VoicemailSummaries:
    agent: Any = SimpleNamespace(registrations=[])
    made = VoicemailSummaries(agent, ["sip:boss@example.com"])
    made.add(
        Account(NameAddr.parse(f"<{BOB}>"), contact_user="x7f"), Mailbox(directory, lambda: 0.0, made.messages_changed)
    )
    return made


def test_the_line_itself_may_watch_and_whom_the_file_names(tmp_path: Path) -> None:
    package = summaries(tmp_path)
    assert package.authorize(subscription()) == Authorization()
    assert package.authorize(subscription("sip:boss@example.com")) == Authorization()
    assert package.authorize(subscription("sip:eve@example.com")) is FORBIDDEN
    assert package.authorize(subscription(resource="sip:other@198.51.100.1")) is FORBIDDEN
    assert package.has_resource(CONTACT) and package.has_resource(BOB)
    assert not package.has_resource("sip:other@198.51.100.1") and not package.has_resource("tel:+49")


def test_what_waits_is_what_is_in_the_directory(tmp_path: Path) -> None:
    package = summaries(tmp_path)
    host: Any = Host()
    package.messages_changed()
    package.attached(host)
    mailbox = Mailbox(tmp_path, lambda: 0.0, package.messages_changed)
    mailbox.keep(mailbox.begin("ann"))
    assert host.told == host.all
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.wav").touch()
    made: Any = package.notification(subscription())
    summary = Summary.parse(made.body)
    assert (summary.messages_waiting, summary.account) == (True, BOB)
    counts = summary.counts["voice-message"]
    assert (counts.new, counts.old) == (1, 1)


def request(method: str = "SUBSCRIBE", tag: str = "") -> Any:
    from twisted_sip.message.builders import build_request

    to = f"<{CONTACT}>{f';tag={tag}' if tag else ''}"
    made = build_request(method, CONTACT, from_=f"<{BOB}>;tag=1", to=to, call_id="c", cseq=1)
    made.headers.set("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
    return SimpleNamespace(request=made, flow=SimpleNamespace(remote=SimpleNamespace(host="192.0.2.1")), to_tag="t")


def test_nobody_has_vouched_for_strangers() -> None:
    agent: Any = SimpleNamespace(registrations=[], settings=AgentSettings())
    link = VouchedWatchers(agent, False)
    verdict: Any = link.process(request())
    assert verdict.status == 403
    assert link.process(request("INVITE")) is None
    assert link.process(request(tag="x")) is None
    assert VouchedWatchers(agent, True).process(request()) is None
    agent.settings = AgentSettings(servers=("192.0.2.1",))
    assert link.process(request()) is None
