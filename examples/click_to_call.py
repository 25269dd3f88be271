"""A web endpoint that connects two phones: ``curl -d 'a=sip:...&b=sip:...' http://127.0.0.1:8080/``.

``python examples/click_to_call.py SIP_PORT HTTP_PORT``; for this machine alone, since it asks nobody for a password.
"""

from argparse import ArgumentParser

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.element.element import Element


class Click(Resource):
    isLeaf = True

    def render_POST(self, request: Request) -> int:
        def tell(status: int, text: str) -> None:
            request.setResponseCode(status)
            if request.channel is not None:  # Who has asked is still there.
                request.write(f"{text}\n".encode())
                request.finish()

        try:
            call = b2bua.click_to_call(*(request.args[name][0].decode() for name in (b"a", b"b")))
        except (LookupError, ValueError) as error:
            tell(400, f"a=SIP_URI&b=SIP_URI is wanted: {error}")
        else:
            call.connected.addCallbacks(lambda _: tell(200, "connected"), lambda no: tell(502, no.value.reason))
        return NOT_DONE_YET


parser = ArgumentParser(usage="%(prog)s SIP_PORT HTTP_PORT")
parser.add_argument("ports", type=int, nargs=2)
sip_port, http_port = parser.parse_args().ports
b2bua = B2BUA(element := Element(reactor))
element.transports.listen(f"udp:{sip_port}:interface=127.0.0.1")
b2bua.startService()
web = endpoints.serverFromString(reactor, f"tcp:{http_port}:interface=127.0.0.1").listen(Site(Click()))
web.addCallback(lambda port: print(f"http://127.0.0.1:{port.getHost().port}/", flush=True))
reactor.run()
