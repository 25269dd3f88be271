"""A phone that answers every call and sends back what it hears: ``python examples/echo_agent.py PORT``."""

from argparse import ArgumentParser
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
    parser = ArgumentParser()
    parser.add_argument("port", type=int)
    port = parser.parse_args().port
    serve(reactor, port)
    print(f"listening on port {port}", flush=True)
    reactor.run()
