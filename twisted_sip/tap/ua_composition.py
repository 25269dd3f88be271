"""Puts ``twistd sip-ua`` together: element, media, lines, answers, message summaries, control socket."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip import __version__
from twisted_sip.agent.account import Account
from twisted_sip.agent.call_events import CallState
from twisted_sip.agent.compose import BuiltInMedia
from twisted_sip.agent.policed_calls import PolicedCalls
from twisted_sip.agent.registration_terms import RegistrationSettings
from twisted_sip.agent.served_dialogs import ProvedWatchers, resource_of
from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.element.element import Element
from twisted_sip.element.limits import SourceLimits
from twisted_sip.element.trace import Trace
from twisted_sip.errors import ConfigurationError, StoreError
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.storage.call_policy_sqlite import SQLiteCallPolicyStore
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.storage.users_database import USERS_FILE
from twisted_sip.tap import state
from twisted_sip.tap.answer_texts import read_answer
from twisted_sip.tap.control import Command, ControlSocket
from twisted_sip.tap.control_commands import trace_commands
from twisted_sip.tap.hosts import check_bindable, host_names
from twisted_sip.tap.policy_commands import policy_commands
from twisted_sip.tap.registration_log import RegistrationLog
from twisted_sip.tap.reload import Follower, Reload, reload, reread
from twisted_sip.tap.reload_commands import reload_commands
from twisted_sip.tap.startup import StartFailure
from twisted_sip.tap.status import element_counts, listening
from twisted_sip.tap.transport_settings import transport_settings
from twisted_sip.tap.ua_agent import AnsweringAgent, LineAnswers
from twisted_sip.tap.ua_lines import Answers, line_credentials, line_instances, line_password
from twisted_sip.tap.ua_reload import UASettings, with_listen
from twisted_sip.tap.ua_sections import LineSection, UAConfiguration, listened_on, with_servers
from twisted_sip.tap.voicemail_summaries import VoicemailSummaries

_log = Logger()

#: Seconds between two looks at the mailboxes: messages are fetched by other programs.
_LOOK = 10.0


class UAServer(MultiService):
    """The whole of ``twistd sip-ua``: start it and it registers and answers, stop it and nothing of it is left.

    :ivar configuration: the settings.
    :ivar agent: the user agent, None before the first start.
    :ivar element: its element.
    :ivar limits: the rates of those who send.
    :ivar reread: gives the configuration as it is written now, and raises ConfigurationError with its faults;
        :meth:`reload` asks, and :meth:`reload_soon` in a thread.
    :ivar log_settings: follows ``[log]``, None where the log is somebody else's.
    """

    def __init__(self, reactor: Any, configuration: UAConfiguration) -> None:
        """Make one that is not started.

        :raises ConfigurationError: a file that the configuration names cannot be used.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.reactor = reactor
        self.configuration = configuration
        self.element: Element | None = None
        self.agent: AnsweringAgent | None = None
        section = configuration.answer
        self._answers = Answers(section, configuration.voicemail, reactor.seconds)
        self._turn_passwords = [line_password(server) for server in configuration.turn]
        self._passwords = [line_password(line) for line in configuration.line]
        self._other = (self._answers.make(read_answer(section.answer, Path())), section.ring)
        self._of_lines = [self._answer_of(line) for line in configuration.line]
        limits = configuration.limits
        self.limits = SourceLimits(limits, reactor.seconds)
        self.reread: Callable[[], UAConfiguration] = lambda: self.configuration
        self.reloads = DeferredLock()
        self.log_settings: Follower | None = None
        trace = configuration.trace
        self._trace: Trace | None = None
        if trace.enabled:
            self._trace = Trace(reactor.seconds, trace.calls, trace.messages_per_call, trace.memory)
        self._policies: SQLiteCallPolicyStore | None = None
        self._notifier: Notifier | None = None
        self._media: BuiltInMedia | None = None
        self._registrations: dict[str, RegistrationLog] = {}
        self._loop: LoopingCall | None = None
        self._started = 0.0

    def _answer_of(self, line: LineSection) -> tuple[Any, float]:
        answer, ring = self._other
        if line.answer:
            answer = self._answers.make(read_answer(line.answer, Path()))
        return answer, ring if line.ring < 0 else line.ring

    # -- start -----------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Open the ports.

        :raises StartFailure: with one line for each reason.
        """
        if self.element is not None:
            return
        configuration = self.configuration
        section = configuration.server
        state.prepare(section.state_dir)
        listen = listened_on(configuration)
        try:
            check_bindable("media.host", configuration.media.host)
            element = Element(
                self.reactor,
                transport_settings=transport_settings(with_listen(configuration, listen), host_names()),
                max_transactions=configuration.limits.max_transactions,
                admit=self.limits.admit,
            )
            element.transports.listen(*listen)
        except ConfigurationError as error:
            raise StartFailure("\n".join(error.problems)) from error
        self.element = element
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Register, and begin to answer.

        :raises StartFailure: with one line for each reason; nothing is left open then.
        """
        self.privilegedStartService()
        element = self.element
        assert element is not None
        directory = self.configuration.server.state_dir
        try:
            # Not before: who goes on as another user has become that by now.
            self._answers.prepare()
            self._policies = SQLiteCallPolicyStore(directory / USERS_FILE, self.reactor)
            self._compose(element, directory)
            super().startService()  # type: ignore[no-untyped-call]
        except (StartFailure, StoreError) as error:
            Deferred.fromCoroutine(self._let_go()).addErrback(_failed)
            raise StartFailure(str(error)) from error
        self._started = self.reactor.seconds()
        for transport, addresses in listening(element).items():
            _log.info("listening over {transport} on {addresses}", transport=transport, addresses=", ".join(addresses))

    def _compose(self, element: Element, directory: Path) -> None:
        configuration = self.configuration
        dialogs = Dialogs(max(10_000, 2 * configuration.agent.max_calls))
        self._media = BuiltInMedia(self.reactor, with_servers(configuration, self._turn_passwords))
        lines = LineAnswers(self._other, longest=configuration.answer.longest)
        agent = self.agent = AnsweringAgent(
            element,
            settings=configuration.agent,
            media=self._media,
            listener=PolicedCalls(
                lines, self._policies, self.reactor.seconds, busy_at=configuration.answer.max_calls_per_line
            ),
            subscriber=Subscriber(element, dialogs=dialogs),
        )
        agent.lines = lines
        voicemail = configuration.voicemail
        summaries = VoicemailSummaries(voicemail.watchers, voicemail.trust_everybody)
        notifier = self._notifier = Notifier(
            element,
            MemorySubscriptionStore(self.reactor),
            settings=NotifierSettings(max_subscriptions=1000, max_per_watcher=100, max_per_resource=100),
            dialogs=dialogs,
            claims_all=True,
            resource_of=lambda uri: resource_of(agent, uri),
        )
        notifier.add(summaries)
        if agent.settings.dialog_watchers != "nobody":
            agent.serve_dialogs(notifier)
        self._register(agent, directory, lines, summaries)
        self._answers.changed = summaries.messages_changed
        element.chain[:] = [ProvedWatchers(agent, dialogs), notifier]
        notifier.start().addErrback(_failed)
        if self._trace is not None:
            element.message_sent = self._trace.sent
            element.message_seen = self._trace.seen
        if self._answers.machines:
            self._watch_mailboxes(summaries)
        agent.setServiceParent(self)  # type: ignore[no-untyped-call]
        commands: dict[str, Command] = {"status": self.status, "calls": self.calls, **trace_commands(self._trace)}
        commands |= policy_commands(self._policies) | reload_commands(self.reload_soon)
        ControlSocket(self.reactor, directory, commands).setServiceParent(self)  # type: ignore[no-untyped-call]

    def _register(
        self, agent: AnsweringAgent, directory: Path, lines: LineAnswers, summaries: VoicemailSummaries
    ) -> None:
        given = self.configuration.line
        instances = line_instances(directory, [line.aor for line in given]) if given else {}
        assert self.element is not None
        for line, password, (answer, ring) in zip(given, self._passwords, self._of_lines, strict=True):
            credentials = line_credentials(line, password, self.element.random_text)
            registration = agent.register(
                line.aor,
                credentials=credentials,
                registrar=line.registrar or None,
                outbound_proxies=line.proxies,
                instance=instances[line.aor],
                settings=RegistrationSettings(expires=line.expires),
            )
            account = agent.accounts[-1]
            lines.add(account, answer, ring)
            self._registrations[line.aor] = log = RegistrationLog(registration, credentials)
            registration.observe(log)
            self._keep_mailbox(account, answer, summaries)

    def _keep_mailbox(self, account: Account, answer: Any, summaries: VoicemailSummaries) -> None:
        mailbox = getattr(answer, "mailbox", None)
        if mailbox is not None:
            summaries.add(account, mailbox)

    def _watch_mailboxes(self, summaries: VoicemailSummaries) -> None:
        known: dict[Path, Any] = {}

        def look() -> None:
            found = {path: machine.mailbox.counts() for path, machine in self._answers.machines.items()}
            if known and found != known:
                summaries.messages_changed()
            known.update(found)

        loop = self._loop = LoopingCall(look)
        loop.clock = self.reactor
        loop.start(_LOOK).addErrback(_failed)

    # -- while it runs ----------------------------------------------------------------------------

    def when_running(self, function: Any, *args: Any) -> None:
        """Call *function* when the reactor runs; at once if it does."""
        self.reactor.callWhenRunning(function, *args)

    def followers(self) -> list[Follower]:
        """Return who has settings that may change while it runs."""
        return [UASettings(), *([] if self.log_settings is None else [self.log_settings])]

    def reload(self, dry_run: bool = False) -> Reload:
        """Take over the settings that :attr:`reread` gives, as a server does; calls in progress go on.

        :raises ConfigurationError: with every fault; nothing has changed then.
        """
        return reload(self, self.reread(), dry_run=dry_run)

    def reload_soon(self, dry_run: bool = False) -> Deferred[Reload]:
        """Do what :meth:`reload` does, with :attr:`reread` called in a thread: requests go on meanwhile.

        :returns: fires with what has changed, or fails with ConfigurationError.
        """
        return reread(self, dry_run)

    def status(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return how it is doing, for the control socket."""
        agent, element = self.agent, self.element
        assert agent is not None and element is not None
        return {
            "version": __version__,
            "pid": os.getpid(),
            "time": time.time(),
            "uptime": self.reactor.seconds() - self._started,
            "domains": [],
            "realm": "",
            "lines": {str(one.aor): one.state.value for one in agent.registrations},
            "listening": listening(element),
            "counts": {
                **{f"line {aor}": log.words for aor, log in self._registrations.items()},
                **_agent_counts(agent),
                "subscriptions": len(agent.subscriber)
                + (self._notifier.counts()["subscriptions"] if self._notifier else 0),
                **self._media_counts(agent),
                **element_counts(element),
                "messages refused": self.limits.refused,
            },
        }

    def _media_counts(self, agent: AnsweringAgent) -> dict[str, int]:
        planes = [] if self._media is None else list(self._media.planes.values())
        refused = sum(call.statistics().packets_refused for call in agent.calls)
        return {
            "media sessions": sum(len(plane.sessions) for plane in planes),
            "media ports": 2 * sum(plane.ports.pairs for plane in planes),
            "media packets refused": agent.lines.packets_refused + refused,
        }

    def calls(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the calls that are up, for the control socket."""
        assert self.agent is not None
        return [
            {
                "id": call.id,
                "state": call.state.value,
                "outgoing": call.outgoing,
                "local": call.local.uri_text,
                "remote": call.remote.uri_text,
                "seconds": round(call.seconds, 1),
                "media": attrs.asdict(call.statistics()) if call.state is CallState.ESTABLISHED else None,
            }
            for call in self.agent.calls
        ]

    # -- stop ---------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """Hang up, unregister, close; fires with None when every socket is closed."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        try:
            await super().stopService()  # type: ignore[no-untyped-call]
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        notifier, self._notifier = self._notifier, None
        if notifier is not None:
            notifier.stop()
        if self._media is not None:
            self._media.close()
        element, self.element = self.element, None
        if element is not None:
            await element.stop()
        for service in list(self):
            service.disownServiceParent()
        policies, self._policies = self._policies, None
        if policies is not None:
            policies.close()
        self.agent = None


def _agent_counts(agent: AnsweringAgent) -> dict[str, int]:
    return {"calls": len(agent.calls), "dialogs": len(agent.dialogs), "transfers": len(agent.referring)}


def _failed(failure: Failure) -> None:
    _log.failure("a task of the user agent has ended", failure)
