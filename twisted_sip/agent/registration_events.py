"""What happens to a registration, in its one stream of events."""

from __future__ import annotations

import enum

import attrs


class RegistrationState(enum.Enum):
    """Where a registration is."""

    #: Not begun.
    IDLE = "idle"
    #: The first REGISTERs are on their way.
    REGISTERING = "registering"
    #: At least one flow is registered.
    REGISTERED = "registered"
    #: None is; another try is due.
    WAITING = "waiting"
    #: None is, and nothing is tried any more.
    FAILED = "failed"
    #: The bindings are being taken back.
    LEAVING = "leaving"
    #: It is over.
    ENDED = "ended"


@attrs.frozen(slots=True, kw_only=True)
class Registered:
    """A flow was registered or refreshed.

    :ivar reg_id: which one.
    :ivar contact: what requests will come to.
    :ivar gruu: the public GRUU, empty without one.
    :ivar expires: seconds.
    :ivar outbound: the server uses the flow (RFC 5626).
    :ivar refreshed: it was registered before.
    """

    reg_id: int
    contact: str
    gruu: str
    expires: int
    outbound: bool
    refreshed: bool


@attrs.frozen(slots=True, kw_only=True)
class RegistrationRefused:
    """A REGISTER was refused or not answered.

    :ivar reg_id: which flow.
    :ivar status: the status of the response, 408 after a timeout, 503 where nobody could be reached.
    :ivar reason: its reason phrase.
    :ivar retry_in: seconds until the next try, None for none.
    """

    reg_id: int
    status: int
    reason: str
    retry_in: float | None


@attrs.frozen(slots=True, kw_only=True)
class FlowLost:
    """A flow has failed (RFC 5626 section 4.5).

    :ivar reg_id: which one.
    :ivar reason: what is known of why.
    :ivar retry_in: seconds until the next try, None for none.
    """

    reg_id: int
    reason: str
    retry_in: float | None


@attrs.frozen(slots=True, kw_only=True)
class BindingExpired:
    """A binding has run out before it could be refreshed.

    :ivar reg_id: of which flow.
    """

    reg_id: int


@attrs.frozen(slots=True, kw_only=True)
class RegistrationChanged:
    """The state is another one.

    :ivar state: the new state.
    """

    state: RegistrationState


RegistrationEvent = Registered | RegistrationRefused | FlowLost | BindingExpired | RegistrationChanged
