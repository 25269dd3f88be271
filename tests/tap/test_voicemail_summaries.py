"""Who is told how many messages wait for a line, and who is not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted_sip.agent.account import Account
from twisted_sip.agent.served_dialogs import ProvedWatchers, resource_of
from twisted_sip.documents.message_summary import Summary
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.watchers import FORBIDDEN
from twisted_sip.interfaces.event_package import Authorization
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.tap.answering_machine import AnsweringMachine
from twisted_sip.tap.mailboxes import Mailbox
from twisted_sip.tap.ua_sections import VoicemailSection
from twisted_sip.tap.voicemail_summaries import VoicemailSummaries
from twisted_sip.testing.server import SimulatedServer

from .test_answering import speech
from .ua_stage import Stage, kept

BOB = "sip:bob@example.com"
CONTACT = "sip:x7f@198.51.100.1"


def subscription(watcher: str = BOB, resource: str = CONTACT, *, proved: bool = True) -> Any:
    return SimpleNamespace(
        watcher=watcher,
        resource=resource,
        memory={},
        authorization=Authorization(),
        state="active",
        reason="",
        authenticated=proved,
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


def summaries(directory: Path, **how: Any) -> VoicemailSummaries:
    made = VoicemailSummaries(["sip:boss@example.com"], **how)
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


def test_nobody_has_vouched_for_strangers(tmp_path: Path) -> None:
    package = summaries(tmp_path)
    assert package.authorize(subscription(proved=False)) is FORBIDDEN
    credulous = summaries(tmp_path, trust_everybody=True)
    assert credulous.authorize(subscription(proved=False)) == Authorization()
    assert credulous.authorize(subscription("sip:eve@example.com", proved=False)) is FORBIDDEN


# -- by way of a server ------------------------------------------------------------------------------------------


class Watched:
    """A line that takes messages behind a registrar and proxy, and somebody who watches it."""

    def __init__(self, directory: Path) -> None:
        self.stage = stage = Stage(AnsweringMachine(Mailbox(directory, lambda: 0.0), VoicemailSection()))
        self.server = SimulatedServer(stage.network, "192.0.2.1", passwords={"bob": "x", "caller": "x"})
        agent = stage.answering
        agent.element.chain.remove(agent)
        package = VoicemailSummaries(())
        machine = AnsweringMachine(Mailbox(directory, lambda: 0.0, package.messages_changed), VoicemailSection())
        agent.lines.other = (machine, 0.0)
        self.notifier = Notifier(
            agent.element,
            MemorySubscriptionStore(agent.element.reactor),
            dialogs=agent.dialogs,
            claims_all=True,
            resource_of=lambda uri: resource_of(agent, uri),
        )
        self.notifier.add(package)
        self.notifier.start()
        agent.element.chain[:] = [agent, ProvedWatchers(agent, agent.dialogs), self.notifier]
        for who, name in ((agent, "bob"), (stage.caller, "caller")):
            who.accounts.clear()
            who.register(f"sip:{name}@example.com", password="x", outbound_proxies=["sip:192.0.2.1"])
        package.add(agent.accounts[0], machine.mailbox)
        stage.run(2)
        self.told: list[str] = []

    def watch(self, agent: Any) -> Any:
        """Subscribe to the messages of the line as the first account of *agent*."""
        account = agent.account_of_choice
        return agent.subscriber.subscribe(
            self.stage.answering.registrations[0].gruu,
            "message-summary",
            from_=account.address,
            credentials=account.credentials,
            flow=account.flow,
            route=account.route,
            on_notify=lambda notified: self.told.append(notified.body.decode()),
        )


def test_a_message_is_left_and_its_owner_is_told(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    stage = watched.stage
    phone = stage.phone("198.51.100.3")
    phone.register(BOB, password="x", outbound_proxies=["sip:192.0.2.1"])
    stage.run(1)
    own, other = watched.watch(phone), watched.watch(stage.caller)
    stage.run(2)
    assert other.status == 403
    assert len(watched.told) == 1 and "Voice-Message: 0/0" in watched.told[0]
    gruu = stage.answering.registrations[0].gruu
    call = stage.caller.call(gruu)
    stage.run(3)
    call.play(speech(3))
    stage.run(4)
    call.hangup()
    stage.run(3)
    assert len(kept(tmp_path)) == 1
    assert "Voice-Message: 1/0" in watched.told[-1] and "Messages-Waiting: yes" in watched.told[-1]
    assert f"Message-Account: {BOB}" in watched.told[-1]
    count = len(watched.told)
    own.refresh()
    stage.run(2)
    assert len(watched.told) == count + 1
    own.unsubscribe()
    stage.run(2)
    phone.stopService()
    watched.notifier.stop()
    stage.stop()
