"""What an operator may decide about registrations (RFC 3261 section 10.3 and its extensions)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import check_value, is_token


def _positive(instance: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise LocalProtocolError(f"{attribute.name}: {value} must be 1 or more")


def _not_negative(instance: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 0:
        raise LocalProtocolError(f"{attribute.name}: {value} must be 0 or more")


def _patterns(instance: Any, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for text in value:
        if not text.startswith("sip:") or "@" not in text:
            raise LocalProtocolError(f'{attribute.name}: "{text}" is no address-of-record, write sip:user@domain')


@attrs.frozen(slots=True, kw_only=True)
class ThirdParty:
    """Who may register contacts for whom (RFC 3261 sections 10.2 and 10.3): ``[[registrar.third_party]]``.

    :ivar registrants: addresses-of-record that may; ``*`` stands for any text, so ``sip:*@example.com`` is everybody
        there.
    :ivar users: for whom, written alike.
    """

    registrants: tuple[str, ...] = attrs.field(
        validator=_patterns, metadata={"help": "who may register contacts of others, like `sip:desk@example.com`"}
    )
    users: tuple[str, ...] = attrs.field(
        validator=_patterns, metadata={"help": "for whom; `*` stands for any text, as in `sip:2*@example.com`"}
    )

    def allows(self, registrant: str, aor: str) -> bool:
        """Tell whether *registrant* may register contacts for *aor*, both canonical addresses-of-record."""
        return any(fnmatchcase(registrant, _pattern(text)) for text in self.registrants) and any(
            fnmatchcase(aor, _pattern(text)) for text in self.users
        )


def _pattern(text: str) -> str:
    # Of all that fnmatch knows a star alone has a meaning here.
    return text.replace("[", "[[]").replace("?", "[?]")


def _routes(instance: Any, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for route in value:
        check_value(route)


@attrs.frozen(slots=True, kw_only=True)
class RegistrarSettings:
    """One snapshot of the registrar's settings; swapped whole.

    :ivar default_expires: seconds granted to who asks for no time (RFC 3261 section 10.3 step 7).
    :ivar min_expires: who asks for less is refused with 423; a request for an hour or more never is.
    :ivar max_expires: who asks for more gets this.
    :ivar max_contacts: how many bindings one address-of-record may have; more are refused with 403.
    :ivar gruu: give public GRUUs to those who support them (RFC 5627).
    :ivar temporary_gruus: give them temporary GRUUs as well, which do not tell whose they are.
    :ivar outbound: bind to instance and reg-id (RFC 5626); off, reg-id is ignored and ``Require: outbound`` refused.
    :ivar flow_timer: seconds within which a keep-alive is expected on a stream (RFC 5626 section 4.4), told in
        Flow-Timer; 0 leaves it out. For a datagram flow it is 29 at most, so that bindings of NATs survive.
    :ivar service_route: Service-Route values for every 200, topmost first (RFC 3608).
    :ivar path_without_support: take a Path though the client does not say that it supports it, instead of 420
        (RFC 3327 section 5.3).
    :ivar local_contacts: let contacts point to our own domains; a client can make requests go in circles with them.
    :ivar reg_event: tell users of their registrations (event ``reg``, RFC 3680) where no presence is served, too.
    :ivar third_party: who may register contacts for others; nobody else, who is told 403.
    """

    default_expires: int = attrs.field(default=3600, validator=_positive)
    min_expires: int = attrs.field(default=60, validator=_not_negative)
    max_expires: int = attrs.field(default=7200, validator=_positive)
    max_contacts: int = attrs.field(default=10, validator=_positive)
    gruu: bool = True
    temporary_gruus: bool = True
    outbound: bool = True
    flow_timer: int = attrs.field(default=120, validator=_not_negative)
    service_route: tuple[str, ...] = attrs.field(default=(), validator=_routes)
    path_without_support: bool = False
    local_contacts: bool = False
    reg_event: bool = False
    third_party: tuple[ThirdParty, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not self.min_expires <= self.max_expires:
            raise LocalProtocolError(
                f"min_expires: {self.min_expires} is more than max_expires, write {self.max_expires} or less"
            )


def _no_url_without_providers(url: str, providers: tuple[str, ...]) -> None:
    if url and not providers:
        raise LocalProtocolError(
            'providers: is missing beside url, write those that the url serves, like ["apns", "fcm"]'
        )


def _provider(instance: Any, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for text in value:
        if not is_token(text):
            raise LocalProtocolError(f'{attribute.name}: "{text}" is no pn-provider, write one like apns')


@attrs.frozen(slots=True, kw_only=True)
class PushSettings:
    """How devices are woken that sleep until a push notification comes (RFC 8599): ``[push]``.

    :ivar providers: the types of push services, as phones write them into ``pn-provider``.
    """

    providers: tuple[str, ...] = attrs.field(
        default=(),
        converter=tuple,
        validator=_provider,
        metadata={"help": "push services by which devices are woken, as phones name them: apns, fcm, webpush"},
    )
    url: str = attrs.field(
        default="",
        metadata={"help": "URL that is asked, with a POST of JSON, to send a push notification"},
    )
    timeout: float = attrs.field(
        default=5.0, validator=attrs.validators.gt(0), metadata={"help": "seconds until that URL must have answered"}
    )
    refuse_others: bool = attrs.field(
        default=True, metadata={"help": "answer 555 to devices of other push services; false registers them unwoken"}
    )
    wait: float = attrs.field(
        default=15.0,
        validator=attrs.validators.gt(0),
        metadata={"help": "seconds for which a call waits for a device to wake up and register"},
    )
    wait_other: float = attrs.field(
        default=5.0,
        validator=[attrs.validators.gt(0), attrs.validators.lt(30)],
        metadata={"help": "the same for other requests, whose senders are less patient"},
    )
    awake: float = attrs.field(
        default=10.0,
        validator=attrs.validators.ge(0),
        metadata={"help": "seconds after a registration for which a device is believed to be awake"},
    )
    refresh_before: int = attrs.field(
        default=150,
        validator=attrs.validators.ge(0),
        metadata={"help": "seconds before its registration ends that a device is woken to renew it; 0: never"},
    )
    max_waiting: int = attrs.field(
        default=1000, validator=attrs.validators.ge(1), metadata={"help": "the most requests that wait for devices"}
    )
    max_waiting_per_device: int = attrs.field(
        default=10, validator=attrs.validators.ge(1), metadata={"help": "the most requests that wait for one device"}
    )
    in_dialog: bool = attrs.field(
        default=True, metadata={"help": "wake devices for requests in a dialog too (pn-purr), for those that want it"}
    )

    def __attrs_post_init__(self) -> None:
        _no_url_without_providers(self.url, self.providers)

    def serves(self, provider: str) -> bool:
        """Tell whether devices of the push service *provider* are woken."""
        return provider.lower() in [each.lower() for each in self.providers]
