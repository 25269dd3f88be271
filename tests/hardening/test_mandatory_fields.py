"""Mandatory header fields missing, doubled or empty, singly and in pairs: 400, or silence where there is no way back;
never forwarded, nothing in the log (RFC 3261 sections 8.1.1, 7.3.1 and 18.1.2).

For single faults of a MESSAGE see tests/torture/test_bad_input.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from houses import BOB, STRANGER, House, in_pairs

from twisted_sip.testing.peer import on_the_wire

METHODS = ("INVITE", "OPTIONS", "REGISTER", "MESSAGE", "SUBSCRIBE", "PUBLISH", "BYE", "CANCEL", "ACK", "UNHEARDOF")
FIELDS = ("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards")
HOW = ("missing", "doubled", "empty", "blank")
Houses = Callable[[str], House]


def spoiled(data: bytes, name: str, how: str) -> bytes:
    """Return *data* with a fault in the header field *name*."""
    put = {
        "missing": b"",
        "doubled": rb"\g<0>\g<0>",
        "empty": name.encode() + b":\r\n",
        "blank": name.encode() + b": \t \r\n",
    }
    return re.sub(rb"(?m)^" + name.encode() + rb": (.*)\r\n", put[how], data, count=1)


def faults(one: str, how: str) -> bool:
    """Tell whether that is a fault."""
    # RFC 3261 section 16.3 step 3: without Max-Forwards a request goes on. Two Vias are the usual case.
    return not ((one == "Max-Forwards" and how == "missing") or (one == "Via" and how == "doubled"))


@pytest.mark.parametrize("kind", ["proxy", "b2bua", "presence"])
@pytest.mark.parametrize("over", ["udp", "tcp"])
@pytest.mark.parametrize("method", METHODS)
def test_each_and_in_pairs(houses: Houses, kind: str, over: str, method: str) -> None:
    house = houses(kind)
    uri = "sip:example.com" if method == "REGISTER" else BOB
    pairs = [(one, one) for one in FIELDS] + list(in_pairs(FIELDS))
    for number, (one, other) in enumerate(pairs):
        for place, how in enumerate(HOW):
            second = HOW[(place + number) % len(HOW)]
            if not (faults(one, how) or (one != other and faults(other, second))):
                continue
            data = on_the_wire(house.text_of(method, uri, sender=STRANGER, over=over))
            data = spoiled(data, one, how)
            if one != other:
                data = spoiled(data, other, second)
            before = len(house.callee.arrivals)
            found = house.statuses(data, over)
            assert len(house.callee.arrivals) == before, (one, how, other, second)
            no_via = "Via" in (one, other) and (how if one == "Via" else second) == "missing"
            if method == "ACK" or no_via:
                assert found == [], (one, how, other, second)
            elif method == "CANCEL" and "Max-Forwards" in (one, other):
                # It goes nowhere: there is nothing to cancel, whatever stands there.
                assert found in ([400], [481])
            else:
                assert found == [400], (one, how, other, second)
    house.sane()
