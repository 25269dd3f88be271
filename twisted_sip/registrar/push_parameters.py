"""What a REGISTER says of push notifications, and what the 200 says in return.

RFC 8599 sections 5.4, 5.6.1 and 6.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted_sip.interfaces.location import Binding
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI
from twisted_sip.registrar.request import Registration, RegistrationRefused, RequestedContact
from twisted_sip.registrar.settings import PushSettings, RegistrarSettings

#: Push services that cannot do without pn-param (sections 10 and 11).
_NEED_PARAM = frozenset(("apns", "fcm"))
#: What sip.pnsreg has to be more than (section 5.6.1.1).
_PNSREG = 120


def read_push(registration: Registration, request: Request, push: PushSettings, settings: RegistrarSettings) -> None:
    """Note in *registration* which of its contacts are to be woken, and what the answer tells of it.

    :raises RegistrationRefused: 555 for a push service that is not served here, 423 where a contact would end before
        its device could be woken to renew it.
    """
    elsewhere = _has_pns(request.headers)
    told: dict[str, None] = {}
    for contact in registration.contacts:
        uri = contact.uri
        if not contact.expires or not isinstance(uri, SIPURI) or "pn-provider" not in uri.params:
            continue
        provider = uri.params.get("pn-provider") or ""
        prid = uri.params.get("pn-prid")
        if prid and elsewhere:
            # Section 5.6.1.1: a proxy nearer to the device wakes it.
            continue
        if not provider:
            # Section 5.6.1.2: it asks for all that there are.
            told |= dict.fromkeys([_caps(each) for each in push.providers])
        elif push.serves(provider):
            if prid is None:
                told[_caps(provider)] = None
            else:
                param = uri.params.get("pn-param") or ""
                if (param or provider.lower() not in _NEED_PARAM) and " " not in param + prid:
                    _check_interval(contact, push, settings)
                    contact.push = f"{provider} {param} {prid}"
                    told[_caps(provider) + _pnsreg(contact, push)] = None
        elif push.refuse_others and not elsewhere:
            raise RegistrationRefused(555, key="push.refuse_others")
    registration.push = tuple(told)


def _has_pns(headers: HeaderMap) -> bool:
    return "feature-caps" in headers.names and any(
        "+sip.pns=" in value.lower().replace(" ", "") for value in headers.all("feature-caps")
    )


def _check_interval(contact: RequestedContact, push: PushSettings, settings: RegistrarSettings) -> None:
    # Section 5.6.1.1: it must not end before its device can be asked to renew it.
    least = min(2 * push.refresh_before, settings.max_expires)
    if contact.expires < least:
        raise RegistrationRefused(423, headers=(("min-expires", str(least)),), key="push.refresh_before")


def _caps(provider: str) -> str:
    return f'*;+sip.pns="{provider}"'


def _pnsreg(contact: RequestedContact, push: PushSettings) -> str:
    if "+sip.pnsreg" not in contact.params.lower() or not push.refresh_before:
        return ""
    # It renews by itself, and before it would be woken.
    return f';+sip.pnsreg="{max(_PNSREG + 1, push.refresh_before + 30)}"'


def feature_caps(
    registration: Registration, bindings: Sequence[Binding], purr: Callable[[Binding], str] | None
) -> list[tuple[str, str]]:
    """Return the Feature-Caps header fields of the 200 to *registration* (section 5.4).

    :param bindings: those that it has made.
    :param purr: makes the PURR of a binding (section 6.2.1); None where requests in a dialog wake nobody.
    """
    found = []
    for value in registration.push:
        if purr is not None:
            for binding in bindings:
                provider = binding.push.partition(" ")[0]
                if provider and value.startswith(_caps(provider)):
                    value += f';+sip.pnspurr="{purr(binding)}"'
                    break
        found.append(("feature-caps", value))
    return found
