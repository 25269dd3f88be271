"""Other settings for a server that runs: each of them in place at once, or nothing where there is a fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from twisted_sip.errors import ConfigurationError
from twisted_sip.storage.batch_writer import InlineThread
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.core_settings import CoreSettings
from twisted_sip.tap.part import Part, Prepared
from twisted_sip.tap.reload import Reload, reload_logged
from twisted_sip.tap.reload_commands import reload_commands

from .reloading import HOST, SECOND, Stage, at_once

OPEN = "[auth]\nrequired = false\n"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, OPEN)
    yield made
    made.stop()


def test_nothing_has_changed(stage: Stage) -> None:
    before = stage.server.configuration
    assert stage.reload() == []
    assert stage.server.configuration == before


def test_routes(stage: Stage) -> None:
    assert stage.ask("OPTIONS", "sip:123@example.com").status == 480
    told = stage.reload(f'{OPEN}[[route]]\nuser = "1*"\nstatus = 503\nreason = "Later"\n')
    assert told == ['route[0]: nothing -> { user = "1*", status = 503, reason = "Later" }']
    assert stage.ask("OPTIONS", "sip:123@example.com").status == 503
    stage.reload(OPEN)
    assert stage.ask("OPTIONS", "sip:123@example.com").status == 480


def test_domains(stage: Stage) -> None:
    assert stage.ask("REGISTER", "sip:example.org", sender="sip:a@example.org").status != 200
    stage.domains = ["example.com", "example.org"]
    assert stage.reload() == ['server.domains: ["example.com"] -> ["example.com", "example.org"]']
    contact = "Contact: <sip:a@192.0.2.11>"
    assert stage.ask("REGISTER", "sip:example.org", contact, sender="sip:a@example.org").status == 200
    stage.domains = ["example.org"]
    stage.reload()
    assert stage.ask("REGISTER", "sip:example.com", contact).status != 200
    assert stage.server.status({})["domains"] == ["example.org"]


def test_authentication(stage: Stage) -> None:
    contact = "Contact: <sip:a@192.0.2.11>"
    assert stage.ask("REGISTER", "sip:example.com", contact).status == 200
    told = stage.reload('[auth]\nrealm = "home"\nalgorithms = ["SHA-256"]\nban_failures = 3\n')
    assert "auth.required: false -> true" in told and 'auth.realm: "" -> "home"' in told
    answer = stage.ask("REGISTER", "sip:example.com", contact)
    assert answer.status == 401
    challenge = str(answer.headers.first("www-authenticate"))
    assert 'realm="home"' in challenge and "SHA-256" in challenge
    assert stage.server.bans.settings.ban_failures == 3
    assert stage.server.user_known is not None and stage.server.user_known("sip:nobody@example.com") is False
    stage.reload(OPEN)
    assert stage.ask("REGISTER", "sip:example.com", contact).status == 200
    assert stage.server.user_known("sip:nobody@example.com") is True
    assert stage.server.user_known.is_taken("sip:nobody@example.com") is False


def test_registrar_proxy_and_limits(stage: Stage) -> None:
    stage.reload(
        f"{OPEN}[registrar]\nmin_expires = 100\n"
        '[proxy]\ntimer_c = 200\nfork = "serial"\ntrusted = ["192.0.2.11"]\n'
        "[limits]\nmax_transactions = 77\nmax_connections = 55\nrequests_per_second = 10\n"
        "[transport]\nmtu = 1000\nidle_timeout = 99\n"
    )
    short = stage.ask("REGISTER", "sip:example.com", "Contact: <sip:a@192.0.2.11>", "Expires: 60")
    assert short.status == 423 and short.headers.first("min-expires") == "100"
    server: Any = stage.server
    assert server.proxy.settings.fork == "serial" and server.trusted("192.0.2.11") and not server.trusted("192.0.2.12")
    element = server.element
    assert element.timer_values.timer_c == element.transactions.values.timer_c == 200
    assert element.transactions.max_transactions == 77 and server.gauge.settings.max_transactions == 77
    assert element.transports.connections.settings.connections == 55
    assert element.transports.settings.idle_timeout == 99 and element.sender.settings.datagram_limit == 800
    for _ in range(30):
        server.source_limits.admit("192.0.2.99")
    assert server.source_limits.refused == 20


def test_trace_and_decisions(stage: Stage) -> None:
    stage.ask("OPTIONS", "sip:example.com")
    assert len(stage.server.trace) == 1
    before = len(stage.server.decisions)
    stage.reload(f"{OPEN}[trace]\ncalls = 2\ndecisions = 50\n")
    assert len(stage.server.trace) == 1 and len(stage.server.decisions) == before
    for _ in range(4):
        stage.ask("OPTIONS", "sip:example.com")
    assert len(stage.server.trace) == 2
    stage.reload(f"{OPEN}[trace]\nenabled = false\ndecisions = 0\n")
    assert stage.server.trace is stage.server.decisions is None
    assert stage.ask("OPTIONS", "sip:example.com").status == 200
    stage.reload(OPEN)
    stage.ask("OPTIONS", "sip:example.com")
    assert len(stage.server.trace) == 1 and stage.server.element.decisions is stage.server.decisions is not None


def test_listeners(stage: Stage) -> None:
    stage.listen.append(f"udp:5070:interface={SECOND}")
    assert stage.reload()[-1] == f"opened udp {SECOND}:5070"
    assert stage.server.status({})["listening"]["udp"] == [f"{HOST}:5060", f"{SECOND}:5070"]
    stage.listen.pop()
    assert stage.reload()[-1] == f"closed udp {SECOND}:5070"
    assert stage.server.status({})["listening"]["udp"] == [f"{HOST}:5060"]


def test_what_needs_a_restart(stage: Stage) -> None:
    text = f'{OPEN}[storage]\nmax_bindings = 5\n[transport]\nbacklog = 3\n[proxy]\nfork = "none"\n'
    text += "[presence]\nmax_body = 4096\n"
    told = stage.reload(text)
    assert [line for line in told if "max_body" not in line] == [
        'proxy.fork: "parallel" -> "none"',
        "needs a restart: transport.backlog: 1024 -> 3",
        f"needs a restart: storage.max_bindings: {Configuration().storage.max_bindings} -> 5",
    ]
    assert told[-1].startswith("not used by this server: presence.max_body: ")
    assert stage.server.configuration.storage.max_bindings == Configuration().storage.max_bindings
    # It is not forgotten.
    assert stage.reload()[0] == "needs a restart: transport.backlog: 1024 -> 3"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("[proxy\n", 1),
        ('[proxy]\nfork = "sideways"\n[auth]\nrequired = 1\n[[route]]\nuser = "1"\n[nonsense]\n', 4),
        ('[tls]\ncertificate = "cert.pem"\n', 1),
    ],
)
def test_a_faulty_file_changes_nothing(stage: Stage, text: str, lines: int) -> None:
    before = stage.server.configuration
    stage.domains = ["example.net"]
    with pytest.raises(ConfigurationError) as caught:
        stage.reload(text)
    assert len(caught.value.problems) == lines
    assert all(problem.startswith("sip.toml: ") and ", " in problem for problem in caught.value.problems)
    assert stage.server.configuration is before
    assert stage.ask("REGISTER", "sip:example.com", "Contact: <sip:a@192.0.2.11>").status == 200


def test_a_listener_that_cannot_be_opened_changes_nothing(stage: Stage) -> None:
    before, settings = stage.server.configuration, stage.server.element.transports.settings
    stage.listen = [f"udp:5080:interface={HOST}", "tcp:5060:interface=192.0.2.77"]
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.77 is no address of this host, choose one that is"):
        stage.reload('[proxy]\nfork = "none"\n[transport]\nmtu = 999\n')
    assert stage.server.configuration is before and stage.server.element.transports.settings is settings
    assert stage.server.proxy.settings.fork == "parallel"
    assert [str(address) for address in stage.node.sockets] == [f"{HOST}:5060"]
    assert stage.ask("REGISTER", "sip:example.com", "Contact: <sip:a@192.0.2.11>").status == 200


def test_a_dry_run(stage: Stage) -> None:
    before = stage.server.configuration
    stage.listen.append(f"tcp:5070:interface={HOST}")
    told = stage.reload('[proxy]\nfork = "none"\n', dry_run=True)
    assert 'proxy.fork: "parallel" -> "none"' in told and f"opened tcp {HOST}:5070" in told
    assert stage.server.configuration is before and stage.server.proxy.settings.fork == "parallel"
    assert list(map(str, stage.node.listeners)) == [f"{HOST}:5060"]
    stage.listen = ["udp:5060:interface=192.0.2.77"]
    with pytest.raises(ConfigurationError):
        stage.reload(dry_run=True)


class Lamp(Part):
    """A part that takes over the section messaging, and refuses 13 devices."""

    sections = ("messaging",)
    fixed = ("messaging.lifetime",)

    def __init__(self) -> None:
        self.steps: list[str] = []

    def reload(self, server: Any, configuration: Configuration) -> Prepared | None:
        devices = configuration.messaging.max_devices
        if devices == 13:
            raise ConfigurationError(["messaging.max_devices: 13 brings bad luck, write 12"])
        self.steps.append(f"prepared {devices}")
        lifetime = configuration.messaging.lifetime
        return Prepared(
            lambda: self.steps.append(f"committed {devices} {lifetime}"),
            lambda: self.steps.append(f"rolled back {devices}"),
        )


class Stone(Part):
    """A part that takes nothing over."""

    sections = ("lists",)


def test_parts(tmp_path: Path) -> None:
    lamp = Lamp()
    stage = Stage(tmp_path, parts=[lamp, Stone()])
    lifetime = stage.server.configuration.messaging.lifetime
    told = stage.reload("[messaging]\nmax_devices = 5\nlifetime = 77\n[lists]\nmax_depth = 3\n")
    assert told[0].startswith("messaging.max_devices: ") and len(told) == 3
    assert told[1].startswith("needs a restart: lists.max_depth: ")
    assert told[2].startswith("needs a restart: messaging.lifetime: ")
    assert lamp.steps == ["prepared 5", f"committed 5 {lifetime}"]
    assert stage.server.configuration.lists == Configuration().lists
    # Faults of all are told, and nobody keeps anything.
    stage.listen.append("udp:5070:interface=192.0.2.77")
    with pytest.raises(ConfigurationError) as caught:
        stage.reload("[messaging]\nmax_devices = 13\n")
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigurationError):
        stage.reload("[messaging]\nmax_devices = 6\n")
    assert lamp.steps[2:] == ["prepared 6", "rolled back 6"]
    stage.stop()


def test_a_commit_that_fails_does_not_stop_the_others(tmp_path: Path, caplog: Any) -> None:
    class Broken(Part):
        sections = ("lists",)

        def reload(self, server: Any, configuration: Configuration) -> Prepared | None:
            return Prepared(lambda: 1 / 0)

    lamp = Lamp()
    stage = Stage(tmp_path, parts=[Broken(), lamp])
    stage.reload("[messaging]\nmax_devices = 5\n")
    assert lamp.steps[-1].startswith("committed 5")
    stage.stop()


def test_every_section_belongs_to_somebody() -> None:
    """Who adds a section says here who takes it over, or it would be called unused."""
    from twisted_sip.tap.server_log import ServerLog

    owners = [CoreSettings, ServerLog, *_parts(Part)]
    claimed = {section for owner in owners for section in owner.sections}
    sections = {field.name for field in attrs.fields(Configuration)}
    assert sections - claimed == set()
    for owner in owners:
        assert {key.partition(".")[0] for key in owner.fixed} <= set(owner.sections), owner


def _parts(cls: type[Part]) -> list[type[Part]]:
    import importlib
    import pkgutil

    import twisted_sip.tap

    for module in pkgutil.iter_modules(twisted_sip.tap.__path__):
        if module.name.endswith("_part"):
            importlib.import_module(f"twisted_sip.tap.{module.name}")
    return [one for one in cls.__subclasses__() if one.__module__.startswith("twisted_sip.tap.")]


def test_a_server_that_does_not_run(stage: Stage, tmp_path: Path) -> None:
    from twisted_sip.tap.composition import Server

    idle = Server(stage.node, stage.read())
    with pytest.raises(ConfigurationError, match="does not run"):
        idle.reload()
    # Without a file there is nothing to read.
    stage.server.reread = lambda: stage.server.configuration
    assert stage.reload() == []


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_sip.tap.reload.WriterThread", lambda reactor, name: InlineThread())


def test_the_command(stage: Stage, inline: None) -> None:
    def command(request: Any) -> Any:
        found: list[Any] = []
        reload_commands(stage.server.reload_soon)["reload"](request).addBoth(found.append)
        return found[0]

    stage.text = '[proxy]\nfork = "none"\n'
    dry = command({"dry_run": True})
    assert dry["dry_run"] and dry["faults"] == [] and stage.server.proxy.settings.fork == "parallel"
    found = command({})
    assert found["changed"][0]["key"] == "auth.required" and stage.server.proxy.settings.fork == "none"
    assert found["changed"][1] == {"key": "proxy.fork", "before": '"parallel"', "after": '"none"'}
    stage.text = "[proxy]\nfork = 1\n"
    assert [fault.split(": ")[1] for fault in command({})["faults"]] == ["proxy.fork"]


def test_for_the_log(stage: Stage, inline: None) -> None:
    done: list[bool] = []
    reload_logged(stage.server).addCallback(done.append)
    stage.text = "[proxy]\nfork = 1\n"
    reload_logged(stage.server).addCallback(done.append)
    assert done == [True, False]
    assert not Reload() and Reload(opened=("udp 1",))


def test_what_would_bring_a_part(stage: Stage) -> None:
    """A part that is not there cannot say that it needs a restart."""
    told = stage.reload(f"{OPEN}[metrics]\nenabled = {str(not Configuration().metrics.enabled).lower()}\n")
    assert [line.partition(": ")[0] for line in told] == ["needs a restart"]
