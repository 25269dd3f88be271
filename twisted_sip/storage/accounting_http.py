"""Call records told to another service over HTTP, from a queue on disk (JSON by RFC 8259).

``POST URL`` carries a JSON array, oldest first: each element a record as in the lines of files, with ``event``
(``answered`` or ``ended``). Any 2xx says that all of them were taken; then they leave the queue. Anything else, and no
answer, has the same told again, less and less often. So each is told at least once, also when either side dies in the
middle; the same ``id`` with the same ``event`` is the same again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import treq
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.storage.accounting_sqlite import SQLiteAccounting
from twisted_sip.storage.http_answer import body_of

_log = Logger()

#: Bytes of an answer that are read, though nobody wants to know.
_MOST = 65536

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NO_ANSWER = (ConnectError, ConnectingCancelledError, CancelledError, ResponseFailed, ResponseNeverReceived)


class CallbackDelivery:
    """Tells an HTTP service what is queued in a database of call records, one request at a time.

    :ivar failures: how many requests in a row have failed.
    """

    def __init__(
        self,
        store: SQLiteAccounting,
        url: str,
        clock: IReactorTime,
        *,
        token: str = "",
        batch: int = 100,
        timeout: float = 10.0,
        first_retry: float = 1.0,
        longest_retry: float = 300.0,
        post: Callable[..., Deferred[Any]] = treq.post,
    ) -> None:
        """Make one that is not started.

        :param token: goes with each request as ``Authorization: Bearer``; empty for none.
        :param batch: the most records in one request.
        :param timeout: seconds until an answer is given up.
        :param first_retry: seconds after which a request is repeated first; twice as long each time,
        :param longest_retry: but no longer than so many seconds.
        :param post: ``treq.post``, or what behaves like it.
        :raises LocalProtocolError: no http or https URL, or http to another host.
        """
        check_callback_url(url)
        self.failures = 0
        self._store = store
        self._url = url
        self._clock = clock
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._batch = batch
        self._timeout = timeout
        self._first, self._longest = first_retry, longest_retry
        self._post = post
        self._round: Deferred[None] | None = None
        self._again: IDelayedCall | None = None
        self._running = self._more = False

    def start(self) -> None:
        """Begin with what is queued already."""
        self._running = True
        self._store.callback_queued = self.wake
        self.wake()

    def wake(self) -> None:
        """There may be something to tell; harmless at any time."""
        if self._round is not None:
            self._more = True
        elif self._running and self._again is None:
            self._more = False
            self._round = Deferred.fromCoroutine(self._tell())
            self._round.addErrback(self._broken).addBoth(self._rested)

    def _rested(self, result: object) -> None:
        self._round = None
        if self.failures:
            if self._running:
                delay = min(self._longest, self._first * 2 ** min(self.failures - 1, 20))
                self._again = self._clock.callLater(delay, self._due)
        elif self._more:
            # It came while the last answer was on its way.
            self.wake()

    def _due(self) -> None:
        self._again = None
        self.wake()

    def _broken(self, failure: Failure) -> None:
        self.failures += 1
        _log.failure("telling call records to {url} failed", failure, url=self._url)

    async def _tell(self) -> None:
        while self._running:
            # What was refused may be due to one of them, or to there being so many.
            most = self._batch if not self.failures else max(1, self._batch >> min(self.failures, 16))
            try:
                found = await self._store.next_callbacks(most)
                if not found:
                    return
                if not await self._told([body for _, body in found]):
                    return
                await self._store.callbacks_told(found[-1][0])
            except StoreError as error:
                self._failed(str(error))
                return
            if self.failures:
                _log.info("{url} takes call records again", url=self._url)
                self.failures = 0

    async def _told(self, bodies: list[str]) -> bool:
        try:
            response = await self._post(
                self._url,
                data=f"[{', '.join(bodies)}]".encode("ascii"),
                headers=self._headers,
                timeout=self._timeout,
                allow_redirects=False,
                unbuffered=True,
            )
        except _NO_ANSWER as error:
            if self._running:
                self._failed(f"no answer: {_why(error)}")
            return False
        code = int(response.code)
        with contextlib.suppress(TimeoutError, CancelledError):
            # The status says it all, however the rest goes; it is waited for so that the connection is of use again.
            await body_of(response, _MOST).addTimeout(self._timeout, self._clock)
        if 200 <= code < 300:
            return True
        self._failed(f"answered {code}")
        return False

    def _failed(self, reason: str) -> None:
        self.failures += 1
        if self.failures == 1 or self.failures % 10 == 0:
            _log.error(
                "{url} takes no call records ({reason}); {queued} wait on disk",
                url=self._url,
                reason=reason,
                queued=self._store.queued,
            )

    def stop(self) -> Deferred[None]:
        """Give up the request that is under way; what it carries stays in the queue.

        :return: fires when the store is not used any more.
        """
        self._running = False
        self._store.callback_queued = None
        if self._again is not None:
            self._again.cancel()
            self._again = None
        done: Deferred[None] = Deferred()
        if self._round is None:
            done.callback(None)
        else:
            self._round.addBoth(done.callback)
            self._round.cancel()
        return done


def _why(error: Exception) -> str:
    """Return *error* in words; some are but lists of others."""
    reasons = getattr(error, "reasons", None)
    if reasons:
        return str(reasons[0].getErrorMessage())
    return str(error) or type(error).__name__


def check_callback_url(url: str) -> None:
    """Refuse where call records are not told.

    :raises LocalProtocolError: as :class:`CallbackDelivery`.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LocalProtocolError(f"{url!r} is no http or https URL")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise LocalProtocolError(
            f"{url!r} would tell who calls whom in the clear: use https, or http to this host only"
        )
