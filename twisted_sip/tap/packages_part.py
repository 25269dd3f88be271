"""The event packages beside presence, as a part of a server: reg, dialog (busy lamps), message-summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from twisted_sip.calls.settings import CallTrackerSettings
from twisted_sip.calls.tracker import CallTracker
from twisted_sip.documents.permissions import SubHandling
from twisted_sip.element.element import Element
from twisted_sip.events.dialog_package import DialogPackage, DialogView
from twisted_sip.events.message_summary_package import MessageSummaryPackage, stored_messages
from twisted_sip.events.reg_package import RegPackage
from twisted_sip.tap.part import Part
from twisted_sip.tap.presence_part import PresencePart

if TYPE_CHECKING:
    from twisted_sip.interfaces.routing import IForwardingPolicy
    from twisted_sip.tap.composition import Server


class PackagesPart(Part):
    """The part: stands behind the presence part, whose notifier serves its packages.

    :ivar calls: the calls that pass, None before the start and where nothing is forwarded.
    :ivar summaries: what waits for users; a program may add to it (voicemail); None before the start.
    """

    def __init__(self, presence: PresencePart) -> None:
        self._presence = presence
        self.calls: CallTracker | None = None
        self.summaries: MessageSummaryPackage | None = None
        self._stops: list[Any] = []

    def open_stores(self, server: Server, directory: Path) -> None:
        """The presence part has opened them."""

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        notifier, messages = self._presence.notifier, self._presence.messages
        assert notifier is not None and messages is not None and server.location is not None
        reactor = server.reactor
        if server.registers:
            registrar = server.registrar
            registrations = RegPackage(
                server.location, reactor, gruus=None if registrar is None else registrar.gruus_of
            )
            notifier.add(registrations)
            self._stops.append(registrations.stop)
        if server.forwards:
            # A call without session timer whose ends have both died is over when its record says so.
            most = CallTrackerSettings(max_duration=server.configuration.accounting.max_duration)
            self.calls = CallTracker(reactor, element.domains.is_local_uri, most)
            lamps = DialogPackage(self.calls, reactor, authorize=self._view)
            notifier.add(lamps)
            assert self._presence.presence is not None
            self._presence.presence.guarded = (lamps.event,)
            self._stops += [lamps.stop, self.calls.stop]
        self.summaries = MessageSummaryPackage(counts=stored_messages(messages))
        notifier.add(self.summaries)
        self._stops.append(messages.observe(self.summaries.changed))
        if self._presence.lists is not None:
            # Lists of lamps and of mailboxes, too.
            self._presence.lists.add_known()
        return ()

    def _view(self, resource: str, watcher: str) -> DialogView | Deferred[DialogView]:
        """Decide about a lamp: whoever may see the presence of a user may see whether the user is in a call, and no
        more. Watchers of other domains have proved nothing."""
        presence = self._presence.presence
        if presence is None:
            return DialogView.NONE
        handling = presence.handling_of(resource, watcher)
        if isinstance(handling, Deferred):
            return handling.addCallback(_VIEWS.__getitem__)
        return _VIEWS[handling]

    def policies(self) -> Sequence[IForwardingPolicy]:
        return () if self.calls is None else (self.calls,)

    def counts(self) -> Mapping[str, Any]:
        return {} if self.calls is None else {"calls": len(self.calls), "calls not tracked": self.calls.untracked}

    async def close(self) -> None:
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()
        self.calls = self.summaries = None


#: What watchers see of lamps by what the presence rules make of them (RFC 5025 section 3.2.1).
_VIEWS = {
    SubHandling.ALLOW: DialogView.STATES,
    SubHandling.POLITE_BLOCK: DialogView.IDLE,
    SubHandling.CONFIRM: DialogView.NONE,
    SubHandling.BLOCK: DialogView.NONE,
}
