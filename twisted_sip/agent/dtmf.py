"""Keys in INFO requests: ``application/dtmf-relay`` and ``application/dtmf``, which came before RFC 6086 (its section 2
calls that legacy usage).
"""

from __future__ import annotations

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.request import Request

#: What can be pressed; ``!`` is the hook flash.
KEYS = frozenset("0123456789*#ABCD!")
RELAY = "application/dtmf-relay"
PLAIN = "application/dtmf"

#: By the numbers of RFC 4733 events, which some phones send.
_BY_NUMBER = {**{str(number): str(number) for number in range(10)}, "10": "*", "11": "#", "16": "!"} | dict(
    zip(("12", "13", "14", "15"), "ABCD", strict=True)
)
_LONGEST = 256


def digit_of_info(info: Request) -> tuple[str, float] | None:
    """Return the key in *info* and for how many seconds it was pressed; None if it is about something else.

    :raises RemoteProtocolError: it is about a key, and says none that there is.
    """
    content_type = (info.headers.first("content-type") or "").partition(";")[0].strip().lower()
    if content_type not in (RELAY, PLAIN):
        return None
    text = info.body[:_LONGEST].decode("ascii", "replace")
    if content_type == PLAIN:
        return _key(text.strip()), 0.0
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, equal, value = line.partition("=")
        if equal:
            fields[name.strip().lower()] = value.strip()
    duration = fields.get("duration", "")
    seconds = int(duration) / 1000 if duration.isascii() and duration.isdigit() and len(duration) < 6 else 0.0
    return _key(fields.get("signal", "")), seconds


def _key(text: str) -> str:
    found = _BY_NUMBER.get(text, text.upper())
    if len(found) != 1 or found not in KEYS:
        raise RemoteProtocolError("No Such Key", status=400)
    return found


def relay_body(digit: str, seconds: float) -> bytes:
    """Return the body of an INFO for *digit*."""
    return f"Signal={digit}\r\nDuration={round(seconds * 1000)}\r\n".encode()


def check_digits(digits: str) -> str:
    """Return *digits* in capital letters.

    :raises LocalProtocolError: there is no such key, or too many of them.
    """
    wanted = digits.upper()
    if not wanted or len(wanted) > _LONGEST or not KEYS.issuperset(wanted.replace(",", "")):
        raise LocalProtocolError(f"{digits!r} are no keys of {''.join(sorted(KEYS))} and commas")
    return wanted
