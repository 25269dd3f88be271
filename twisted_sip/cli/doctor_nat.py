"""What ``twisted-sip doctor`` finds about NAT: private addresses where somebody outside is to use them.

It looks at the bindings and at the traced messages of the running server (RFC 1918, RFC 4193, RFC 6598).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

from twisted_sip.cli.findings import Finding
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.uri import SIPURI, parse_uri

#: Connection lines of session descriptions (RFC 8866 section 5.7).
_CONNECTION = re.compile(r"^c=IN IP[46] ([^\s/]+)", re.MULTILINE)
#: Candidates of ICE that lead outside (RFC 8839 section 5.1).
_CANDIDATE = re.compile(r"^a=candidate:.* typ (?:srflx|relay)", re.MULTILINE)
_DATE = re.compile(r"^Date:[ \t]*(.+?)\r?$", re.MULTILINE | re.IGNORECASE)


@attrs.frozen(slots=True)
class Traffic:
    """What the trace shows.

    :ivar outside: an address outside from which somebody has sent, empty if there is none.
    :ivar private_sdp_in: senders outside whose session descriptions have private addresses.
    :ivar private_sdp_out: receivers outside who got such a description from us.
    :ivar skews: our time minus that in Date header fields of peers, seconds.
    """

    outside: str
    private_sdp_in: frozenset[str]
    private_sdp_out: frozenset[str]
    skews: list[float]


def is_outside(host: str) -> bool:
    """Tell whether *host* is an address of the public Internet."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_global
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Tell whether *host* is an address that nobody outside can use."""
    try:
        found = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return not found.is_global and not found.is_unspecified


def read_traffic(messages: Iterable[Mapping[str, Any]]) -> Traffic:
    """Read the traced *messages*, as the control socket gives them."""
    outside, skews = "", []
    into: set[str] = set()
    out: set[str] = set()
    for message in messages:
        host = str(message["remote"]).rpartition(":")[0].strip("[]")
        text = str(message["text"])
        sent = bool(message["sent"])
        far = is_outside(host)
        if far and not sent:
            outside = host
        head, _, body = text.partition("\r\n\r\n")
        if far and not _CANDIDATE.search(body) and any(is_private(found) for found in _CONNECTION.findall(body)):
            (out if sent else into).add(host)
        date = None if sent else _DATE.search(head)
        if date is not None:
            moment = _moment(date.group(1))
            if moment is not None:
                skews.append(float(message["time"]) - moment.timestamp())
    return Traffic(outside, frozenset(into), frozenset(out), skews)


def _moment(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None


def nat_findings(
    listening: Iterable[str], advertised: str, bindings: Iterable[Mapping[str, Any]], traffic: Traffic
) -> Iterator[Finding]:
    """Yield what is found about NAT.

    :param listening: the addresses that the server listens on, without ports.
    :param advertised: what it is told to advertise, empty if nothing.
    :param bindings: the contacts of its users, as the control socket gives them.
    """
    behind: list[str] = []
    outside = traffic.outside
    for binding in bindings:
        received = str(binding["received"]).partition(":")[2].rpartition(":")[0]
        if not is_outside(received):
            continue
        outside = outside or received
        contact = _host(str(binding["contact"]))
        if is_private(contact) and not binding.get("path"):
            behind.append(str(binding["aor"]).removeprefix("sip:"))
    subject = "NAT"
    own = list(listening)
    if outside and not advertised and own and all(map(is_private, own)):
        wrong = f"the server listens on private addresses alone, and {outside} comes from outside"
        yield Finding("error", subject, wrong, "set [server] advertise to the name or address that is reached there")
    elif advertised and is_private(advertised) and outside:
        wrong = f"{advertised} is advertised, which {outside} cannot use"
        yield Finding("error", subject, wrong, "set [server] advertise to the name or address that is reached there")
    if behind:
        shown = ", ".join(sorted(set(behind))[:3])
        yield Finding("ok", subject, f"{len(behind)} contacts are behind NAT and reached over their flows ({shown})")
    mend = "let the phones use STUN or ICE, or put twistd sip-b2bua with relayed media in the way"
    if traffic.private_sdp_in:
        shown = ", ".join(sorted(traffic.private_sdp_in)[:3])
        yield Finding(
            "warning", "media", f"{shown} asks for sound at a private address, which does not lead there", mend
        )
    if traffic.private_sdp_out:
        shown = ", ".join(sorted(traffic.private_sdp_out)[:3])
        wrong = f"{shown} was told to send sound to a private address of ours"
        yield Finding("warning", "media", wrong, mend)


def _host(contact: str) -> str:
    try:
        uri = parse_uri(contact)
    except RemoteProtocolError:
        return ""
    return uri.host if isinstance(uri, SIPURI) else ""
