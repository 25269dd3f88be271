"""The request methods and what each of them may do.

The fourteen of the IANA registry: RFC 3261 section 7.1, RFC 3262 (PRACK), 6665 (SUBSCRIBE, NOTIFY), 3311 (UPDATE),
3428 (MESSAGE), 3515 (REFER), 3903 (PUBLISH) and 6086 (INFO). Method names are case-sensitive (RFC 3261 section 7.1).
"""

from __future__ import annotations

from typing import NamedTuple


class Method(NamedTuple):
    """What an element may assume about a method.

    :ivar name: the method name.
    :ivar creates_dialog: a 2xx to it creates a dialog (RFC 3261 section 12.1, RFC 6665 section 4.4.1, RFC 3515
        section 2.4.4).
    :ivar target_refresh: within a dialog it may change the remote target (RFC 3261 section 12.2, RFC 3311 section 5.1,
        RFC 6665 section 4.4.1).
    :ivar contact_in_request: a request must carry a Contact (RFC 3261 section 8.1.1.8, RFC 6665 section 3.1).
    :ivar in_dialog_only: it makes no sense outside of a dialog.
    :ivar defined_by: the RFC that defines the method.
    """

    name: str
    creates_dialog: bool
    target_refresh: bool
    contact_in_request: bool
    in_dialog_only: bool
    defined_by: int


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("INVITE", True, True, True, False, 3261),
        Method("ACK", False, False, False, True, 3261),
        Method("BYE", False, False, False, True, 3261),
        Method("CANCEL", False, False, False, False, 3261),
        Method("REGISTER", False, False, False, False, 3261),
        Method("OPTIONS", False, False, False, False, 3261),
        Method("PRACK", False, False, False, True, 3262),
        Method("SUBSCRIBE", True, True, True, False, 6665),
        # A NOTIFY creates the dialog of a subscription on the subscriber's side (RFC 6665 section 4.4.1).
        Method("NOTIFY", True, True, True, True, 6665),
        Method("PUBLISH", False, False, False, False, 3903),
        Method("INFO", False, False, False, True, 6086),
        Method("REFER", True, True, True, False, 3515),
        Method("MESSAGE", False, False, False, False, 3428),
        Method("UPDATE", False, True, True, True, 3311),
    )
}

CREATES_DIALOG = frozenset(method.name for method in METHODS.values() if method.creates_dialog)
TARGET_REFRESH = frozenset(method.name for method in METHODS.values() if method.target_refresh)
NEEDS_CONTACT = frozenset(method.name for method in METHODS.values() if method.contact_in_request)
IN_DIALOG_ONLY = frozenset(method.name for method in METHODS.values() if method.in_dialog_only)

#: The methods that are never challenged (RFC 3261 section 22.1).
UNCHALLENGED = frozenset(("ACK", "CANCEL"))
