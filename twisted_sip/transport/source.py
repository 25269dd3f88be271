"""Where a request came from and where its responses go: received and rport (RFC 3261 section 18.2, RFC 3581)."""

from __future__ import annotations

import ipaddress

from twisted_sip.interfaces.flow import Address
from twisted_sip.message.request import Request
from twisted_sip.message.via import RPORT, Via
from twisted_sip.transport.listener import bare, is_numeric, same_host


def note_source(request: Request, source: Address) -> None:
    """Write the *source* of *request* into its topmost Via where that is due (section 18.2.1, RFC 3581 section 4).

    What the peer itself put there is overwritten: it must not choose where we send.

    :raises RemoteProtocolError: the Via cannot be read.
    """
    headers = request.headers
    via = headers.parsed.get("via") or request.top_via
    host = source.host
    if not via.besides:
        if via.host == host:
            # The usual client of old: it gives its address right and asks for nothing.
            via.reply_address = source if via.port == source.port else _reply_address(source, host, via.port)
            return
    elif via.besides == RPORT and "%" not in host:
        # The usual phone.
        noted = f";received={host};rport={source.port}"
        place = headers.names.index("via")
        headers.lines[place] = headers.lines[place].replace(RPORT, noted, 1)
        headers.parsed["via"] = via.noted(str(via).replace(RPORT, noted, 1), source)
        return
    place = headers.names.index("via")
    line = headers.lines[place]
    lower = line.lower()
    marked = "received" in lower
    asked = lower.find(";rport")
    plain = "maddr" not in lower and "%" not in host
    if asked < 0 and not marked and "rport" not in lower and same_host(via.host, host):
        if plain:
            via.reply_address = _reply_address(source, host, via.port)
        return
    scope = host.find("%")
    if scope >= 0:
        host = host[:scope]
    # The usual line is edited where it stands; anything odd takes the long way.
    if not marked and "," not in line and '"' not in line and "\r" not in line:
        edited = ""
        port = via.port
        if "rport" not in lower:
            edited = f"{line.rstrip()};received={host}"
        elif asked > 0 and line[asked + 6 : asked + 7] in ("", ";") and lower.find("rport", asked + 6) < 0:
            edited = f"{line[:asked]};received={host};rport={source.port}{line[asked + 6 :]}"
            port = source.port
        if edited:
            headers.lines[place] = edited
            reply_address = _reply_address(source, host, port) if plain else None
            headers.parsed["via"] = via.noted(edited.partition(":")[2].strip(" \t"), reply_address)
            return
    params = via.params
    wanted = "rport" in params
    if not wanted and "received" not in params and same_host(via.host, host):
        return
    via = via.with_("received", host)
    if wanted:
        via = via.with_("rport", str(source.port))
    headers.replace_first_element("via", str(via))


def _reply_address(source: Address, host: str, port: int | None) -> Address:
    """Return *host* and *port* as an address: *source* itself if that is what they say, as they mostly do."""
    port = port or 5060
    return source if port == source.port else Address(host, port)


def datagram_reply_address(via: Via) -> Address | None:
    """Return where responses to a request with the topmost *via* go over UDP, None where that takes a look-up.

    Section 18.2.2 and RFC 3581 section 4: ``maddr``, else received and rport, else received and the sent-by port. Only
    a multicast group counts as ``maddr``, which is what it is for: with any other address a client could have our
    answers sent to somebody else, and read what we tell an address that it forges (nonces above all).
    """
    if via.maddr:
        maddr = bare(via.maddr)
        if is_numeric(maddr) and ipaddress.ip_address(maddr).is_multicast:
            return Address(maddr, via.port or 5060)
    received = via.received
    if received:
        return Address(bare(received), via.rport or via.port or 5060)
    host = bare(via.host)
    return Address(host, via.port or 5060) if is_numeric(host) else None


def stream_reply_address(via: Via, source: Address, default_port: int) -> Address:
    """Return where to connect for a response if the connection of the request is gone (section 18.2.2)."""
    return Address(source.host, via.port or default_port)
