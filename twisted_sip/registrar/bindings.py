"""From a REGISTER and the bindings there are to the change it makes: pure functions (RFC 3261 section 10.3).

Covers steps 6 and 7: which binding a contact means (section 19.1.4, RFC 5626 section 6, RFC 5630 section 5.2), the
order of Call-ID and CSeq, all or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.location import Binding, LocationChange, make_binding
from twisted_sip.message.uri import SIPURI, URI, parse_uri
from twisted_sip.registrar.request import Registration, RegistrationRefused, RequestedContact
from twisted_sip.registrar.series import with_series
from twisted_sip.registrar.settings import RegistrarSettings


def plan_change(
    aor: str,
    registration: Registration,
    bindings: Sequence[Binding],
    settings: RegistrarSettings,
    *,
    now: float,
    flow: str = "",
    received: str = "",
    node: str = "",
    new_series: Callable[[int], str] | None = None,
) -> LocationChange:
    """Return the change that *registration* makes to the *bindings* of *aor*.

    :param bindings: the unexpired bindings there are.
    :param now: seconds since the epoch.
    :param flow: the token of the flow that leads to the client, or empty.
    :param received: the source of the request, for people to read.
    :param node: the node that holds the flow.
    :param new_series: names a new series of registrations, by the CSeq number that it begins with; None where the
        client wants no GRUUs.
    :raises RegistrationRefused: the request is out of order, or wants too many bindings; nothing is changed then.
    """
    if registration.star:
        for binding in bindings:
            _check_order(registration, binding)
        return LocationChange(aor, remove=tuple([binding.key for binding in bindings]))
    contacts = registration.contacts
    if (
        len(contacts) == 1
        and contacts[0].expires
        and not contacts[0].key
        and not (contacts[0].instance and (new_series is not None or (bindings and bindings[0].series)))
    ):
        # The usual REGISTER of one phone, told apart because each step of the general way below costs: the first
        # binding of its user, or a refresh of the only one in the very words of its registration.
        (contact,) = contacts
        key = ""
        if not bindings:
            key = _canonical(contact.uri)
        elif len(bindings) == 1 and bindings[0].contact == contact.text and not bindings[0].reg_id:
            _check_order(registration, bindings[0])
            key = bindings[0].key
        if key:
            return LocationChange(aor, (_binding(aor, key, contact, registration, now, flow, received, node),))
    known = {binding.key: binding for binding in bindings}
    put: dict[str, Binding] = {}
    remove: dict[str, None] = {}
    for contact in contacts:
        key = contact.key or _key_of(contact, known, put)
        existing = known.get(key)
        if existing is not None:
            _check_order(registration, existing)
        if not contact.expires:
            put.pop(key, None)
            if existing is not None:
                remove[key] = None
            continue
        remove.pop(key, None)
        put[key] = _binding(aor, key, contact, registration, now, flow, received, node)
    if put:
        # Only what makes them more is refused: a limit that was lowered must not keep anybody from refreshing.
        added = sum(1 for key in put if key not in known)
        if added and len(known) + added - len(remove) > settings.max_contacts:
            raise RegistrationRefused(403, f"More than {settings.max_contacts} contacts", key="registrar.max_contacts")
        if any(binding.instance for binding in put.values()):
            with_series(put, known, remove, registration, new_series)
    return LocationChange(aor, tuple(put.values()), tuple(remove))


def _binding(
    aor: str,
    key: str,
    contact: RequestedContact,
    registration: Registration,
    now: float,
    flow: str,
    received: str,
    node: str,
) -> Binding:
    return make_binding(
        aor,
        key,
        contact.text,
        registration.call_id,
        registration.cseq,
        now + contact.expires,
        contact.q,
        contact.params,
        registration.path,
        contact.instance,
        contact.reg_id,
        flow,
        received,
        registration.user_agent,
        now,
        node,
        "",
        contact.push,
    )


def apply_change(bindings: Sequence[Binding], change: LocationChange) -> list[Binding]:
    """Return *bindings* as *change* leaves them, in the order of their first making."""
    if len(change.put) == 1 and not change.remove and len(bindings) < 2:
        # The usual case: the one contact of one phone.
        if not bindings or bindings[0].key == change.put[0].key:
            return [change.put[0]]
    made = {binding.key: binding for binding in bindings}
    for key in change.remove:
        made.pop(key, None)
    for binding in change.put:
        made[binding.key] = binding
    return list(made.values())


def _check_order(registration: Registration, binding: Binding) -> None:
    # Section 10.3 steps 6 and 7: from the same client, and not newer than what we have. The request fails as a whole.
    if binding.call_id == registration.call_id and registration.cseq <= binding.cseq:
        raise RegistrationRefused(500, "CSeq is not higher than that of the binding")


def _key_of(contact: RequestedContact, known: Mapping[str, Binding], put: Mapping[str, Binding]) -> str:
    """Return the key of the binding that *contact* means, a new one if there is none.

    Equivalent URIs have one canonical form, but URIs with one canonical form need not be equivalent.
    """
    text = contact.text
    for binding in known.values():
        # A refresh, in the very words of the registration.
        if binding.contact == text and not binding.reg_id:
            return binding.key
    key = _canonical(contact.uri)
    same_key = known.get(key) or put.get(key)
    if same_key is None:
        if not known and not put:
            return key
    elif same_key.contact == text:
        return key
    # A space, which no URI holds, parts the canonical form from what tells those apart that share it.
    prefix = f"{key} "
    for candidates in (known, put):
        for candidate in candidates.values():
            if candidate.key == key or candidate.key.startswith(prefix):
                if not candidate.reg_id and _equivalent(contact, candidate):
                    return candidate.key
    return key if same_key is None else f"{prefix}{text}"


def _canonical(uri: URI) -> str:
    text = uri.canonical() if isinstance(uri, SIPURI) else str(uri)
    # RFC 5630 section 5.1.1.1: the sip and the sips version of a contact replace each other.
    return f"sip:{text[5:]}" if text.startswith("sips:") else text


def _equivalent(contact: RequestedContact, binding: Binding) -> bool:
    if contact.text == binding.contact:
        return True
    try:
        other = parse_uri(binding.contact)
    except RemoteProtocolError:
        return False
    uri = contact.uri
    if not isinstance(uri, SIPURI) or not isinstance(other, SIPURI):
        return str(uri) == str(other)
    if uri.scheme != other.scheme:
        uri, other = uri.replace(scheme="sip"), other.replace(scheme="sip")
    return uri.equivalent(other)
