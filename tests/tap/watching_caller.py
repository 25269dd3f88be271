"""Watches the messages and the calls of a line, leaves it a message, and prints what it is told: a process of its own.

Arguments: the port of the line's agent on 127.0.0.1.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from twisted_sip.agent.compose import user_agent
from twisted_sip.documents.dialog_info import DialogInfoDocument
from twisted_sip.documents.message_summary import VOICE, Summary
from twisted_sip.media.tones import Cadence, ToneSource

#: No key, and no silence.
SPEECH = ToneSource(Cadence(((0.2, (300.0, 500.0, 1900.0)), (0.1, ())), 4))


async def main(reactor: Any, port: str) -> None:
    agent = user_agent(reactor, "udp:0:interface=127.0.0.1")
    agent.account("sip:bob@127.0.0.1")
    agent.startService()
    line = f"sip:bob@127.0.0.1:{port}"
    counted: list[int] = []
    kept: Deferred[None] = Deferred()

    def waiting(notified: Any) -> None:
        counts = Summary.parse(notified.body).counts.get(VOICE)
        counted.append(0 if counts is None else counts.new)
        print("messages", counted[-1], flush=True)
        if counted[-1] and not kept.called:
            kept.callback(None)

    def calls(notified: Any) -> None:
        dialogs = DialogInfoDocument.parse(notified.body).dialogs
        print("calls", *(f"{dialog.direction} {dialog.state}" for dialog in dialogs), flush=True)

    for event, told in (("message-summary", waiting), ("dialog", calls)):
        agent.subscriber.subscribe(line, event, from_="<sip:bob@127.0.0.1>", on_notify=told)
    await deferLater(reactor, 0.5)
    call = agent.call(line)
    await call.answered
    await call.play(SPEECH)
    await deferLater(reactor, 1.2)
    call.hangup()
    await kept.addTimeout(15, reactor)
    await deferLater(reactor, 1.2)
    await agent.stopService()
    print("done", flush=True)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, sys.argv[1])))
