"""Records every call into a WAV file of its own: ``python examples/recording_bot.py PORT DIRECTORY``."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from twisted_sip.agent.compose import StandaloneAgent, user_agent


class Recorder(StandaloneAgent):
    directory = Path()

    async def incoming_call(self, call: Any) -> None:
        await call.answer()
        # The Call-ID comes from the caller: it must not choose where we write, nor over what.
        name = "".join(char for char in call.id if char.isalnum())[:40]
        call.record(self.directory / f"{time.time_ns()}-{name}.wav")
        end = await call.ended
        print(f"{call.remote.uri_text} {end.seconds:.1f} s", flush=True)


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("directory", type=Path)
    given = parser.parse_args()
    bot = user_agent(reactor, f"udp:{given.port}", agent=Recorder)
    bot.directory = given.directory
    bot.startService()
    reactor.addSystemEventTrigger("before", "shutdown", bot.stopService)
    print(f"listening on port {given.port}", flush=True)
    reactor.run()
