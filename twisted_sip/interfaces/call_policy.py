"""What a user wants done with calls: forwarding, blocking, hours, do-not-disturb; and the store that keeps it.

The services of RFC 5359 sections 2.7 to 2.9 (forwarding), 2.13 (screening). What a policy makes of a call is
decided in :mod:`twisted_sip.calls.call_policy`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.uri import SIPURI

#: Days of the week, as datetime.weekday() counts them.
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

#: The most callers in a list, and the most hours.
MOST_CALLERS = 1000
MOST_HOURS = 50
#: Stands for callers who do not say who they are.
ANONYMOUS = "anonymous"

_HOURS = re.compile(r"(?:([a-z,-]+) +)?(\d\d?):(\d\d) *- *(\d\d?):(\d\d)\Z")
_CALLER = re.compile(r"[^@*\s\x00-\x1f\x7f]*(?:@[^@*\s\x00-\x1f\x7f]+|\*)\Z")
_DAY = 24 * 60


@attrs.frozen(slots=True)
class Hours:
    """A time of day on some days of the week.

    :ivar days: 0 for Monday to 6 for Sunday.
    :ivar begin: minutes after midnight, included.
    :ivar end: minutes after midnight, not included, up to 1440; not more than *begin* means on the next day.
    """

    days: tuple[int, ...]
    begin: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Return the hours in *text*: ``mon-fri 09:00-17:00``, ``sat,sun 10:00-12:00``, ``22:00-06:00`` every day.

        :raises LocalProtocolError: it is none.
        """
        found = _HOURS.match(text.strip().lower())
        if found is None:
            raise LocalProtocolError(f'"{text}" are no hours, write them like mon-fri 09:00-17:00')
        days, *numbers = found.groups()
        first, first_minutes, last, last_minutes = map(int, numbers)
        begin, end = 60 * first + first_minutes, 60 * last + last_minutes
        if max(first_minutes, last_minutes) > 59 or begin >= _DAY or end > _DAY:
            raise LocalProtocolError(f'"{text}": there is no such time of day')
        return cls(_days(days, text), begin, end)

    def __str__(self) -> str:
        """Return them as :meth:`parse` reads them."""
        begin, end = (f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (self.begin, self.end))
        if len(self.days) == len(DAYS):
            return f"{begin}-{end}"
        first, last = self.days[0], self.days[-1]
        if len(self.days) > 2 and self.days == tuple(range(first, last + 1)):
            return f"{DAYS[first]}-{DAYS[last]} {begin}-{end}"
        return f"{','.join(DAYS[day] for day in self.days)} {begin}-{end}"

    def include(self, weekday: int, minute: int) -> bool:
        """Tell whether *minute* of the day *weekday* is among them."""
        if self.begin < self.end:
            return weekday in self.days and self.begin <= minute < self.end
        # Over midnight: the morning belongs to the day before.
        return (weekday in self.days and minute >= self.begin) or ((weekday - 1) % 7 in self.days and minute < self.end)


def _days(text: str | None, whole: str) -> tuple[int, ...]:
    if text is None:
        return tuple(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise LocalProtocolError(f'"{whole}": {part} is no day, write {", ".join(DAYS)}')
        begin, end = DAYS.index(first), DAYS.index(last if dash else first)
        found.update(day % 7 for day in range(begin, end + 1 if begin <= end else end + 8))
    return tuple(sorted(found))


def check_target(text: str) -> str:
    """Return the SIP URI to forward to, ``sip:`` added where it is missing; an empty text stays.

    :raises LocalProtocolError: it is none.
    """
    if not text:
        return ""
    written = text if text.lower().startswith(("sip:", "sips:")) else f"sip:{text}"
    problem = LocalProtocolError(f'"{text}" is nobody to forward to, write a SIP URI like sip:carol@example.com')
    if written != text and "@" not in text:
        # A mere word would be taken for a host.
        raise problem
    try:
        SIPURI.parse(written)
    except RemoteProtocolError as error:
        raise problem from error
    return written


def check_caller(text: str) -> str:
    """Return a caller in its usual form: ``alice@example.com``, ``@example.com`` for a whole domain, ``+4989*`` for
    all users that begin so, ``anonymous``.

    :raises LocalProtocolError: it is none of them.
    """
    bare = re.sub(r"^sips?:", "", text.strip(), flags=re.IGNORECASE)
    user, at, host = bare.rpartition("@")
    if bare.lower() == ANONYMOUS:
        return ANONYMOUS
    if _CALLER.match(bare) is None:
        raise LocalProtocolError(f'"{text}" is no caller, write alice@example.com, @example.com, +4989* or {ANONYMOUS}')
    return f"{user}@{host.lower()}" if at else bare


def _target(instance: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value and check_target(value) != value:
        raise LocalProtocolError(f"{attribute.name}: {value} is no SIP URI")


def _callers(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if len(value) > MOST_CALLERS:
        raise LocalProtocolError(f"{attribute.name}: at most {MOST_CALLERS} callers")
    for one in value:
        if check_caller(one) != one:
            raise LocalProtocolError(f"{attribute.name}: {one} is no caller")


def _zone(instance: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        ZoneInfo(value)
    except (ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise LocalProtocolError(f'time_zone: "{value}" is no time zone, write one like Europe/Berlin') from error
    except KeyError as error:
        raise LocalProtocolError(f'time_zone: "{value}" is no time zone, write one like Europe/Berlin') from error


def _few(instance: Any, attribute: attrs.Attribute[Any], value: tuple[Hours, ...]) -> None:
    if len(value) > MOST_HOURS:
        raise LocalProtocolError(f"{attribute.name}: at most {MOST_HOURS} hours")


@attrs.frozen(slots=True, kw_only=True)
class CallPolicy:
    """What becomes of the calls of one user. As it is made it lets every call through.

    Whom :attr:`allowed` names is not blocked, and gets through outside of the hours and while the user is not to be
    disturbed.

    :ivar forward_always: where every call goes, empty for none (RFC 5359 section 2.7).
    :ivar forward_busy: where calls go while the user is busy (section 2.8).
    :ivar forward_no_answer: where they go when nobody has answered (section 2.9).
    :ivar no_answer_after: after how many seconds of ringing that is.
    :ivar forward_unavailable: where they go when no device of the user is there.
    :ivar forward_closed: where they go outside of :attr:`hours`; without it they are declined then.
    :ivar do_not_disturb: decline all calls; to :attr:`forward_busy` where that is given.
    :ivar blocked: callers who are declined, as :func:`check_caller` has them.
    :ivar allowed: callers who are let through.
    :ivar allowed_only: decline all others.
    :ivar hours: when the user takes calls; empty for always.
    :ivar time_zone: the IANA time zone of the hours.
    """

    forward_always: str = attrs.field(default="", validator=_target)
    forward_busy: str = attrs.field(default="", validator=_target)
    forward_no_answer: str = attrs.field(default="", validator=_target)
    no_answer_after: int = attrs.field(default=20)
    forward_unavailable: str = attrs.field(default="", validator=_target)
    forward_closed: str = attrs.field(default="", validator=_target)
    do_not_disturb: bool = False
    blocked: tuple[str, ...] = attrs.field(default=(), validator=_callers)
    allowed: tuple[str, ...] = attrs.field(default=(), validator=_callers)
    allowed_only: bool = False
    hours: tuple[Hours, ...] = attrs.field(default=(), validator=_few)
    time_zone: str = attrs.field(default="UTC", validator=_zone)

    @no_answer_after.validator
    def _seconds(self, attribute: attrs.Attribute[int], value: int) -> None:
        if not 1 <= value <= 180:
            raise LocalProtocolError(f"no_answer_after: {value} is not from 1 to 180 seconds")

    def to_mapping(self) -> dict[str, Any]:
        """Return what is not as in a fresh policy, as JSON can say it."""
        found: dict[str, Any] = {}
        for field in attrs.fields(CallPolicy):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            found[field.name] = [str(one) for one in value] if isinstance(value, tuple) else value
        return found

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> CallPolicy:
        """Return the policy that :meth:`to_mapping` has written.

        :raises LocalProtocolError: a key that there is not, or a value that cannot be.
        """
        made: dict[str, Any] = {}
        fields = attrs.fields_dict(cls)
        for name, value in mapping.items():
            if name not in fields:
                raise LocalProtocolError(f"{name} is no part of a call policy")
            made[name] = _read(name, fields[name].default, value)
        return cls(**made)


def _read(name: str, default: Any, value: Any) -> Any:
    """Return what *value*, as JSON says it, is for the field *name*."""
    wanted = list if isinstance(default, tuple) else type(default)
    if type(value) is not wanted or (wanted is list and not all(type(one) is str for one in value)):
        raise LocalProtocolError(f"{name}: {value!r} cannot be that")
    if name == "hours":
        return tuple(Hours.parse(one) for one in value)
    if name in ("blocked", "allowed"):
        return tuple(dict.fromkeys(check_caller(one) for one in value))
    return check_target(str(value)) if name.startswith("forward_") else value


class ICallPolicyStore(Interface):
    """Keeps the call policies of users, by canonical address-of-record (``sip:alice@example.com``)."""

    def lookup(aor: str) -> CallPolicy | Deferred[CallPolicy | None] | None:
        """Return the policy of *aor*, None if there is none; a value where it is in memory.

        :raises StoreError: the store cannot be read.
        """

    def set(aor: str, policy: CallPolicy) -> Deferred[None] | None:
        """Keep *policy* for *aor* in place of what there was; once it returns, or fires, it is durable.

        :raises StoreError: it cannot be kept.
        """

    def remove(aor: str) -> bool | Deferred[bool]:
        """Forget the policy of *aor*; tell whether there was one.

        :raises StoreError: that is not durable.
        """
