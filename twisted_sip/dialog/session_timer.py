"""Session timers: who refreshes a session, when, and when it is given up (RFC 4028 sections 7, 9 and 10)."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.dialog.session_terms import Header, SessionTerms, Side, option_tags
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.header_map import line_value
from twisted_sip.message.kept import Kept
from twisted_sip.message.message import Message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.session_timer import SHORTEST_INTERVAL, MinSE, SessionExpires
from twisted_sip.transaction.timers import Timer, TimerQueue

#: The longest Min-SE that a 422 may make us ask for, in seconds: a day.
MOST_MIN_SE = 86_400

#: The header fields that tell whether the sender knows of timers, and what it asks for.
TELLING = frozenset(("session-expires", "supported", "require"))

#: Seconds until a refresh that has failed is tried again, where the answer does not say; then twice as long each time.
_PATIENCE = 10.0


def session_expires_of(message: Message) -> SessionExpires | None:
    """Return Session-Expires, None where it is missing or malformed."""
    headers = message.headers
    names = headers.names
    if "session-expires" not in names:
        return None
    if names.count("session-expires") == 1:
        return _INTERVALS[headers.lines[names.index("session-expires")]]
    try:
        found: SessionExpires | None = message.typed("session-expires")
    except RemoteProtocolError:
        return None
    return found


def _read_interval(line: str) -> SessionExpires | None:
    try:
        return SessionExpires.parse(line_value(line))
    except RemoteProtocolError:
        return None


#: Session-Expires lines -> what they say: they are few.
_INTERVALS: Kept[str, SessionExpires | None] = Kept(_read_interval, 256)


def min_se_of(message: Message) -> int:
    """Return Min-SE in seconds, 0 where it is missing or malformed."""
    if "min-se" not in message.headers.names:
        return 0
    try:
        found: MinSE | None = message.typed("min-se")
    except RemoteProtocolError:
        return 0
    return 0 if found is None else found.seconds


def min_se_asked(response: Response, terms: SessionTerms, known: int) -> int:
    """Return the Min-SE of a 422 in seconds, 0 if there is no sense in asking again with it (section 7.3).

    :param known: the longest Min-SE that was heard of before, 0 without one.
    """
    wanted = min_se_of(response)
    return wanted if terms.timers and max(known, SHORTEST_INTERVAL) < wanted <= MOST_MIN_SE else 0


class SessionTimer:
    """The session timer of one dialog.

    :ivar interval: the session interval in seconds, 0 without a timer.
    :ivar refresher: ``local``, ``remote``, or empty without a timer.
    :ivar min_se: the longest Min-SE heard of in this dialog, 0 without one (section 7.4).
    :ivar alone: it serves us alone: the peer does not know of timers.
    """

    interval = 0
    refresher: Side | str = ""
    min_se = 0
    alone = False
    _refresh: Timer | None = None
    _expiry: Timer | None = None
    _failures = 0
    _ends_at = 0.0

    def __init__(
        self,
        terms: SessionTerms,
        timers: TimerQueue,
        refresh_due: Callable[[], None],
        expired: Callable[[], None],
    ) -> None:
        """Make one that does not run.

        :param refresh_due: called when it is up to us to refresh.
        :param expired: called shortly before the session expires without a refresh.
        """
        self._terms = terms
        self._timers = timers
        self._refresh_due = refresh_due
        self._expired = expired

    # -- as UAC -----------------------------------------------------------------------

    def request_fields(self) -> list[Header]:
        """Return Session-Expires and Min-SE for a re-INVITE or UPDATE of ours (sections 7.1 and 7.4)."""
        return self._terms.interval_fields(self.min_se, self.interval, self.refresher)

    def too_small(self, response: Response) -> bool:
        """Take a 422 (section 7.3).

        :return: True if there is sense in asking again.
        """
        wanted = min_se_asked(response, self._terms, self.min_se)
        self.min_se = wanted or self.min_se
        return wanted > 0

    def response_received(self, request: Request, response: Response) -> None:
        """Our *request* has a 2xx (section 7.2)."""
        told = session_expires_of(response) if "session-expires" in response.headers.names else None
        if told is not None:
            # Without a refresher, which must not be, somebody has to do it.
            self._lasts(told.seconds, "remote" if told.refresher == "uas" else "local")
            return
        asked = session_expires_of(request) if self._terms.session_expires else None
        if asked is not None:
            # The peer does not know of timers: they serve us alone, and so we refresh.
            self._lasts(asked.seconds, "local", alone=True)
        else:
            self.stop()

    # -- as UAS -----------------------------------------------------------------------

    def minimum_for(self, request: Request) -> int:
        """Return the Min-SE with which *request* has to be refused (422, section 9), 0 if it is none too brief."""
        told = session_expires_of(request)
        terms = self._terms
        if told is None or not terms.supports("timer") or not _knows_timers(request):
            return 0
        return terms.min_se if told.seconds < terms.min_se else 0

    def request_received(self, request: Request) -> None:
        """Take note of Min-SE in a request that refreshes the session (section 7.4)."""
        if "min-se" in request.headers.names:
            self.min_se = max(self.min_se, min(min_se_of(request), MOST_MIN_SE))

    def answer(self, request: Request) -> list[Header]:
        """*request* is going to be accepted: the timer starts anew, or stops (section 9).

        :return: Session-Expires and Require for the 2xx.
        """
        terms = self._terms
        if TELLING.isdisjoint(request.headers.names):
            # The usual case.
            told, knows = None, False
        else:
            told, knows = session_expires_of(request), _knows_timers(request)
        if told is not None and told.seconds < SHORTEST_INTERVAL:
            # No session interval is shorter; of somebody who does not know of timers it cannot be refused with 422.
            told = None
        if not terms.timers or (told is None and not terms.session_expires):
            self.stop()
            return []
        if told is None and not knows:
            # There is nothing to say to somebody who does not know of timers. Our refreshes ask for one that serves us
            # alone (section 7.1), so that nobody leaves unnoticed.
            wanted, least = terms.session_expires, terms.min_se
            self._lasts(wanted if wanted > least else least, "local", alone=True)
            return []
        if told is None:
            seconds = max(terms.session_expires, min_se_of(request), terms.min_se)
        else:
            seconds = told.seconds
            if terms.session_expires:
                # It may be made shorter, but never longer than was asked for.
                least = max(min_se_of(request), terms.min_se)
                seconds = min(seconds, max(least, terms.session_expires))
        asked = told.refresher if told is not None else None
        if not knows:
            # Table 2: who does not know of timers cannot refresh.
            refresher = "uas"
        elif asked is not None:
            refresher = asked
        else:
            refresher = "uas" if terms.refresher == "local" else "uac"
        self._lasts(seconds, "local" if refresher == "uas" else "remote")
        made = [("session-expires", f"{seconds};refresher={refresher}")]
        if knows:
            made.append(("require", "timer"))
        return made

    # -- time --------------------------------------------------------------------------

    def _lasts(self, seconds: int, refresher: Side, *, alone: bool = False) -> None:
        if self.refresher:
            self.stop()
        self.alone = alone
        self._failures = 0
        if seconds < SHORTEST_INTERVAL:
            seconds = SHORTEST_INTERVAL
        self.interval = seconds
        self.refresher = refresher
        # Section 10: the BYE leaves before middleboxes forget the session.
        wait = seconds - (32.0 if seconds > 96 else seconds / 3)
        self._ends_at = self._timers.now() + wait
        if refresher == "local":
            # One timer at a time: when it is refreshed the time until it ends begins.
            self._refresh = self._timers.start(seconds / 2, self._due)
        else:
            self._expiry = self._timers.start(wait, self._expire)

    def refused(self) -> None:
        """A refresh was refused: the peer is there, which is all that a timer that serves us alone is to find out."""
        if self.alone and self.refresher:
            self._lasts(self.interval, "local", alone=True)

    def again(self, wait: float | None) -> None:
        """A refresh may have failed: try again, unless the session expires before that.

        :param wait: seconds that the peer wants us to wait, None where it does not say.
        """
        if self.refresher != "local" or (self._refresh is not None and (wait is None or self._expiry is None)):
            return
        patience = _PATIENCE * 2 ** min(self._failures, 10)
        self._failures += 1
        delay = patience if wait is None else max(1.0, float(wait))
        if self._timers.now() + delay < self._ends_at:
            if self._refresh is not None:
                # The peer wants another time than we had in mind.
                self._refresh.cancel()
            self._refresh = self._timers.start(delay, self._due)

    def _due(self) -> None:
        self._refresh = None
        if self._expiry is None:
            self._expiry = self._timers.start(max(0.0, self._ends_at - self._timers.now()), self._expire)
        self._refresh_due()

    def _expire(self) -> None:
        self.stop()
        self._expired()

    def stop(self) -> None:
        """There is no session timer any more."""
        self.interval = 0
        self.refresher = ""
        if self._refresh is not None:
            self._refresh.cancel()
            self._refresh = None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None


def _knows_timers(request: Request) -> bool:
    """Tell whether the sender of *request* supports session timers: who requires them does so without a word."""
    names = request.headers.names
    return ("supported" in names and "timer" in option_tags(request, "supported")) or (
        "require" in names and "timer" in option_tags(request, "require")
    )
