"""Makes records of the calls that a proxy forwards: one for each INVITE, told when it is answered and when it is over.

It is a policy of the proxy, so that it sees what was really forwarded. Its legs are the branches of the INVITE. While a
call is set up nothing is kept here, for the proxy does so itself; it is known from its answer on, and ends with a BYE,
with 481 or 408 to a request in its dialog, or when its time is over: its session interval (RFC 4028), else the longest
duration. Where several forks have answered it ends with the last of them. A challenge is no result, and leaves none.

A 2xx goes upstream when the record of the call is durable, so that no crash loses a call that was answered.

A proxy that dies takes no call with it: its phones talk on, and the BYE comes by when it runs again. So calls that were
answered are taken up again at the start, and end as others do. Only where nothing is heard of one until its time is
over it is called interrupted, with the end at which it was last known to live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.calls.call_legs import UnsentInvite, answered_leg, answering, cut, ended_leg, legs_of
from twisted_sip.calls.call_policy import Declined
from twisted_sip.calls.open_calls import LONGEST, Key, OpenCall, OpenCalls, key_of
from twisted_sip.calls.settings import LedgerSettings
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.accounting import CallRecord, Result
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IForwardingPolicy, Target
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI

_log = Logger()

#: Final responses that say that nobody was reached, rather than that somebody did not want to; not so where a call
#: policy has chosen them.
_UNREACHED = frozenset((408, 430, 480, 500, 503, 504))

#: Those that have the caller try again: the call has come to nothing yet.
_CHALLENGES = (401, 407)

#: Provisional responses of a device that rings.
_RINGING = (180, 183)

#: Seconds between two lines in the log that say the same.
_QUIET = 60.0

_LOST = "nothing was heard of it any more"


@implementer(IForwardingPolicy)
class CallLedger:
    """Tells an IAccountingSink of calls; one of the policies of a proxy.

    :ivar calls: those that are answered and not over.
    :ivar failed: how many records the sink has not taken.
    :ivar unfollowed: how many calls were too many at a time to wait for their ends.
    """

    for_methods = frozenset(("INVITE", "BYE"))

    def __init__(
        self,
        clock: IReactorTime,
        is_local: Callable[[URI], bool],
        sink: Any,
        random_text: Callable[[], str],
        settings: LedgerSettings | None = None,
    ) -> None:
        """Tell *sink* of calls.

        :param clock: its seconds are seconds since the epoch.
        :param is_local: tells whether a URI is one of ours (Domains.is_local_uri).
        :param random_text: gives text that nobody else has, for the identifiers of records.
        """
        self.settings = settings or LedgerSettings()
        self.failed = self.unfollowed = 0
        self.calls = OpenCalls(clock, self.settings, self._expired)
        self._now: Callable[[], float] = clock.seconds
        self._is_local = is_local
        self._sink = sink
        self._mark = random_text()
        self._count = 0
        self._said = float("-inf")

    def _id(self) -> str:
        self._count = count = self._count + 1
        return f"{self._mark}-{count}"

    # -- IForwardingPolicy ------------------------------------------------------------------

    def branch(self, request: Request, target: Target, incoming: IncomingRequest) -> None:
        """Take note of a BYE."""
        if request.method == "BYE":
            self._bye(request)

    def response(self, response: Response, context: Any) -> Deferred[Any] | None:
        """Take note of a *response* before it goes upstream; return what it waits for."""
        status = response.status
        if context.calls and not context.in_dialog:
            if status < 200:
                if not context.rang_at and status in _RINGING:
                    context.rang_at = self._now()
            elif status < 300:
                return self._answered(response, context)
            elif status not in _CHALLENGES and context.record is None:
                record = self.record_of(context, self._id())
                self._tell_end(self._came_to_nothing(record, response, context.given_up))
        elif context.in_dialog and status >= 200:
            self._answered_in_dialog(response, context.request)
        return None

    # -- set-up -------------------------------------------------------------------------------

    def _answered(self, response: Response, context: Any) -> Deferred[Any] | None:
        request = context.request
        headers = request.headers
        parsed = headers.parsed
        from_ = parsed.get("from") or request.from_
        call_id = parsed.get("call-id") or request.call_id
        key = (call_id, from_.tag, response.to.tag)
        if len(call_id) + len(key[1]) + len(key[2]) > LONGEST:
            key = key_of(*key)
        known: OpenCall | None = context.record
        if known is not None:
            # The same again, perhaps before the first one has left; or one more fork.
            if known.keys and key not in known.keys:
                self._forked(known, response, context, key)
            return known.hold
        now = self._now()
        branches = context.branches
        target = branches[0].target if len(branches) == 1 else answering(branches, response)
        user = context.incoming.user or self._local_aor(from_.uri)
        interval = self._interval(response) if "session-expires" in response.headers.names else 0.0
        self._count = count = self._count + 1
        record = CallRecord(
            id=f"{self._mark}-{count}",
            user=user,
            callee_user=target.aor or (self._local_aor(request.known_uri or request.uri) if target.steps else ""),
            caller=cut(from_.uri_text),
            callee=cut(request.uri_text),
            set_up=context.began_at,
            ringing=context.rang_at or None,
            answered=now,
            call_id=key[0],
            known_until=now,
            interval=interval,
            caller_tag=key[1],
            callee_tag=key[2],
            target=cut(str(target.uri)),
        )
        if len(branches) != 1:
            record.legs = legs_of(context, response, key, now)
        context.record = known = OpenCall(record, key, now + (interval or self.settings.max_duration))
        try:
            known.hold = self._sink.answered(record)
        except Exception:
            self._not_kept(Failure(), record.id)
        if len(self.calls.table) < self.settings.max_calls:
            self.calls.add(key, known)
        else:
            self._overflowed(known)
        return known.hold

    def _forked(self, known: OpenCall, response: Response, context: Any, key: Key) -> None:
        """One more fork has answered: it is a leg of the same call."""
        record = known.record
        legs = record.legs
        if not legs:
            first = (record.call_id, record.caller_tag, record.callee_tag)
            legs = (answered_leg(record.target, first, context, record.answered, 200),)
        uri = cut(str(answering(context.branches, response).uri))
        one_more = answered_leg(uri, key, context, self._now(), response.status)
        record.legs = (*[leg for leg in legs if leg.answered is not None or leg.uri != uri], one_more)
        known.keys.append(key)
        self.calls.add(key, known)

    def _interval(self, response: Response) -> float:
        """Return the seconds for which a session is believed in (RFC 4028), 0.0 where there is no such limit."""
        try:
            seconds: float = response.typed("session-expires").seconds + self.settings.grace
        except RemoteProtocolError as error:
            _log.debug("a session interval is not understood: {reason}", reason=error.reason)
            return 0.0
        return seconds if seconds < self.settings.max_duration else 0.0

    def record_of(self, context: Any, id: str = "") -> CallRecord:
        """Return the record of a call that is being set up: of the response context of its INVITE."""
        request = context.request
        from_ = request.from_
        branches = context.branches
        record = CallRecord(
            id=id,
            user=context.incoming.user or self._local_aor(from_.uri),
            callee_user=self._called(request, [branch.target for branch in branches]),
            caller=cut(from_.uri_text),
            callee=cut(request.uri_text),
            set_up=context.began_at,
            ringing=context.rang_at or None,
            call_id=cut(request.call_id),
            caller_tag=cut(from_.tag),
        )
        if len(branches) == 1:
            record.target = cut(str(branches[0].target.uri))
        else:
            record.legs = legs_of(context)
        return record

    def _called(self, request: Request, targets: Sequence[Target]) -> str:
        """Return the user of ours who was called, an empty text where all *targets* are what a route has led out to."""
        found = next((target.aor for target in targets if target.aor), "")
        if found or (targets and not any(target.steps for target in targets)):
            return found
        return self._local_aor(request.uri)

    def _local_aor(self, uri: URI) -> str:
        return uri.address_of_record if isinstance(uri, SIPURI) and self._is_local(uri) else ""

    def _came_to_nothing(self, record: CallRecord, response: Response, given_up: bool) -> CallRecord:
        """Complete the *record* of a call that *response* ends.

        :param given_up: the caller has; of several forks one may have been busy before, and its response goes back.
        """
        status = response.status
        record.ended = self._now()
        record.status = status
        record.reason = response.reason
        if given_up or status == 487:
            record.result, record.ended_by = "cancelled", "caller"
        else:
            unreached = status in _UNREACHED and not isinstance(response, Declined)
            record.result = "failed" if unreached else "refused"
            record.ended_by = "server" if response.flow is None else "callee"
        return record

    def refused(self, incoming: IncomingRequest, response: Response) -> None:
        """The proxy has answered a request itself, before there was a branch (ProxyService.refusals)."""
        request = incoming.request
        status = response.status
        if request.to.tag:
            # A BYE for who has registered anew meanwhile finds nobody.
            self._answered_in_dialog(response, request)
        elif request.method == "INVITE" and status >= 300 and status not in _CHALLENGES:
            record = self.record_of(UnsentInvite(request, incoming, self._now()), self._id())
            self._tell_end(self._came_to_nothing(record, response, False))

    # -- in the dialog ---------------------------------------------------------------------------

    def _bye(self, request: Request) -> None:
        call, key, from_caller = self._find(request)
        if call is None or not self.calls.drop(call, key):
            return
        reason = ""
        if "reason" in request.headers.names:
            reason = cut(request.headers.first("reason") or "")
        now = call.record.known_until = self._now()
        self._ended(call, now, "caller" if from_caller else "callee", reason)

    def _answered_in_dialog(self, response: Response, request: Request) -> None:
        """A final response to a request in a dialog."""
        status, method = response.status, request.method
        if method == "BYE":
            # It may have found no way to the other side, and no branch then: the one who hangs up is gone all the same.
            # Unless that was not believed. What was sent was seen when it was.
            if response.flow is None and status not in _CHALLENGES:
                self._bye(request)
        elif status in (408, 481):
            call, key, _ = self._find(request)
            if call is not None and self.calls.drop(call, key):
                self._ended(call, self._now(), "network", f"{status} in the call")
        elif status < 300 and method in ("INVITE", "UPDATE"):
            call, _, _ = self._find(request)
            if call is not None:
                # RFC 4028 section 8: the session goes on.
                now = call.record.known_until = self._now()
                interval = self._interval(response) if "session-expires" in response.headers.names else 0.0
                call.expires_at = now + (interval or self.settings.max_duration)
                call.restored = False

    def _find(self, request: Request) -> tuple[OpenCall | None, Key, bool]:
        try:
            return self.calls.find(request.call_id, request.from_.tag, request.to.tag)
        except RemoteProtocolError:
            return None, ("", "", ""), False

    def _expired(self, call: OpenCall) -> None:
        if call.restored:
            ended = call.record.known_until
            assert ended is not None
            self._ended(call, ended, "server", _LOST, "interrupted")
        else:
            reason = "session timer" if call.record.interval else "the longest duration"
            self._ended(call, self._now(), "network", reason)

    def _ended(self, call: OpenCall, now: float, by: str, reason: str, result: Result = "answered") -> None:
        """The last dialog of *call* is over."""
        record = call.record
        record.ended = now
        record.result = result
        record.status = 200
        record.reason = reason
        record.ended_by = by
        if record.legs:
            record.legs = tuple([ended_leg(leg, now, reason) for leg in record.legs])
        self._tell_end(record)

    # -- what is told -------------------------------------------------------------------------------

    def _tell_end(self, record: CallRecord) -> None:
        try:
            told = self._sink.ended(record)
        except Exception:
            self._not_kept(Failure(), record.id)
            return
        if told is not None:
            told.addErrback(self._not_kept, record.id)

    def _not_kept(self, failure: Failure, id: str) -> None:
        self.failed += 1
        _log.failure("a call record was not kept: {id}", failure, id=id)

    def _overflowed(self, call: OpenCall) -> None:
        self.unfollowed += 1
        now = self._now()
        if now - self._said >= _QUIET:
            self._said = now
            _log.critical(
                "CALL RECORDS ARE CUT SHORT: {calls} calls are under way already; {count} since the start",
                calls=len(self.calls),
                count=self.unfollowed,
            )
        call.keys.clear()
        self._ended(call, now, "server", "too many calls at a time to wait for its end")

    # -- calls that go on ---------------------------------------------------------------------------

    def records(self) -> list[CallRecord]:
        """Return the records of the calls that are answered and not over."""
        return [call.record for call in self.calls.calls()]

    def resume(self, records: Iterable[CallRecord], last_seen: float | None) -> int:
        """Take calls up again that were answered when the program before this one ended.

        :param last_seen: when that last said that it runs, in seconds since the epoch, None where it never did.
        :return: how many there are; the others, of which nothing can be heard any more, are told to be interrupted.
        """
        resumed = 0
        now = self._now()
        for record in records:
            answered = record.answered or record.set_up
            record.known_until = max(answered, record.known_until or 0.0, last_seen or 0.0)
            expires_at = now + record.interval if record.interval else answered + self.settings.max_duration
            tags = [leg.callee_tag for leg in record.legs if leg.answered is not None and leg.callee_tag]
            tags = tags or [record.callee_tag]
            call = OpenCall(record, key_of(record.call_id, record.caller_tag, tags[0]), expires_at)
            call.keys += [key_of(record.call_id, record.caller_tag, tag) for tag in tags[1:]]
            call.restored = True
            if record.caller_tag and expires_at > now:
                for key in list(call.keys):
                    self.calls.add(key, call)
                resumed += 1
            else:
                # Not through a proxy, or over long since.
                self._expired(call)
        return resumed

    def stop(self) -> None:
        """Forget every call; nobody is told: they go on."""
        self.calls.stop()
