"""What a snapshot of a dialog holds, so that it can be made anew after a restart (RFC 3261 section 12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: CSeq numbers are less (RFC 3261 section 8.1.1.5).
CSEQ_LIMIT = 1 << 32


def plain(value: Any) -> Any:
    """Return *value* as JSON can hold it."""
    return list(value) if isinstance(value, tuple) else value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < CSEQ_LIMIT)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


#: The attributes of a dialog, and what tells whether a value is one.
FITS: dict[str, Callable[[Any], bool]] = {
    "call_id": _is_text,
    "early": _is_flag,
    "local_cseq": _is_number,
    "local_tag": _is_text,
    "local_uri": _is_text,
    "remote_cseq": _is_number,
    "remote_tag": _is_text,
    "remote_target": _is_text,
    "remote_uri": _is_text,
    "route_set": _is_list,
    "secure": _is_flag,
}
