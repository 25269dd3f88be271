"""A web endpoint that connects two phones: ``curl -d 'a=sip:...&b=sip:...' http://127.0.0.1:8080/``.

``python examples/click_to_call.py SIP_PORT HTTP_PORT``; for this machine alone, since it asks nobody for a password.
"""

import sys

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.element.element import Element


class Click(Resource):
    isLeaf = True

    def render_POST(self, request: Request) -> int:
        a, b = (request.args[name][0].decode() for name in (b"a", b"b"))
        call = b2bua.click_to_call(a, b)
        told = call.connected.addCallbacks(lambda _: b"connected\n", lambda failure: b"%d\n" % failure.value.status)
        told.addCallback(lambda text: (request.write(text), request.finish()))
        return NOT_DONE_YET


b2bua = B2BUA(element := Element(reactor))
element.transports.listen(f"udp:{sys.argv[1]}:interface=127.0.0.1")
b2bua.startService()
web = endpoints.serverFromString(reactor, f"tcp:{sys.argv[2]}:interface=127.0.0.1").listen(Site(Click()))
web.addCallback(lambda port: print(f"http://127.0.0.1:{port.getHost().port}/", flush=True))
reactor.run()
