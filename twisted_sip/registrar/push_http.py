"""Has push notifications sent by an HTTP service of the operator, who has the keys that push services want.

The service is asked by ``POST URL`` with a JSON object, ``{"provider": "apns", "param": "...", "prid": "...", "aor":
"sip:alice@example.com", "method": "INVITE"}``, and answers 2xx once the notification is on its way; everything else
says that it is not (RFC 8599 section 5.6.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import attrs
import treq
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.errors import LocalProtocolError, SIPError
from twisted_sip.interfaces.push import IPushNotifier, PushNotification
from twisted_sip.storage.http_answer import body_of

#: The largest answer that is read, in bytes.
_MOST = 65_536
#: How many renewals are asked for at a time.
_RENEWALS = 20


class PushFailed(SIPError):
    """The service did not take a notification."""


def check_push_url(url: str) -> None:
    """Refuse what is no http or https URL.

    :raises LocalProtocolError: saying so.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii() and url.isprintable()
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or " " in url:
        raise LocalProtocolError(f'"{url}" is no http or https URL')


@implementer(IPushNotifier)
class HTTPPushNotifier:
    """Asks an HTTP service to send push notifications."""

    def __init__(
        self,
        url: str,
        clock: IReactorTime,
        *,
        timeout: float = 5.0,
        post: Callable[..., Deferred[Any]] = treq.post,
    ) -> None:
        """Make a notifier that asks at *url*.

        :param timeout: seconds until an answer is given up.
        :param post: ``treq.post``, or what behaves like it.
        :raises LocalProtocolError: no http or https URL.
        """
        check_push_url(url)
        self._url = url
        self._clock = clock
        self._timeout = timeout
        self._post = post
        self._turns = DeferredSemaphore(_RENEWALS)

    def notify(self, notification: PushNotification) -> Deferred[None]:
        """Ask for *notification*; the Deferred fires with None, or fails with PushFailed or what HTTP failed of.

        Nobody waits for a device that is to renew its registration: so many are asked for at a time, and no more.
        """
        if notification.method == "REGISTER":
            renewed: Deferred[None] = self._turns.run(self._asked, notification)
            return renewed
        return self._asked(notification)

    def _asked(self, notification: PushNotification) -> Deferred[None]:
        return Deferred.fromCoroutine(self._ask(notification)).addTimeout(self._timeout, self._clock)

    async def _ask(self, notification: PushNotification) -> None:
        response = await self._post(
            self._url,
            json=attrs.asdict(notification),
            headers={"accept": ["application/json"]},
            timeout=self._timeout,
            reactor=self._clock,
            allow_redirects=False,
            unbuffered=True,
        )
        # Read to its end, so that the connection is free for the next one.
        if len(await body_of(response, _MOST)) > _MOST:
            raise PushFailed("the push service says too much")
        if not 200 <= response.code < 300:
            raise PushFailed(f"the push service answers {response.code}")
