"""Presence that a program knows: who stands in calendar.txt is in a meeting, and then sip:room is taken.

Run it, then watch somebody: ``python examples/calendar_presence.py example.com 5060``
"""

import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor, task

from twisted_sip.documents.pidf import Presence
from twisted_sip.presence.service import PresenceService
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration, overridden
from twisted_sip.tap.presence_part import PresencePart


class CalendarPresence(PresenceService):
    busy, etag = frozenset[str](), ""

    def compose(self, resource: str, *state: Any) -> Presence:
        made = super().compose(resource, *state)
        return made.with_person(activities=["meeting"]) if resource in self.busy else made

    async def look(self, domain: str) -> None:
        calendar = Path("calendar.txt")
        names = calendar.read_text().split() if calendar.exists() else []
        now = frozenset(f"sip:{name}@{domain}" for name in names)
        changed, self.busy = self.busy ^ now, now
        for resource in changed:
            self.state_changed(resource)
        room = Presence(f"sip:room@{domain}").with_status("closed" if now else "open", note="Taken" if now else "Free")
        self.etag = await self.publish(room.entity, room, expires=60, etag=self.etag)


if __name__ == "__main__":
    part: Any = PresencePart()
    part.presence_class = CalendarPresence
    listen = [f"udp:{sys.argv[2]}:interface=127.0.0.1"]
    configuration = overridden(Configuration(), domains=[sys.argv[1]], listen=listen, no_auth=True)
    server: Any = Server(reactor, configuration, forwards=False, parts=[part])
    server.startService()
    task.LoopingCall(lambda: part.presence and part.presence.look(sys.argv[1])).start(0.5)
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    print(f"listening on port {sys.argv[2]}", flush=True)
    reactor.run()
