"""A menu over the phone: 1 plays a tone, 2 sends back what you say, 0 hangs up: ``python examples/ivr.py PORT``."""

from argparse import ArgumentParser
from typing import Any

from twisted.internet import reactor

from twisted_sip.agent.call_events import DTMF
from twisted_sip.agent.compose import StandaloneAgent, user_agent
from twisted_sip.media.tones import tone


class Menu(StandaloneAgent):
    async def incoming_call(self, call: Any) -> None:
        await call.answer()
        async for event in call.events():
            if not isinstance(event, DTMF):
                continue
            if event.digit == "1":
                call.play(tone("ringback"))
            elif event.digit == "2":
                call.stop_playing()
                call.echo()
            elif event.digit == "0":
                call.hangup("goodbye")


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("port", type=int)
    port = parser.parse_args().port
    menu = user_agent(reactor, f"udp:{port}", agent=Menu)
    menu.startService()
    reactor.addSystemEventTrigger("before", "shutdown", menu.stopService)
    print(f"listening on port {port}", flush=True)
    reactor.run()
