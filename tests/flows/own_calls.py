"""An agent that tells others of its calls: its calls as an ICallTracker, and a notifier behind it (RFC 4235)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from twisted_sip.agent.call_events import Answered, CallEvent, Ended, Progress
from twisted_sip.events.dialog_package import DialogPackage, DialogView
from twisted_sip.events.notifier import Notifier
from twisted_sip.interfaces.calls import CONFIRMED, EARLY, TERMINATED, Call, ICallTracker
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore


@implementer(ICallTracker)
class OwnCalls:
    """The calls of *agent*, to be watched by everybody; also its listener."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        self.known: dict[Any, Call] = {}
        self.observers: list[Callable[[Call], None]] = []
        agent.listener = self
        element = agent.element
        self.notifier = Notifier(element, MemorySubscriptionStore(agent.node), claims_all=True)
        self.notifier.add(
            DialogPackage(
                self, agent.node, authorize=lambda resource, watcher: DialogView.COMPLETE, granted=DialogView.COMPLETE
            )
        )
        element.chain.append(self.notifier)
        self.notifier.start()

    def calls(self) -> list[Call]:
        return list(self.known.values())

    def of(self, aor: str) -> list[Call]:
        return self.calls()

    def observe(self, observer: Callable[[Call], None]) -> Callable[[], None]:
        self.observers.append(observer)
        return lambda: self.observers.remove(observer)

    def call_event(self, call: Any, event: CallEvent) -> None:
        if isinstance(event, Progress | Answered) and call.dialog is not None:
            record = self.known.get(call)
            if record is None:
                record = self.known[call] = self._record(call)
            record.state = CONFIRMED if isinstance(event, Answered) else EARLY
        elif isinstance(event, Ended) and call in self.known:
            record = self.known.pop(call)
            record.state, record.event = TERMINATED, "bye"
        else:
            return
        record.revision += 1
        for observer in list(self.observers):
            observer(record)

    def _record(self, call: Any) -> Call:
        dialog = call.dialog
        ours = (dialog.id.local_tag, self.agent.uri, call.local, f"<{self.agent.uri}>")
        theirs = (dialog.id.remote_tag, "", call.remote, f"<{dialog.remote_target}>")
        caller, callee = (ours, theirs) if call.outgoing else (theirs, ours)
        return Call(
            call.id,
            caller[0],
            callee[0],
            caller[1],
            callee[1],
            caller[2],
            callee[2],
            caller[3],
            callee[3],
            self.agent.node.seconds(),
            0,
            "",
            "",
            self.agent.node.seconds() + 3600.0,
        )
