"""What the registrar says of its decisions to those who ask later (element.decisions)."""

from __future__ import annotations

from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.status import reason_phrase
from twisted_sip.registrar.request import RegistrationRefused

KEPT = "contacts of {0} are registered"
REMOVED = "contacts of {0} are removed"
FETCHED = "{0} asks for the contacts, nothing changes"

#: Status -> the key that has the limit in it.
_KEYS = {423: "registrar.min_expires", 439: "registrar.outbound"}


def note_refusal(incoming: IncomingRequest, refusal: RegistrationRefused) -> None:
    """Note why a REGISTER is refused."""
    reason = refusal.reason or reason_phrase(refusal.status)
    key = "registrar.max_contacts" if reason.startswith("More than") else _KEYS.get(refusal.status, "")
    incoming.note("registrar", "{0}: {1}", key, str(refusal.status), reason)
