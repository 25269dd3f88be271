"""A back-to-back user agent: a user agent that answers calls by making others (RFC 3261 section 6, RFC 7092).

Subclass it and override a hook: ``route``, ``authorize_call``, ``identity``. Nothing of one leg is seen on the other:
each has a Call-ID, tags, a Contact and session timers of its own, and only header fields that the policy names pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.agent.call import Call
from twisted_sip.agent.dialog_reference import target_dialog_of
from twisted_sip.agent.incoming_leg import IncomingLeg
from twisted_sip.agent.messages import InstantMessage
from twisted_sip.agent.redirection import redirection_targets
from twisted_sip.agent.referral import Referral
from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.b2bua.bridged_call import BridgedCall
from twisted_sip.b2bua.click_to_call import ClickToCall
from twisted_sip.b2bua.exchange import Bridge
from twisted_sip.b2bua.header_policy import HeaderPolicy
from twisted_sip.b2bua.joined_legs import JoinedLegs
from twisted_sip.b2bua.leg_making import LegMaking, agent_settings
from twisted_sip.b2bua.legs import BridgedLeg, CallerLeg
from twisted_sip.b2bua.noting import ReferralNotes
from twisted_sip.b2bua.passage import DirectPassage, Passage, RelayPassage
from twisted_sip.b2bua.policing import Policing
from twisted_sip.b2bua.routing import Routing
from twisted_sip.b2bua.settings import B2BUASettings
from twisted_sip.b2bua.target_set import fitting, targets_of
from twisted_sip.b2bua.transfers import Transfers
from twisted_sip.b2bua.users import UserCalls, callee_key, caller_key
from twisted_sip.dialog.dialogs import INVITE_USAGE
from twisted_sip.element.admission import AdmissionProcessor
from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.interfaces.location import ILocationStore
from twisted_sip.interfaces.processing import IncomingRequest, Verdict
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter

if TYPE_CHECKING:
    from twisted_sip.element.element import Element
    from twisted_sip.media.plane import MediaPlane

_CROWDED = "486: {0} has as many calls as one may have"


class B2BUA(LegMaking):
    """A back-to-back user agent.

    :ivar b2bua_settings: how it behaves.
    :ivar policy: which header fields pass.
    :ivar plane: makes media, None where they flow between the peers.
    :ivar accounting: an IAccountingSink, None for nobody.
    :ivar bridged: the calls that are not over.
    :ivar domain: stands in From in place of numeric addresses, empty to leave them.
    """

    incoming_leg: type[IncomingLeg] = CallerLeg
    serves_numbers = True

    def __init__(
        self,
        element: Element,
        *,
        settings: B2BUASettings | None = None,
        location: ILocationStore | None = None,
        routes: Sequence[StaticRoute] | StaticRouter = (),
        authenticator: Authenticator | None = None,
        media: MediaPlane | None = None,
        accounting: Any = None,
        policy: HeaderPolicy | None = None,
        domain: str = "",
        policies: Any = None,
        trusts_everybody: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Make a b2bua.

        :param location: where users are registered; they can be called then.
        :param routes: static routes, asked first; or a router that asks them.
        :param authenticator: asks callers who claim to be users of ours who they are; not needed where a link of the
            chain before this one has done so.
        :param media: makes media; needed to relay or transcode.
        :param accounting: an IAccountingSink.
        :param policies: an ICallPolicyStore: what our users want to become of calls to them.
        :param trusts_everybody: let everybody call everywhere: for networks of our own only.
        :param now: gives the time for call records, in seconds since the epoch.
        :raises LocalProtocolError: the settings want media, and there is nothing that makes them.
        """
        self.b2bua_settings = settings = settings or B2BUASettings()
        if settings.media != "direct" and media is None:
            raise LocalProtocolError(f"media = {settings.media!r} needs something that makes media")
        super().__init__(element, settings=agent_settings(settings), media=media)
        self.plane = media
        self.accounting = accounting
        self.policy = policy or HeaderPolicy.build(add=settings.pass_headers, remove=settings.remove_headers)
        self.domain = domain
        self.now = now
        self.bridged: dict[BridgedCall, None] = {}
        self.click_calls: dict[ClickToCall, None] = {}
        self.users = UserCalls(settings.max_calls_per_user)
        self.transfers = Transfers(self)
        self.referring = self.transfers.referring
        policing = None if policies is None else Policing(policies, element, now, location)
        self._routing = Routing(element, location, routes, trusts_everybody=trusts_everybody, policing=policing)
        self._admission = (
            AdmissionProcessor(element.domains, element.dialog_tokens, authenticator) if authenticator else None
        )
        self.session_number = int(element.random_text()[:7], 16)

    def configure(self, settings: B2BUASettings, *, trusts_everybody: bool) -> None:
        """Take other settings for the calls that begin from now on; how media pass stays as it is.

        A header policy that was given at the beginning is replaced by that of the settings.
        """
        settings = attrs.evolve(settings, media=self.b2bua_settings.media)
        self.b2bua_settings = settings
        self.settings = agent_settings(settings)
        self.dialogs.limit = max(self.dialogs.limit, 2 * self.settings.max_calls)
        self.forget_terms()
        self.policy = HeaderPolicy.build(add=settings.pass_headers, remove=settings.remove_headers)
        self.users.most = settings.max_calls_per_user
        self._routing.trusts_everybody = trusts_everybody

    # -- hooks --------------------------------------------------------------------------------------

    def authorize_call(self, call: JoinedLegs) -> Any:
        """Tell whether *call* may be made, and for how many seconds: a number, or True for no limit of this kind.

        Asked before the callee is called, and again, shortly before they are used up, for how many more seconds it may
        last (``call.seconds`` have been talked then); may be ``async``. 0 or False refuses with 403, as does
        RemoteProtocolError with a status of its own (402 above all). Default: True.
        """
        return True

    def route(self, call: BridgedCall) -> Any:
        """Return where *call* goes: a URI or Target, several of them, or a status; may be ``async``.

        Targets with the same ``q`` are called at once, URIs one after the other. ``call.media``, ``call.headers`` and
        ``call.max_duration`` may be set here. Default: static routes, registered users, for callers who are no
        strangers the world.
        """
        return self._routing.route(call)

    def redirected(self, call: BridgedCall, response: Response) -> Any:
        """Return the targets to try since a callee has redirected the call. Default: as the settings say."""
        return self._routing.redirected(call, redirection_targets(response), self.b2bua_settings.redirects)

    def unanswered(self, call: BridgedCall, status: int) -> Any:
        """Return where *call* goes on, which nobody has answered but with *status*: as for ``route``, None for nowhere.

        Default: as the call policy of the callee says for calls when the user is busy, absent or does not answer.
        """
        return None if call.policed is None else self._routing.unanswered(call, status)

    def accept_transfer(self, call: Call | None, referral: Referral) -> Any:
        """Tell whether to carry out what a REFER asks for. Default: as the settings say, in calls that go through here;
        where it leads to is decided as for any call of that peer."""
        leg = call.leg if call is not None else None
        notes = ReferralNotes(self.element, referral)
        if referral.outside and self._routing.is_stranger(referral.identity):
            # RFC 4538 section 8: whoever has seen one message of a call knows its Target-Dialog.
            notes.note("b2bua", "603: strangers have nobody transferred", "auth.required")
        elif not self.b2bua_settings.transfers:
            notes.note("b2bua", "603: transfers are not carried out", "b2bua.transfers")
        elif not isinstance(leg, BridgedLeg) or leg.bridged is None:
            notes.note("b2bua", "603: it is in no call that could be transferred")
        else:
            return True
        return False

    def accept_replaces(self, call: Call, incoming: IncomingRequest) -> Any:
        """Tell whether a new call may take the place of *call* (RFC 3891 section 8). Default: as the settings say, for
        callers who have proved who they are."""
        if not self.b2bua_settings.transfers:
            incoming.note("b2bua", "403: nobody takes the place of another one", "b2bua.transfers")
        elif self._routing.is_stranger(incoming.user):
            incoming.note("b2bua", "403: strangers take the place of nobody", "auth.required")
        else:
            return True
        return False

    def accept_join(self, call: Call, incoming: IncomingRequest) -> Any:
        """Nobody joins a call here (RFC 3911)."""
        return False

    def route_transfer(self, call: JoinedLegs, leg: BridgedLeg, referral: Referral) -> Any:
        """Return where ``referral.target`` is, whom the peer of *leg* wants *call* transferred to; as for ``route``.

        Default: where a call of that peer would go. The call policy of whoever is to be called counts, as for calls of
        who stays, unless they are talking already.
        """
        party = None if referral.replaces else call.other_leg(leg)
        return self._routing.placed(referral.target, leg.user, party, ReferralNotes(self.element, referral))

    def route_click(self, call: ClickToCall, uri: URI) -> Any:
        """Return where *uri* is, one of the two of *call*; as for ``route``. Who has made it is no stranger; the call
        policy of the second one counts."""
        first = call.caller.leg if call.caller is not None else None
        party = first if isinstance(first, BridgedLeg) else None
        return self._routing.placed(uri, call.user or "sip:click-to-call@localhost", party)

    def media_for(self, call: JoinedLegs | None, mode: str) -> Passage:
        """Return how media of *call* pass between its legs, for a *mode* of ``direct`` or ``relay``.

        :raises MediaRefused: there is nothing that relays, or no room.
        """
        if mode == "direct":
            return DirectPassage()
        if self.plane is None:
            raise MediaRefused("No media here", status=488)
        return RelayPassage(self.plane)

    def serves(self, uri: SIPURI) -> bool:
        """Everything that has come here and not been taken by somebody else."""
        return True

    # -- incoming --------------------------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Take calls, and what belongs to them."""
        request = incoming.request
        if not (request.headers.parsed.get("to") or request.to).tag:
            method = request.method
            if method != "INVITE" and not self._is_ours_alone(request):
                return None
            if method == "INVITE" and self.calls_for_help(request):
                self._routing.to_number(request)
            elif method == "INVITE" and len(self.bridged) >= self.b2bua_settings.max_calls:
                incoming.note("b2bua", "503: there are as many calls as there may be", "b2bua.max_calls")
                raise RemoteProtocolError("Too many calls", status=503)
            if self._admission is not None and not incoming.admitted:
                verdict = self._admission.process(incoming)
                if verdict is not None:
                    if not isinstance(verdict, Deferred):
                        return verdict
                    return verdict.addCallback(lambda found: self._admitted(found, incoming))
        return self.ingress.process(incoming)

    def _admitted(self, verdict: Verdict, incoming: IncomingRequest) -> Any:
        return self.ingress.process(incoming) if verdict is None else verdict

    def _is_ours_alone(self, request: Request) -> bool:
        """Tell whether *request*, which is no INVITE and in no dialog, is for us and not for a user."""
        if request.method == "OPTIONS":
            return self.knows(request)
        if request.method != "REFER":
            return False
        # RFC 4538: who sends it is in a call here.
        id = target_dialog_of(request)
        return id is not None and self.dialogs.usage(id, INVITE_USAGE) is not None

    def knows(self, request: Request) -> bool:
        """Tell whether *request* is in a dialog of a call here, or addressed to our Contact."""
        uri = request.known_uri or request.uri
        return isinstance(uri, SIPURI) and uri.user == self.user

    def incoming_call(self, call: Call) -> None:
        """A call has come in: connect it with another one."""
        leg = call.leg
        assert isinstance(leg, CallerLeg)
        leg.user = leg.incoming.user
        self.equip(leg)
        if call.replaces is not None:
            self.transfers.replacing(call)
            return
        request = call.request
        if request.max_forwards == 0:
            call.reject(483)
            return
        bridged = BridgedCall(self, call, request.known_uri or request.uri, leg.incoming.user)
        self.bridged[bridged] = None
        crowded = self.users.most and not self.users.enter(bridged, caller_key(bridged))
        if crowded and not self.calls_for_help(request):
            leg.incoming.note("b2bua", _CROWDED, "b2bua.max_calls_per_user", caller_key(bridged))
            bridged.refuse(486)
            return
        bridged.begin()
        if not bridged.hunt.attempts:
            bridged.has_to_wait()

    def calls_for_help(self, request: Request) -> bool:
        """Tell whether *request* is an emergency call: no limit holds for it, and nobody is asked whether it may be."""
        emergency = self._routing.static.emergency
        return emergency is not None and emergency.active and bool(emergency.number_of(request))

    def incoming_message(self, message: InstantMessage) -> Any:
        """A MESSAGE in a call is for the other leg.

        :raises RemoteProtocolError: there is none, or it does not take it.
        """
        call = message.call
        leg = call.leg if call is not None else None
        if not isinstance(leg, BridgedLeg) or leg.bridged is None:
            raise RemoteProtocolError("Method Not Allowed", status=405)
        other = leg.bridged.other_leg(leg)
        if other is None or not other.call.established:
            raise RemoteProtocolError("Temporarily Unavailable", status=480)
        return other.call.message(message.body, message.content_type).addErrback(_refused)

    # -- legs ------------------------------------------------------------------------------------------------

    def make_bridge(self, call: JoinedLegs, mode: str) -> Bridge:
        """Return what the two legs of *call* are joined by.

        :raises MediaRefused: see :meth:`media_for`.
        """
        return Bridge(self.media_for(call, mode), mode, call.fell_silent)

    def targets_of(self, route: Any, asked: URI) -> Sequence[Target] | int:
        """Return the targets that *route* means, or the status that it refuses with.

        :param asked: who is called.
        """
        found: Sequence[Target] | int = fitting(targets_of(route), asked)
        return found

    def click_to_call(
        self, a: URI | str, b: URI | str, *, flow: str = "IV", identity: NameAddr | str | None = None, user: str = ""
    ) -> ClickToCall:
        """Call *a*, and when that has answered *b*, and connect them (RFC 3725).

        :param flow: ``IV`` for people, with ``III`` for phones that take no offer without streams; ``III`` for all;
            ``I`` where *b* is a machine that answers at once (section 5).
        :param identity: what stands in From, for both; each sees the address of the other unless given.
        :param user: the address-of-record that is counted for it.
        :return: what becomes of it: ``connected`` and ``ended`` are Deferreds.
        :raises LocalProtocolError: a value that SIP does not allow, or as many calls as there may be, or of *user*.
        """
        if len(self.bridged) + len(self.click_calls) >= self.b2bua_settings.max_calls:
            raise LocalProtocolError("there are as many calls as there may be")
        made = ClickToCall(self, a, b, flow=flow, identity=identity, user=user)
        if user and not self.users.enter(made, user):
            raise LocalProtocolError(f"{user} has as many calls as one may have")
        self.click_calls[made] = None
        made.begin()
        return made

    # -- counting --------------------------------------------------------------------------------------------

    def enter_user(self, bridged: BridgedCall, target: Target) -> int:
        """Count a call to *target*; return the status that refuses it, 0 if it may be made."""
        if not self.users.most:
            return 0
        key = callee_key(bridged, target)
        free = not key or self.users.enter(bridged, key) or self.calls_for_help(bridged.request)
        if not free:
            bridged.caller_leg.incoming.note("b2bua", _CROWDED, "b2bua.max_calls_per_user", key)
        return 0 if free else 486

    def forget(self, bridged: JoinedLegs) -> None:
        """*bridged* is over."""
        if isinstance(bridged, BridgedCall):
            self.bridged.pop(bridged, None)
        elif isinstance(bridged, ClickToCall):
            self.click_calls.pop(bridged, None)
        # It was counted, perhaps, while there was a limit.
        self.users.leave(bridged)

    def stopService(self) -> Deferred[None]:
        """End every call, and write their records; see UserAgent."""
        for bridged in list(self.bridged):
            bridged.hangup("Server is going down")
        for click in list(self.click_calls):
            click.hangup("Server is going down")
        return super().stopService().addCallback(self._closed)

    def _closed(self, _: None) -> None:
        self.transfers.close()


def _refused(failure: Any) -> None:
    raise RemoteProtocolError("Refused", status=getattr(failure.value, "status", 500))
