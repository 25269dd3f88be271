"""The back-to-back user agent as a part of a server: behind the registrar, in place of the proxy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.dialog.dialogs import INVITE_USAGE, dialog_id_of
from twisted_sip.element.element import Element
from twisted_sip.errors import ConfigurationError, RemoteProtocolError
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.interfaces.processing import IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.media.plane import MediaPlane
from twisted_sip.media.settings import MediaSettings
from twisted_sip.message.request import Request
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.hosts import check_bindable, host_names, is_address
from twisted_sip.tap.part import Part, Prepared
from twisted_sip.tap.startup import StartFailure
from twisted_sip.transport.descriptors import parse_descriptor

if TYPE_CHECKING:
    from twisted_sip.tap.accounting_part import AccountingPart
    from twisted_sip.tap.composition import Server

#: What is answered beside what the registrar answers.
_METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "MESSAGE")


@implementer(IRequestProcessor)
class KnownDialogs:
    """Takes what belongs to a call before anybody is asked for a password: who knows both tags is in the call, and in
    a dialog without a call there is nothing to be had."""

    def __init__(self, b2bua: B2BUA) -> None:
        self._b2bua = b2bua

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Hand it to the b2bua, or pass it on."""
        request = incoming.request
        try:
            if not (request.headers.parsed.get("to") or request.to).tag:
                return None
        except RemoteProtocolError:
            return None
        b2bua = self._b2bua
        id = dialog_id_of(request)
        session = b2bua.dialogs.usage(id, INVITE_USAGE)
        if session is not None or id in b2bua.dialogs or b2bua.knows(request):
            return b2bua.ingress.within(incoming, id, session)
        return None


class B2BUAPart(Part):
    """The part.

    :ivar b2bua: the service, None before the start.
    :ivar b2bua_class: what is made; a subclass of B2BUA.
    """

    sections = ("b2bua", "media")
    # Where media pass is decided when the ports are there.
    fixed = ("b2bua.media", "media")

    b2bua_class: type[B2BUA] = B2BUA

    def __init__(self, accounting: AccountingPart | None = None) -> None:
        """Make the part.

        :param accounting: the part that keeps call records, and stands before this one; None for none.
        """
        self.b2bua: B2BUA | None = None
        self._accounting = accounting
        self._plane: MediaPlane | None = None

    def open_stores(self, server: Server, directory: Path) -> None:
        """Look whether media can have their address.

        :raises StartFailure: media cannot have their address.
        """
        if server.configuration.b2bua.media != "direct":
            try:
                check_bindable("media.host", media_settings(server.configuration).host)
            except ConfigurationError as error:
                raise StartFailure("\n".join(error.problems)) from error

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        configuration = server.configuration
        section = configuration.b2bua
        if section.media != "direct":
            self._plane = MediaPlane(server.reactor, media_settings(configuration))
        self.b2bua = self.b2bua_class(
            element,
            settings=section,
            location=server.location,
            routes=server.routing.router or (),
            media=self._plane,
            accounting=None if self._accounting is None else self._accounting.sink,
            policies=server.call_policies,
            domain=_domain(server.domains),
            trusts_everybody=not configuration.auth.required,
            now=server.reactor.seconds,
        )
        if self._accounting is not None:
            self._accounting.live.append(self._live)
        return [self.b2bua]

    def _live(self) -> Iterable[CallRecord]:
        """Give the records of the calls that are under way."""
        if self.b2bua is None:
            return ()
        return (call.notes.record() for call in (*self.b2bua.bridged, *self.b2bua.click_calls))

    def front_links(self) -> Sequence[Any]:
        assert self.b2bua is not None
        return [KnownDialogs(self.b2bua)]

    def claims(self, request: Request) -> bool:
        """It is the UAS of every call (RFC 3261 section 22.1)."""
        return request.method == "INVITE"

    def methods(self) -> Sequence[str]:
        return _METHODS

    def extensions(self) -> Sequence[str]:
        return () if self.b2bua is None else self.b2bua.terms.supported

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Make ready for other settings of calls that begin from then on."""

        def commit() -> None:
            if self.b2bua is not None:
                self.b2bua.configure(configuration.b2bua, trusts_everybody=not configuration.auth.required)
                self.b2bua.domain = _domain(server.domains)

        return Prepared(commit)

    def counts(self) -> Mapping[str, Any]:
        if self.b2bua is None:
            return {}
        counts = {"calls": len(self.b2bua.bridged) + len(self.b2bua.click_calls)}
        if self._plane is not None:
            relays = self._plane.relays
            counts["media relays"] = len(relays)
            counts["media packets"] = sum(relay.counts(side).packets for relay in relays for side in (0, 1))
        return counts

    async def close(self) -> None:
        plane, self._plane = self._plane, None
        if plane is not None:
            plane.close()
        self.b2bua = None


def media_settings(configuration: Configuration) -> MediaSettings:
    """Return the media settings, at the address that SIP listens on unless the file says something else."""
    media: MediaSettings = configuration.media
    section = configuration.server
    if media.host == attrs.fields(MediaSettings).host.default:
        descriptors = [parse_descriptor(text) for text in section.listen]
        found = [one.interface for one in descriptors if not one.wildcard]
        addresses = [name for name in host_names() if is_address(name)]
        media = attrs.evolve(media, host=(found or addresses or [media.host])[0].strip("[]"))
    if not media.advertise and section.advertise and is_address(section.advertise):
        media = attrs.evolve(media, advertise=section.advertise.strip("[]"))
    return media


def _domain(domains: Sequence[str]) -> str:
    return next((name for name in domains if not is_address(name)), "")
