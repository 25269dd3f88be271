"""Records every call into a WAV file of its own: ``python examples/recording_bot.py PORT DIRECTORY``."""

import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from twisted_sip.agent.compose import StandaloneAgent, user_agent


class Recorder(StandaloneAgent):
    directory = Path()

    async def incoming_call(self, call: Any) -> None:
        await call.answer()
        # The Call-ID comes from the caller: it must not choose where we write.
        name = "".join(char for char in call.id if char.isalnum())[:40]
        call.record(self.directory / f"{name}.wav")
        end = await call.ended
        print(f"{call.remote.uri_text} {end.seconds:.1f} s", flush=True)


if __name__ == "__main__":
    bot = user_agent(reactor, f"udp:{sys.argv[1]}", agent=Recorder)
    bot.directory = Path(sys.argv[2])
    bot.startService()
    reactor.addSystemEventTrigger("before", "shutdown", bot.stopService)
    print(f"listening on port {sys.argv[1]}", flush=True)
    reactor.run()
