"""A b2bua that lets users talk for what they have paid: ``python examples/prepaid.py SIP_PORT GATEWAY``."""

import sys
from typing import Any

from twisted.internet import reactor

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.element.element import Element
from twisted_sip.errors import RemoteProtocolError

credit = {"sip:alice@example.com": 3.0}


class Prepaid(B2BUA):
    def authorize_call(self, call: Any) -> float:
        user = str(call.request.from_.uri)
        seconds = min(1.0, credit.get(user, 0.0))
        if not seconds:
            raise RemoteProtocolError("Payment Required", status=402)
        credit[user] -= seconds
        return seconds

    def route(self, call: Any) -> str:
        return sys.argv[2]


element = Element(reactor)
b2bua = Prepaid(element)
element.transports.listen(f"udp:{sys.argv[1]}:interface=127.0.0.1")
b2bua.startService()
print("ready", flush=True)
reactor.run()
