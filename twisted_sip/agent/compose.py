"""A whole user agent in one line: an element of its own, listening where it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.element.element import Element
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.destination import IResolver
from twisted_sip.interfaces.media import MediaFactory
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.transport.listener import is_numeric
from twisted_sip.transport.settings import TransportSettings

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.media.plane import MediaPlane
    from twisted_sip.media.session import MediaSession

#: Stands for the media that come with the package.
BUILT_IN: Any = object()

A = TypeVar("A", bound="StandaloneAgent")


class StandaloneAgent(UserAgent):
    """A user agent whose element is its own: it listens while the service runs.

    :ivar listeners: where to listen, as in transport.descriptors: ``udp:5060``, ``tls:5061``.
    """

    listeners: tuple[str, ...] = ("udp:5060", "tcp:5060")

    def startService(self) -> None:
        """Listen, and register.

        :raises ConfigurationError: it cannot listen there.
        """
        self.element.transports.listen(*self.listeners)
        super().startService()

    def stopService(self) -> Deferred[None]:
        """As UserAgent.stopService; the sockets are closed then."""
        return super().stopService().addCallback(lambda _: self.element.stop())


def user_agent(
    reactor: Any,
    *listeners: str,
    agent: type[A] = StandaloneAgent,  # type: ignore[assignment]
    media: MediaFactory | None = BUILT_IN,
    settings: AgentSettings | None = None,
    listener: Any = None,
    user: str = "",
    transport_settings: TransportSettings | None = None,
    resolver: IResolver | None = None,
) -> A:
    """Return an agent that listens at *listeners* once it is started; add registrations and accounts to it.

    :param listeners: ``udp:5060``, ``tcp:5060``, ``tls:5061:interface=192.0.2.1`` and the like; UDP and TCP at port
        5060 unless given.
    :param agent: its class: a subclass of StandaloneAgent with hooks of its own.
    :param media: makes the media of a call; those of this package unless given, None for signalling only.
    :param listener: an ICallListener.
    :param user: the user part of Contacts where there is no account; random unless given.
    """
    element = Element(reactor, transport_settings=transport_settings, resolver=resolver)
    if media is BUILT_IN:
        media = BuiltInMedia(reactor)
    made = agent(element, settings=settings, media=media, listener=listener, user=user)
    if listeners:
        made.listeners = listeners
    return made


class BuiltInMedia:
    """Makes media sessions with sound, each at the address by which its call goes; a MediaFactory.

    :ivar planes: what the sessions of one local address share.
    """

    def __init__(self, reactor: Any, settings: Any = None) -> None:
        """Make none yet.

        :param settings: a MediaSettings; its ``host`` is that of each call, unless it is set to another one than the
            default.
        """
        from twisted_sip.media.settings import MediaSettings

        self.planes: dict[str, MediaPlane] = {}
        self._reactor = reactor
        self._settings = settings or MediaSettings()
        self._fixed = self._settings.host != MediaSettings().host

    def __call__(self, call: Call) -> MediaSession:
        """Return the media of *call*.

        :raises MediaRefused: there are as many as there may be.
        """
        if self._fixed:
            return self._plane_at(self._settings.host)(call)
        made = self._plane_at(_host_for(call))(call)
        made.other_plane = lambda address: self._plane_facing(call, address)
        return made

    def _plane_at(self, host: str) -> MediaPlane:
        from twisted_sip.media.plane import MediaPlane

        plane = self.planes.get(host)
        if plane is None:
            plane = self.planes[host] = MediaPlane(self._reactor, attrs.evolve(self._settings, host=host))
        return plane

    def _plane_facing(self, call: Call, address: str) -> MediaPlane | None:
        """Return the plane that reaches *address*, None if nothing does."""
        host = call.agent.element.transports.addresses.source(address)
        return self._plane_at(host) if host and (":" in host) == (":" in address) else None

    def close(self) -> None:
        """Close all that is open."""
        for plane in self.planes.values():
            plane.close()


def _host_for(call: Call) -> str:
    """Return the address of ours for the media of *call*: that of its messages, unless the peer wants its media by the
    other version of IP."""
    host = call.local_host
    address = _media_address(getattr(call, "remote_body", None))
    if is_numeric(address) and (":" in address) != (":" in host):
        return call.agent.element.transports.addresses.source(address) or host
    return host


def _media_address(body: SessionBody | None) -> str:
    """Return where the peer wants its first stream, empty if that is not known."""
    if body is None:
        return ""
    try:
        streams = SessionDescription.parse(body.data).media
    except RemoteProtocolError:
        return ""
    return streams[0].address if streams else ""
