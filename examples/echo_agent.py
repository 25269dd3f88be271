"""A phone that answers every call and sends back what it hears: ``python examples/echo_agent.py PORT``."""

import sys
from typing import Any

from twisted.internet import reactor

from twisted_sip.agent.compose import StandaloneAgent, user_agent


class Echo(StandaloneAgent):
    async def incoming_call(self, call: Any) -> None:
        await call.answer()
        call.echo()


def serve(reactor: Any, port: int) -> None:
    agent = user_agent(reactor, f"udp:{port}", f"tcp:{port}", agent=Echo)
    agent.startService()
    reactor.addSystemEventTrigger("before", "shutdown", agent.stopService)


if __name__ == "__main__":
    serve(reactor, int(sys.argv[1]))
    print(f"listening on port {sys.argv[1]}", flush=True)
    reactor.run()
