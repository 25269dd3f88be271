"""A bot that answers messages to sip:echo@DOMAIN: ``python examples/answer_bot.py DOMAIN PORT``."""

import sys
from typing import Any

from twisted.internet import reactor

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.admission import AdmissionProcessor
from twisted_sip.element.element import Element
from twisted_sip.element.entry import EntryProcessor
from twisted_sip.messaging.service import MessagingService
from twisted_sip.proxy.service import ProxyService
from twisted_sip.registrar.service import RegistrarService
from twisted_sip.storage.credentials_memory import MemoryCredentialStore
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.storage.message_memory import MemoryMessageStore


class AnswerBot(MessagingService):
    def deliver(self, message: Any, incoming: Any) -> bool:
        if message.uri.user != "echo":
            return False
        self.send(str(message.uri), str(message.from_.uri), f"You said: {message.body.decode(errors='replace')}")
        return True


def serve(reactor: Any, domain: str, port: int) -> None:
    element, location = Element(reactor, domains=[domain]), MemoryLocationStore(reactor)
    trusting = Authenticator.build(MemoryCredentialStore(), AuthSettings(required=False), reactor.seconds)
    proxy = ProxyService(element, location)
    messages, target_of = MemoryMessageStore(reactor), proxy.location_router.target_of
    bot = AnswerBot(element, location, messages, target_of, authenticated=False)
    admission = AdmissionProcessor(element.domains, element.dialog_tokens, trusting)
    registrar = RegistrarService(location, reactor, element.domains.is_local_uri)
    element.chain += [EntryProcessor(element.domains), admission, registrar, bot, proxy]
    element.transports.listen(f"udp:{port}", f"tcp:{port}")
    bot.startService()


if __name__ == "__main__":
    serve(reactor, sys.argv[1], int(sys.argv[2]))
    print(f"listening on port {sys.argv[2]}", flush=True)
    reactor.run()
