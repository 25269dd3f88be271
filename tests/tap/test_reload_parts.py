"""What the parts of a server take over while it runs: presence, messages, lists, XCAP, the b2bua, the log."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.b2bua_part import B2BUAPart
from twisted_sip.tap.hang_up import HangUp
from twisted_sip.tap.making import parts_of
from twisted_sip.tap.presence_part import PresencePart
from twisted_sip.tap.reg_event_part import RegEventPart
from twisted_sip.tap.sections import LogSection
from twisted_sip.tap.server_log import ServerLog
from twisted_sip.tap.site_part import SitePart

from .reloading import HOST, Stage, at_once

OPEN = "[auth]\nrequired = false\n"
WEB = f'[xcap]\nlisten = ["tcp:8080:interface={HOST}"]\n'


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    from twisted_sip.tap.configuration import Configuration

    made = Stage(tmp_path, OPEN + WEB, parts=parts_of(Configuration()))
    made.network.advance(1)
    yield made
    made.stop()


def part(stage: Stage, cls: type[Any]) -> Any:
    return next(each for each in stage.server.parts if isinstance(each, cls))


def test_presence(stage: Stage) -> None:
    told = stage.reload(
        f"{OPEN}{WEB}max_documents = 5\nmax_bytes = 5000\n[presence]\nmax_body = 4096\nmax_publications = 9\n"
        "[messaging]\nlifetime = 77\nmax_per_user = 3\n[lists]\nmax_resources = 8\n"
        "[events]\nmin_expires = 90\nmax_expires = 900\nnotify_rate = 7\nnotify_burst = 6\nmax_subscriptions = 44\n"
    )
    assert not any("restart" in line or "not used" in line for line in told)
    presence: Any = part(stage, PresencePart)
    assert presence.presence.settings.max_body == presence.presence.compositor.settings.max_body == 4096
    assert presence.presence.publications.most == 9
    assert presence.messaging.settings.lifetime == 77 and presence.messages.limits.per_user == 3
    assert presence.lists.settings.max_resources == 8
    assert (presence.documents.quota.documents, presence.documents.quota.octets) == (5, 5000)
    notifier = presence.notifier
    assert (notifier.delivery.queue.rate, notifier.delivery.queue.burst) == (7, 6)
    assert notifier.dialogs.limit == notifier.settings.max_dialogs == 44 + notifier.settings.max_foreign
    contact = "Contact: <sip:alice@192.0.2.11>"
    short = stage.ask("SUBSCRIBE", "sip:alice@example.com", "Event: presence", contact, "Expires: 80")
    assert short.status == 423 and short.headers.first("min-expires") == "90"


def test_authentication_reaches_presence(stage: Stage) -> None:
    presence: Any = part(stage, PresencePart)
    assert not presence.presence.authenticated and not presence.messaging.authenticated
    stage.reload(WEB)
    assert presence.presence.authenticated and presence.messaging.authenticated
    assert presence.messaging.user_known("sip:nobody@example.com") is False
    stage.reload(OPEN + WEB)
    assert not presence.messaging.authenticated and presence.messaging.user_known("sip:nobody@example.com") is True


def test_what_presence_does_not_change(stage: Stage) -> None:
    text = f'{OPEN}{WEB}path = "/other"\n[events]\ncseq_block = 7\ncontact_user = "n"\n'
    assert [line.split(":")[0] for line in stage.reload(text)] == ["needs a restart"] * 3


def web(stage: Stage) -> list[str]:
    return sorted(f"{address.port}" for address in stage.node.listeners if address.port > 8000)


def test_ports_of_xcap(stage: Stage) -> None:
    site = part(stage, SitePart)
    stage.domains = ["example.com"]
    before = site.web.ports[8080, HOST]
    text = stage.certificate("example.com") + OPEN
    told = stage.reload(f'{text}[xcap]\nlisten = ["tcp:8080:interface={HOST}", "tls:8443:interface={HOST}"]\n')
    assert f"opened web {HOST}:8443" in told and site.web.ports[8080, HOST] is before
    assert web(stage) == ["8080", "8443"]
    # The root that clients are told is that of the port with TLS.
    assert site._resource.xcap.root == site._diffs.root == "https://example.com:8443/xcap-root"
    factory = site.web.ports[8443, HOST].factory
    stage.domains = ["example.org"]
    stage.certificate("example.org")
    told = stage.reload(f'{text}[xcap]\nlisten = ["tls:8443:interface={HOST}"]\n')
    assert f"closed web {HOST}:8080" in told and web(stage) == ["8443"]
    assert site.web.ports[8443, HOST].factory is not factory and site._digest.domains == ("example.org",)
    assert site._resource.xcap.root == "https://example.org:8443/xcap-root"


def test_a_port_of_xcap_that_is_taken(stage: Stage) -> None:
    stage.node.listenTCP(8090, Factory(), interface=HOST)
    bad = f"tls:8092:interface={HOST}:privateKey=a:certKey=b"
    listen = f'["tcp:8091:interface={HOST}", "tcp:8090:interface={HOST}", "{bad}"]'
    with pytest.raises(ConfigurationError) as caught:
        stage.reload(f"{OPEN}[xcap]\nlisten = {listen}\n")
    problems = caught.value.problems
    assert "xcap.listen: tcp:8090" in problems[0] and "choose another port" in problems[0]
    assert all(problem.startswith("xcap.listen: ") for problem in problems) and len(problems) == 3
    assert web(stage) == ["8080", "8090"]


def test_the_usual_ports_of_xcap_are_left_out_where_they_are_taken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(port: int, *args: Any, **named: Any) -> Any:
        raise CannotListenError("", port, OSError(98, "Address already in use"))

    monkeypatch.setattr(stage.node, "listenTCP", taken)
    told = stage.reload(OPEN + stage.certificate("example.com"))
    assert f"closed web {HOST}:8080" in told and web(stage) == []


def test_the_b2bua(tmp_path: Path) -> None:
    made = B2BUAPart()
    stage = Stage(tmp_path, OPEN, parts=[made], forwards=False)
    b2bua: Any = made.b2bua
    stage.domains = ["example.org"]
    told = stage.reload(
        '[b2bua]\nmax_calls = 7\nmax_calls_per_user = 2\nring_timeout = 9\npass_headers = ["X-Account"]\n'
        'media = "relay"\n[media]\ndscp = 1\n'
    )
    waits = [line.split(": ")[1] for line in told if line.startswith("needs a restart")]
    assert waits == ["b2bua.media", "media.dscp"]
    assert b2bua.b2bua_settings.max_calls == 7 and b2bua.settings.max_calls >= 14 and b2bua.users.most == 2
    assert b2bua.settings.ring_timeout == 9 and b2bua.b2bua_settings.media == "direct"
    assert b2bua.domain == "example.org" and not b2bua._routing.trusts_everybody
    stage.stop()


def write(log: ServerLog, text: str) -> None:
    Logger(namespace="test", observer=log).info("{text}", text=text)


def test_a_log_that_is_moved_away(tmp_path: Path) -> None:
    log = ServerLog(LogSection(file=tmp_path / "sip.log"))
    write(log, "one")
    (tmp_path / "sip.log").rename(tmp_path / "old.log")
    write(log, "two")
    log.reopen()
    write(log, "three")
    assert "two" in (tmp_path / "old.log").read_text() and "three" in (tmp_path / "sip.log").read_text()
    # Where it cannot be opened again, the old one goes on.
    (tmp_path / "sip.log").rename(tmp_path / "old.log")
    (tmp_path / "sip.log").mkdir()
    log.reopen()
    write(log, "four")
    assert "four" in (tmp_path / "old.log").read_text()


def test_a_log_that_goes_elsewhere(tmp_path: Path, capsys: Any) -> None:
    log = ServerLog(LogSection(), default=str(tmp_path / "usual.log"))
    stage = Stage(tmp_path)
    stage.server.log_settings = log
    write(log, "one")
    told = stage.reload('[log]\nfile = "new.log"\nlevel = "warn"\n')
    assert told == ['log.level: "info" -> "warn"', f'log.file: nothing -> "{tmp_path}/new.log"']
    write(log, "two")
    assert "one" in (tmp_path / "usual.log").read_text() and (tmp_path / "new.log").read_text() == ""
    with pytest.raises(ConfigurationError, match=r"log\.file: .*none/sip\.log: the log cannot be written"):
        stage.reload('[log]\nfile = "none/sip.log"\n')
    stage.reload('[log]\nfile = "third.log"\n', dry_run=True)
    write(log, "three")
    assert "three" not in (tmp_path / "third.log").read_text()
    stage.reload("")
    write(log, "four")
    assert "four" in (tmp_path / "usual.log").read_text()
    stage.stop()
    # What twistd was told counts more than the file.
    log = ServerLog(LogSection(file=tmp_path / "sip.log"), path="-")
    log.reopen()
    write(log, "five")
    assert "five" in capsys.readouterr().out and not (tmp_path / "sip.log").exists()


class Reactor:
    """Does at once what threads ask for."""

    def callFromThread(self, function: Any) -> None:
        function()


@pytest.mark.parametrize(
    ("looks", "said"),
    [([False, False], "again"), ([False, True], "again"), ([True, True], "again"), ([True, False], "gone")],
)
def test_the_terminal_decides(monkeypatch: pytest.MonkeyPatch, looks: list[bool], said: str) -> None:
    monkeypatch.setattr("twisted_sip.tap.hang_up.has_terminal", lambda: looks.pop(0))
    heard: list[str] = []
    hang_up = HangUp(Reactor(), lambda: heard.append("again"), lambda: heard.append("gone"))
    hang_up.install()
    os.kill(os.getpid(), signal.SIGHUP)
    hang_up.remove()
    assert heard == [said]


def test_another_thread_than_the_main_one_minds_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise ValueError("signal only works in main thread of the main interpreter")

    monkeypatch.setattr("signal.signal", refuse)
    hang_up = HangUp(Reactor(), lambda: None, lambda: None)
    hang_up.install()
    hang_up.remove()


def test_registrations_are_told_as_the_settings_say(tmp_path: Path) -> None:
    made = RegEventPart()
    stage = Stage(tmp_path, OPEN, parts=[made])
    told = stage.reload(f"{OPEN}[events]\nmin_expires = 90\ncseq_block = 7\n")
    assert told[0].startswith("events.min_expires: ") and told[1].startswith("needs a restart: events.cseq_block")
    assert made.notifier is not None and made.notifier.settings.min_expires == 90
    assert made.notifier.packages["reg"].min_expires == 90
    stage.stop()
