"""One phone of the soak: a user agent that registers, publishes, watches, writes, calls, and is called.

What it does next is drawn by lot; so is whether it answers, holds, changes its mind or is busy.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_sip.agent.call import Call
from twisted_sip.agent.messages import InstantMessage
from twisted_sip.agent.registration_terms import RegistrationSettings
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.element.element import Element
from twisted_sip.errors import SIPError
from twisted_sip.events.publishing import Publisher
from twisted_sip.events.subscription import Subscription
from twisted_sip.transport.settings import TLSSettings, TransportSettings

DOMAIN = "soak.test"
#: Seconds that phones ask for. The session interval is the least that RFC 4028 section 5 allows.
REGISTERED, PUBLISHED, WATCHED, SESSION = 30, 30, 40, 90
#: Users who are never there: what is written to them waits until it expires.
AWAY = 5
#: What a phone does, and how often compared with the rest.
LOTS = {
    "call": 30,
    "message": 20,
    "publish": 12,
    "watch": 10,
    "unwatch": 8,
    "register_anew": 8,
    "options": 6,
    "message_away": 3,
    "lose_connection": 2,
    "message_nobody": 1,
    "wrong_password": 1,
}
_EVENTS = ("presence", "presence", "presence", "dialog", "reg")

_SDP = (
    "v=0\r\no=- {id} {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 49170 RTP/AVP 0\r\na={way}\r\n"
)
_PIDF = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="{entity}">'
    '<tuple id="p{id}"><status><basic>{basic}</basic></status><note>{note}</note></tuple></presence>\n'
)


class Phone(UserAgent):
    """A phone.

    :param user: its number among the users.
    :param users: how many there are.
    :param transport: by which it reaches the server.
    :param port: of the server, for that transport.
    :param near: users that it does not call: those who die together with it.
    """

    def __init__(
        self,
        reactor: Any,
        user: int,
        users: int,
        transport: str,
        port: int,
        lots: random.Random,
        counts: Counter[str],
        near: range = range(0),
    ) -> None:
        element = Element(reactor, transport_settings=TransportSettings(tls=TLSSettings(verify_peers=False)))
        settings = AgentSettings(
            user_agent="soak", session_expires=SESSION, ring_timeout=25.0, farewell=3.0, max_calls_per_source=0
        )
        super().__init__(element, settings=settings)
        self.number, self.lots, self.counts = user, lots, counts
        self.others = [number for number in range(users) if number != user]
        self.callees = [number for number in self.others if number not in near]
        self.transport = transport
        self.aor = f"sip:u{user}@{DOMAIN}"
        self.proxy = f"sip:127.0.0.1:{port};transport={transport};lr"
        self.publisher = Publisher(element)
        self.watching: list[Subscription] = []
        self._state: Any = None
        self._serial = 0

    def start(self) -> None:
        """Open a socket and register."""
        self.element.transports.listen("udp:0:interface=127.0.0.1")
        self.startService()
        self.sign_on()

    def sign_on(self) -> None:
        """Register, with the password that `soak_server` has given the user."""
        registration = self.register(
            self.aor,
            password=f"secret{self.number}",
            outbound_proxies=[self.proxy],
            settings=RegistrationSettings(expires=REGISTERED, base_all_failed=3.0, longest_wait=10.0, farewell=3.0),
        )
        self.outcome("registered", registration.when_registered())

    def registration_failed(self, failure: Failure, registration: Any) -> None:
        """Whoever waits for it counts it."""

    # -- what is drawn -------------------------------------------------------------------------

    def act(self) -> None:
        """Do one thing."""
        kind = self.lots.choices(list(LOTS), list(LOTS.values()))[0]
        self.counts["operations"] += 1
        try:
            getattr(self, f"do_{kind}")()
        except SIPError as error:
            self.counts[f"not begun: {error}"] += 1

    def outcome(self, what: str, waiting: Deferred[Any]) -> None:
        """Count how it goes."""

        def failed(failure: Failure) -> None:
            failure.trap(SIPError)
            self.counts[f"{what}: {getattr(failure.value, 'status', 0) or failure.getErrorMessage()}"] += 1

        waiting.addCallbacks(lambda _: self.counts.update([what]), failed)

    def somebody(self, among: list[int] | None = None) -> str:
        """Return the URI of another user."""
        return f"sip:u{self.lots.choice(among or self.others)}@{DOMAIN}"

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Do it when that time has passed."""
        self.element.reactor.callLater(seconds, what)

    def do_message(self) -> None:
        self.outcome("message", self.message(self.somebody(), f"hello {self.lots.random()}"))

    def do_message_away(self) -> None:
        to = f"sip:away{self.lots.randrange(AWAY)}@{DOMAIN}"
        self.outcome("message kept", self.message(to, f"are you there? {self.lots.random()}"))

    def do_message_nobody(self) -> None:
        self.outcome("message to nobody", self.message(f"sip:x{self.lots.randrange(10**6)}@{DOMAIN}", "hello"))

    def do_options(self) -> None:
        self.outcome("options", self.options(f"sip:{DOMAIN}"))

    def do_publish(self) -> None:
        account = self.account_of_choice
        if self._state is None:
            self._state = self.publisher.publication(
                self.aor,
                "presence",
                from_=f"<{self.aor}>",
                expires=PUBLISHED,
                credentials=account.credentials,
                route=[f"<{self.proxy}>"],
            )
        basic = self.lots.choice(("open", "closed"))
        body = _PIDF.format(entity=self.aor, id=self.number, basic=basic, note=self.lots.randrange(1000))
        self.outcome("published", self._state.publish(body.encode(), "application/pidf+xml"))

    def do_watch(self) -> None:
        if len(self.watching) >= 6:
            self.do_unwatch()
            return
        event = self.lots.choice(_EVENTS)
        watched = self.aor if event == "reg" else self.somebody()

        def told(notified: Any) -> None:
            self.counts["notified"] += 1

        subscription = self.subscriber.subscribe(
            watched,
            event,
            from_=f"<{self.aor}>",
            expires=WATCHED,
            on_notify=told,
            credentials=self.account_of_choice.credentials,
            route=[f"<{self.proxy}>"],
        )
        self.watching.append(subscription)
        self.counts["subscribed"] += 1

        def over(_: object) -> None:
            if subscription in self.watching:
                self.watching.remove(subscription)
            if subscription.status >= 300:
                self.counts[f"subscription: {subscription.status}"] += 1

        subscription.when_over().addCallback(over)

    def do_unwatch(self) -> None:
        if self.watching:
            self.outcome("unsubscribed", self.watching.pop(0).unsubscribe())

    def do_register_anew(self) -> None:
        if self.registrations:
            leaving = self.unregister(self.registrations[0])
            self.outcome("unregistered", leaving)
            leaving.addBoth(lambda _: None if self.stopping else self.sign_on())

    def do_lose_connection(self) -> None:
        """A connection breaks: the server is told nothing."""
        for flow in self.element.transports.connections.flows():
            flow.abort()
            self.counts["connections broken"] += 1

    def do_wrong_password(self) -> None:
        """Somebody tries a password, for a user that is nobody's phone."""
        registration = self.register(
            f"sip:guess{self.lots.randrange(3)}@{DOMAIN}",
            password="guess",
            outbound_proxies=[self.proxy],
            settings=RegistrationSettings(expires=REGISTERED, retry=False, farewell=1.0),
        )
        self.outcome("guessed", registration.when_registered())
        self.later(2.0, lambda: None if self.stopping else self.unregister(registration) and None)

    # -- calls -----------------------------------------------------------------------------------

    def body(self, way: str = "sendrecv") -> SessionBody:
        """Return a description of ours."""
        self._serial += 1
        return SessionBody("application/sdp", _SDP.format(id=self.number, version=self._serial, way=way).encode())

    def do_call(self) -> None:
        call = self.call(self.somebody(self.callees), media=None, body=self.body(), timeout=self.lots.uniform(6, 20))
        self.outcome("call", call.answered)
        if self.lots.random() < 0.15:
            self.counts["cancelled"] += 1
            self.later(self.lots.uniform(0.0, 1.0), call.hangup)
        else:
            call.answered.addCallbacks(self._talk, lambda _: None)

    def _talk(self, call: Call) -> Call:
        length = self.lots.uniform(1, 8)
        self.later(length, call.hangup)
        lot = self.lots.random()
        if lot < 0.2:
            self.later(length * 0.3, lambda: self._change(call, "hold", "sendonly"))
            self.later(length * 0.6, lambda: self._change(call, "resume", "sendrecv"))
        elif lot < 0.35:
            self.later(length * 0.5, lambda: self._change(call, "re-INVITE", "sendrecv"))
        return call

    def _change(self, call: Call, what: str, way: str) -> None:
        if not call.over:
            self.outcome(what, call.update(self.body(way)))

    def incoming_call(self, call: Call) -> None:
        self.counts["incoming"] += 1
        call.on_offer = lambda *_: self.body()
        lot = self.lots.random()
        if lot < 0.1:
            call.reject(486)
            return
        call.ring().addErrback(lambda failure: failure.trap(SIPError))
        if lot < 0.2:
            return  # nobody is at home
        self.later(self.lots.uniform(0.1, 1.5), lambda: self._pick_up(call))

    def _pick_up(self, call: Call) -> None:
        if call.over:
            return
        answering = call.answer(media=None, body=self.body())
        answering.addErrback(lambda failure: failure.trap(SIPError))
        if self.lots.random() < 0.3:
            self.later(self.lots.uniform(1, 8), call.hangup)

    def incoming_message(self, message: InstantMessage) -> None:
        self.counts["message received"] += 1
