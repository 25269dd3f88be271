"""Push notifications as a part of every server: who is woken, and by whom (RFC 8599)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted_sip.element.element import Element
from twisted_sip.errors import ConfigurationError, LocalProtocolError
from twisted_sip.interfaces.push import IPushNotifier
from twisted_sip.registrar.push_bucket import PushBucket
from twisted_sip.registrar.settings import PushSettings
from twisted_sip.tap.part import Part, Prepared
from twisted_sip.tap.startup import StartFailure

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration


class PushPart(Part):
    """The part.

    :ivar notifier: sends push notifications in place of the URL in the settings; a program may set it before the start.
    :ivar bucket: the requests that wait for devices, None where nobody is woken.
    """

    sections = ("push",)

    def __init__(self) -> None:
        self.notifier: IPushNotifier | None = None
        self.bucket: PushBucket | None = None

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        """Make all of it; it has no link of its own.

        :raises StartFailure: there is nobody to send notifications.
        """
        try:
            self._use(server, server.configuration.push, self._notifier_for(server, server.configuration.push))
        except ConfigurationError as error:
            raise StartFailure("\n".join(error.problems)) from error
        return ()

    def _notifier_for(self, server: Server, settings: PushSettings) -> IPushNotifier | None:
        if not settings.providers:
            return None
        if self.notifier is not None:
            return self.notifier
        if not settings.url:
            raise ConfigurationError(["push.url: is missing beside providers, write the URL that sends notifications"])
        # Who wakes nobody needs no HTTP.
        from twisted_sip.registrar.push_http import HTTPPushNotifier

        try:
            return HTTPPushNotifier(settings.url, server.reactor, timeout=settings.timeout)
        except LocalProtocolError as error:
            raise ConfigurationError([f"push.url: {error}, write one like https://push.example.com/wake"]) from error

    def _use(self, server: Server, settings: PushSettings, notifier: IPushNotifier | None) -> None:
        element, location = server.element, server.location
        assert element is not None and location is not None
        if server.registrar is not None:
            server.registrar.push = settings
        bucket = self.bucket
        if notifier is None:
            self._stop()
            element.waker = None
        elif bucket is None:
            bucket = self.bucket = PushBucket(notifier, location, server.reactor, settings)
            bucket.start()
            element.waker = bucket
        else:
            # What waits goes on waiting.
            bucket.notifier, bucket.settings = notifier, settings

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Make ready for others to be woken.

        :raises ConfigurationError: there is nobody to send notifications.
        """
        settings = configuration.push
        notifier = self._notifier_for(server, settings)
        return Prepared(lambda: self._use(server, settings, notifier))

    def counts(self) -> Mapping[str, Any]:
        return {} if self.bucket is None else {"requests waiting for devices": len(self.bucket)}

    def _stop(self) -> None:
        bucket, self.bucket = self.bucket, None
        if bucket is not None:
            bucket.stop()

    async def close(self) -> None:
        self._stop()
