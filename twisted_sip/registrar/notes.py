"""What the registrar says of its decisions to those who ask later (element.decisions)."""

from __future__ import annotations

from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.status import reason_phrase
from twisted_sip.registrar.request import RegistrationRefused

KEPT = "contacts of {0} are registered"
REMOVED = "contacts of {0} are removed"
FETCHED = "{0} asks for the contacts, nothing changes"


def note_refusal(incoming: IncomingRequest, refusal: RegistrationRefused) -> None:
    """Note why a REGISTER is refused."""
    reason = refusal.reason or reason_phrase(refusal.status)
    incoming.note("registrar", "{0}: {1}", refusal.key, str(refusal.status), reason)
