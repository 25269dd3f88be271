"""Lines that hold one address: From, To, and those Contact, Route and Record-Route lines that have but one value.

RFC 3261 sections 20.10, 20.20 and 20.39. Lines repeat, and what repeats is read once; values are immutable. From and To
are kept without their tag, which is new in each call.
"""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache, partial

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.header_map import line_value
from twisted_sip.message.header_names import CANONICAL
from twisted_sip.message.kept import Kept
from twisted_sip.message.limits import SHORT
from twisted_sip.message.name_addr import NameAddr

#: A tag as it mostly is, alone behind its address.
is_plain_tag = re.compile(r"[A-Za-z0-9\-.!%*_+`'~:\[\]/?@]*+").fullmatch


def named(label: str, text: str) -> NameAddr:
    """Return the address in *text*, a value of the header field *label*.

    :raises RemoteProtocolError: it is malformed; the reason names the header field.
    """
    try:
        return NameAddr.parse(text, label)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"Malformed {label} header field: {error.reason}", header=label) from error


def address_in(label: str, line: str) -> NameAddr:
    """Return the address in *line*, a line of the header field *label*.

    :raises RemoteProtocolError: as :func:`named`.
    """
    return _address_in(label, line) if len(line) <= SHORT else named(label, line_value(line))


@lru_cache(maxsize=4096)
def _address_in(label: str, line: str) -> NameAddr:
    return named(label, line_value(line))


def party_in(label: str, line: str) -> NameAddr:
    """Return the address in *line*, a From or To line, whose tag may be new.

    :raises RemoteProtocolError: as :func:`named`.
    """
    untagged, mark, tag = line.partition(";tag=")
    address = (SENDERS if label == "From" else RECIPIENTS)[untagged]
    if address is None or not (tag.isalnum() or tag.replace("-", "").isalnum() or is_plain_tag(tag)):
        return named(label, line_value(line))
    return address.tagged(tag) if mark else address


def _read_party(label: str, line: str) -> NameAddr | None:
    """Return the address of a *line* up to its tag, From or To as *label* says; None unless it is well-formed without
    parameters."""
    name, colon, _ = line.partition(":")
    value = line_value(line)
    # Only what stands in the line as it is can have a tag put behind it.
    if not colon or not line.endswith(value) or "\0" in value or CANONICAL.get(name) != label.lower():
        return None
    try:
        address = NameAddr.parse(value, label)
    except RemoteProtocolError:
        return None
    if address.has_params:
        return None
    with contextlib.suppress(RemoteProtocolError):
        # Once for all the values that will be made of this one.
        address.uri  # noqa: B018
    return address


#: From and To lines up to their tag -> the address, None where that has to be looked at with the rest of the line.
SENDERS: Kept[str, NameAddr | None] = Kept(partial(_read_party, "From"), 4096)
RECIPIENTS: Kept[str, NameAddr | None] = Kept(partial(_read_party, "To"), 4096)
