"""What becomes of each torture message of RFC 4475 and RFC 5118: the one table behind the tests and docs/torture.md.

Written in short:

- at the parser: ``ok``, a status with the words that its reason has, or ``dropped`` for a response that is refused;
- the full check: the same after every header field has been read (parser.check_all);
- an answer: the status of the final response with words of its reason, ``forwarded`` if it went through the phone
  behind the server, ``none``, ``+`` before a second answer. Over a stream ``closed`` says that the server closes the
  connection at once, and ``waits`` that it waits for more octets and closes the connection when none come; else the
  stream goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

MESSAGES = Path(__file__).parent


class Verdict(NamedTuple):
    """One message and what becomes of it.

    :ivar message: folder and name of its file.
    :ivar section: where its RFC tells about it.
    :ivar says: what the RFC asks for, in short.
    :ivar parser: the verdict of parse_message.
    :ivar full: the verdict of check_all.
    :ivar udp: the answer of a server without authentication whose called users are registered, over UDP.
    :ivar tcp: the same over TCP.
    :ivar auth_udp: the answer of a server with authentication and no user registered, over UDP.
    :ivar auth_tcp: the same over TCP.
    """

    message: str
    section: str
    says: str
    parser: str
    full: str
    udp: str
    tcp: str
    auth_udp: str
    auth_tcp: str

    @property
    def name(self) -> str:
        """The name that the RFC gives it."""
        return self.message.partition("/")[2]

    @property
    def data(self) -> bytes:
        """The message, bit by bit as in the archive of its RFC."""
        return (MESSAGES / f"{self.message}.dat").read_bytes()


def _row(
    message: str, section: str, says: str, parser: str, full: str, udp: str,
    *, tcp: str = "", auth_udp: str = "", auth_tcp: str = "",
) -> Verdict:  # fmt: skip
    """Return a row in which TCP is like UDP, and authentication changes nothing, unless it is said."""
    return Verdict(
        message, section, says, parser, full, udp, tcp or udp, auth_udp or udp, auth_tcp or auth_udp or tcp or udp
    )


# fmt: off
VERDICTS = (
    _row("rfc4475/wsinv", "3.1.1.1",
         "well-formed for all elements; unknown header fields go on unchanged",
         "ok", "ok", "200 forwarded", auth_udp="407"),
    _row("rfc4475/intmeth", "3.1.1.2",
         "a proxy that knows the URI forwards it, others answer 404; % is no escape in a method",
         "ok", "ok", "200 forwarded", auth_udp="407"),
    _row("rfc4475/esc01", "3.1.1.3",
         "well-formed; escapes in URIs stand for the characters, and are undone once",
         "ok", "ok", "403"),
    _row("rfc4475/escnull", "3.1.1.4",
         "registers two distinct contacts of an address-of-record that is not cut short",
         "ok", "ok", "200", auth_udp="401"),
    _row("rfc4475/esc02", "3.1.1.5",
         "well-formed; no REGISTER, two contacts; forwarded or refused by what the Request-URI means",
         "ok", "ok", "404", auth_udp="401"),
    _row("rfc4475/lwsdisp", "3.1.1.6",
         "accepted as well-formed",
         "ok", "ok", "200 forwarded", auth_udp="407"),
    _row("rfc4475/longreq", "3.1.1.7",
         "well-formed",
         "ok", "ok", "200 forwarded", auth_udp="480"),
    _row("rfc4475/dblreq", "3.1.1.8",
         "the REGISTER is handled, the octets behind it are noise over UDP",
         "ok", "ok", "200", tcp="200 + 480, closed", auth_udp="401", auth_tcp="401 + 480, closed"),
    _row("rfc4475/semiuri", "3.1.1.9",
         "the user part is user;par=u@example.net",
         "ok", "ok", "200 forwarded", auth_udp="480"),
    _row("rfc4475/transports", "3.1.1.10",
         "well-formed; all Via values but the first are as good as UDP",
         "ok", "ok", "200 forwarded", auth_udp="407"),
    _row("rfc4475/mpart01", "3.1.1.11",
         "well-formed and framed right, NUL octets included (its Route leads past this server)",
         "ok", "ok", "403", auth_udp="407"),
    _row("rfc4475/unreason", "3.1.1.12",
         "well-formed response",
         "ok", "ok", "none"),
    _row("rfc4475/noreason", "3.1.1.13",
         "well-formed response",
         "ok", "ok", "none"),
    _row("rfc4475/badinv01", "3.1.2.1",
         "400",
         "400 Via", "400 Via", "400 Via"),
    _row("rfc4475/clerr", "3.1.2.2",
         "400 over UDP; over a stream wait, and close if nothing comes",
         "400 Content-Length", "400 Content-Length", "400 Content-Length", tcp="none, waits"),
    _row("rfc4475/ncl", "3.1.2.3",
         "an error; a stream is closed",
         "400 Content-Length", "400 Content-Length", "400 Content-Length", tcp="400 Content-Length, closed"),
    _row("rfc4475/scalar02", "3.1.2.4",
         "400 for the CSeq",
         "400 CSeq", "400 CSeq", "400 CSeq"),
    _row("rfc4475/scalarlg", "3.1.2.5",
         "discarded",
         "dropped CSeq", "dropped CSeq", "none"),
    _row("rfc4475/quotbal", "3.1.2.6",
         "400",
         "400 To", "400 To", "400 To"),
    _row("rfc4475/ltgtruri", "3.1.2.7",
         "400 is always reasonable",
         "400 Request-URI", "400 Request-URI", "400 Request-URI"),
    _row("rfc4475/lwsruri", "3.1.2.8",
         "400",
         "400 Request-URI", "400 Request-URI", "400 Request-URI"),
    _row("rfc4475/lwsstart", "3.1.2.9",
         "may be rejected as malformed",
         "400 Request-URI", "400 Request-URI", "400 Request-URI"),
    _row("rfc4475/trws", "3.1.2.10",
         "may be rejected as malformed",
         "400 request line", "400 request line", "400 request line"),
    _row("rfc4475/escruri", "3.1.2.11",
         "400 is acceptable; never forwarded with them",
         "400 Request-URI", "400 Request-URI", "400 Request-URI"),
    _row("rfc4475/baddate", "3.1.2.12",
         "not rejected unless the Date matters to the element",
         "ok", "400 Date", "200 forwarded", auth_udp="480"),
    _row("rfc4475/regbadct", "3.1.2.13",
         "400 is reasonable",
         "ok", "400 Contact", "400 Contact", auth_udp="401"),
    _row("rfc4475/badaspec", "3.1.2.14",
         "400 is reasonable",
         "400 To", "400 To", "400 To"),
    _row("rfc4475/baddn", "3.1.2.15",
         "400 is always reasonable (the empty line is missing, so a stream waits for it)",
         "400 From", "400 From", "400 From", tcp="none, waits"),
    _row("rfc4475/badvers", "3.1.2.16",
         "505",
         "505", "505", "505"),
    _row("rfc4475/mismatch01", "3.1.2.17",
         "400",
         "400 CSeq", "400 CSeq", "400 CSeq"),
    _row("rfc4475/mismatch02", "3.1.2.18",
         "501, or 400",
         "501 CSeq", "501 CSeq", "501 CSeq"),
    _row("rfc4475/bigcode", "3.1.2.19",
         "dropped",
         "dropped status code", "dropped status code", "none"),
    _row("rfc4475/badbranch", "3.2.1",
         "400, or matched by the rules of RFC 2543",
         "ok", "ok", "200 forwarded", auth_udp="480"),
    _row("rfc4475/insuf", "3.3.1",
         "400",
         "400 From", "400 From", "400 From"),
    _row("rfc4475/unkscm", "3.3.2",
         "well-formed; 416",
         "ok", "ok", "416"),
    _row("rfc4475/novelsc", "3.3.3",
         "well-formed; 416 where it never means anything",
         "ok", "ok", "416"),
    _row("rfc4475/unksm2", "3.3.4",
         "well-formed; a registrar answers 400 for the To",
         "ok", "ok", "400 To"),
    _row("rfc4475/bext01", "3.3.5",
         "420 with Unsupported, as a proxy for Proxy-Require",
         "ok", "ok", "420"),
    _row("rfc4475/invut", "3.3.6",
         "well-formed; a proxy forwards it",
         "ok", "ok", "200 forwarded", auth_udp="480"),
    _row("rfc4475/regaut01", "3.3.7",
         "401 with a new challenge, or ignored by a registrar that asks for nothing",
         "ok", "ok", "200", auth_udp="401"),
    _row("rfc4475/multi01", "3.3.8",
         "400",
         "400 From", "400 From", "400 From"),
    _row("rfc4475/mcl01", "3.3.9",
         "an error; a stream is closed",
         "400 Content-Length", "400 Content-Length", "400 Content-Length", tcp="400 Content-Length, closed"),
    _row("rfc4475/bcast", "3.3.10",
         "well-formed; dropped, never sent to the broadcast address",
         "ok", "ok", "none"),
    _row("rfc4475/zeromf", "3.3.11",
         "483 from a proxy",
         "ok", "ok", "483"),
    _row("rfc4475/cparam01", "3.3.12",
         "succeeds; unknownparam is no URI parameter of the binding",
         "ok", "ok", "200", auth_udp="401"),
    _row("rfc4475/cparam02", "3.3.13",
         "succeeds; unknownparam is a URI parameter of the binding",
         "ok", "ok", "200", auth_udp="401"),
    _row("rfc4475/regescrt", "3.3.14",
         "succeeds; the escaped Route stays in the contact",
         "ok", "ok", "200", auth_udp="401"),
    _row("rfc4475/sdp01", "3.3.15",
         "for the endpoint to refuse (406 or 400); a proxy forwards it",
         "ok", "ok", "200 forwarded", auth_udp="480"),
    _row("rfc4475/inv2543", "3.4.1",
         "accepted over UDP; a stream cannot do without Content-Length",
         "ok", "ok", "200 forwarded",
         tcp="400 Content-Length, closed", auth_udp="480", auth_tcp="400 Content-Length, closed"),
    _row("rfc5118/ipv6-good", "4.1",
         "well-formed",
         "ok", "ok", "200", auth_udp="401"),
    _row("rfc5118/ipv6-bad", "4.2",
         "400",
         "ok", "400 Request-URI", "400 Request-URI"),
    _row("rfc5118/port-ambiguous", "4.3",
         "well-formed; the port is part of the address (which is not this server's)",
         "ok", "ok", "500", auth_udp="407"),
    _row("rfc5118/port-unambiguous", "4.4",
         "well-formed; port 5070 (which is not this server's)",
         "ok", "ok", "500", auth_udp="407"),
    _row("rfc5118/via-received-param-with-delim", "4.5",
         "must be parsed",
         "ok", "ok", "404", auth_udp="401"),
    _row("rfc5118/via-received-param-no-delim", "4.5",
         "must be parsed",
         "ok", "ok", "200", auth_udp="401"),
    _row("rfc5118/ipv6-in-sdp", "4.6",
         "well-formed (it announces 17 octets more than it has, so a stream waits for them)",
         "ok", "ok", "200 forwarded", tcp="none, waits", auth_udp="407", auth_tcp="none, waits"),
    _row("rfc5118/mult-ip-in-header", "4.7",
         "well-formed (a BYE of no dialog that went through this server)",
         "ok", "ok", "403"),
    _row("rfc5118/mult-ip-in-sdp", "4.8",
         "well-formed (8 octets behind the announced length begin a next message in a stream)",
         "ok", "ok", "200 forwarded", tcp="200 forwarded, waits", auth_udp="407", auth_tcp="407, waits"),
    _row("rfc5118/ipv4-mapped-ipv6", "4.9",
         "well-formed (9 octets behind the announced length begin a next message in a stream)",
         "ok", "ok", "200 forwarded", tcp="200 forwarded, waits", auth_udp="480", auth_tcp="480, waits"),
    _row("rfc5118/ipv6-bug-abnf-3-colons", "4.10",
         "tolerated like the one with two colons",
         "ok", "ok", "500", auth_udp="407"),
    _row("rfc5118/ipv6-correct-abnf-2-colons", "4.10",
         "well-formed",
         "ok", "ok", "500", auth_udp="407"),
)
# fmt: on

#: The same by name.
BY_NAME = {verdict.name: verdict for verdict in VERDICTS}
