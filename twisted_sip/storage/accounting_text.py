"""Call records as JSON: the lines of files, the bodies of callbacks, what a database keeps of calls under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as _text
from typing import Any

import attrs

from twisted_sip.interfaces.accounting import CallRecord, LegRecord

_LEG = frozenset(field.name for field in attrs.fields(LegRecord))
_RECORD = frozenset(field.name for field in attrs.fields(CallRecord)) - {"legs"}


def legs_text(legs: Sequence[LegRecord]) -> str:
    """Return *legs* as a JSON array: what json.dumps() would make of it, without its preparations."""
    if not legs:
        return "[]"
    return "[{}]".format(
        ", ".join(
            [
                f'{{"call_id": {_text(leg.call_id)}, "incoming": {"true" if leg.incoming else "false"}, '
                f'"uri": {_text(leg.uri)}, "began": {_TIMES[leg.began]}, "answered": {_TIMES[leg.answered]}, '
                f'"ended": {_TIMES[leg.ended]}, "status": {leg.status}, "reason": {_text(leg.reason)}, '
                f'"callee_tag": {_text(leg.callee_tag)}}}'
                for leg in legs
            ]
        )
    )


def record_text(record: CallRecord, event: str = "") -> str:
    """Return *record* as a JSON object on one line, ASCII alone.

    :param event: what is told with it: ``answered`` or ``ended``; empty for no such member.
    """
    told = f'"event": "{event}", ' if event else ""
    return (
        f'{{{told}"id": {_text(record.id)}, "user": {_text(record.user)}, "callee_user": {_text(record.callee_user)}, '
        f'"caller": {_text(record.caller)}, "callee": {_text(record.callee)}, "call_id": {_text(record.call_id)}, '
        f'"set_up": {_TIMES[record.set_up]}, "ringing": {_TIMES[record.ringing]}, '
        f'"answered": {_TIMES[record.answered]}, "ended": {_TIMES[record.ended]}, '
        f'"seconds": {round(record.seconds, 3)!r}, "result": "{record.result}", '
        f'"status": {record.status}, "reason": {_text(record.reason)}, "ended_by": "{record.ended_by}", '
        f'"known_until": {_TIMES[record.known_until]}, "interval": {record.interval!r}, '
        f'"caller_tag": {_text(record.caller_tag)}, "callee_tag": {_text(record.callee_tag)}, '
        f'"target": {_text(record.target)}, "legs": {legs_text(record.legs)}}}'
    )


def open_text(record: CallRecord) -> str:
    """Return what has to be known of *record*, of a call that is answered and not over, on one line of ASCII."""
    made = (
        f'{{"id":"{record.id}","caller":{_text(record.caller)},"callee":{_text(record.callee)},'
        f'"call_id":{_text(record.call_id)},"set_up":{_TIMES[record.set_up]},"answered":{_TIMES[record.answered]}'
    )
    if record.user:
        made += f',"user":{_text(record.user)}'
    if record.callee_user:
        made += f',"callee_user":{_text(record.callee_user)}'
    if record.ringing is not None:
        made += f',"ringing":{_TIMES[record.ringing]}'
    if record.interval:
        made += f',"interval":{record.interval:.0f}'
    if record.caller_tag or record.callee_tag or record.target:
        made += (
            f',"caller_tag":{_text(record.caller_tag)},"callee_tag":{_text(record.callee_tag)},'
            f'"target":{_text(record.target)}'
        )
    if record.legs:
        made += f',"legs":{kept_legs_text(record.legs)}'
    return made + "}"


def kept_legs_text(legs: Sequence[LegRecord]) -> str:
    """Return *legs* as a JSON array, without what goes without saying: for :func:`legs_from`."""
    made = []
    for leg in legs:
        text = (
            f'{{"call_id":{_text(leg.call_id)},"incoming":{"true" if leg.incoming else "false"},'
            f'"uri":{_text(leg.uri)},"began":{_TIMES[leg.began]},"answered":{_TIMES[leg.answered]},'
            f'"ended":{_TIMES[leg.ended]},"status":{leg.status}'
        )
        if leg.reason:
            text += f',"reason":{_text(leg.reason)}'
        if leg.callee_tag:
            text += f',"callee_tag":{_text(leg.callee_tag)}'
        made.append(text)
    return "[" + "},".join(made) + "}]" if made else "[]"


class _Times(dict[float | None, str]):
    """Times as JSON has them, in milliseconds: a record repeats most of its own, and the next one of the same call some
    of them."""

    def __missing__(self, seconds: float | None) -> str:
        if len(self) >= _MOST_TIMES:
            self.clear()
        text = self[seconds] = "null" if seconds is None else f"{seconds:.3f}"
        return text


_MOST_TIMES = 1024
_TIMES = _Times()


def legs_from(found: Any) -> tuple[LegRecord, ...]:
    """Return the legs in what JSON has made of :func:`legs_text`.

    :raises TypeError: they are something else; so do ValueError and AttributeError say.
    """
    return tuple([LegRecord(**{name: leg[name] for name in _LEG & leg.keys()}) for leg in found])


def record_from(found: Mapping[str, Any]) -> CallRecord:
    """Return the record that *found* is: what JSON has made of :func:`record_text` or :func:`open_text`.

    :raises TypeError: it is something else; so do ValueError and AttributeError say.
    """
    return CallRecord(
        **{name: value for name, value in found.items() if name in _RECORD}, legs=legs_from(found.get("legs", ()))
    )
