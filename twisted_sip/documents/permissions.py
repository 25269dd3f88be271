"""What a presentity grants a watcher: the permissions of presence rules as a value (RFC 5025 sections 3.2 and 3.3).

Each permission is a positive grant. Those of several matching rules combine with ``|``: booleans by "or", numbers by
the maximum, sets by union (RFC 4745 section 10.2).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Final

import attrs

#: The boolean permissions of RFC 5025 sections 3.3.2.1 to 3.3.2.11 and 3.3.2.13, ``provide-`` left out. Each is the
#: name of the presence attribute that it governs.
BOOLEAN_ATTRIBUTES: Final = frozenset(
    (
        "activities",
        "class",
        "deviceID",
        "mood",
        "note",
        "place-is",
        "place-type",
        "privacy",
        "relationship",
        "sphere",
        "status-icon",
        "time-offset",
    )
)


class SubHandling(enum.IntEnum):
    """What becomes of a subscription, with the numbers that the values have in the RFC (RFC 5025 section 3.2.1)."""

    BLOCK = 0
    CONFIRM = 10
    POLITE_BLOCK = 20
    ALLOW = 30


class UserInput(enum.IntEnum):
    """How much of <user-input> a watcher sees, with the numbers of the RFC (RFC 5025 section 3.3.2.12)."""

    FALSE = 0
    BARE = 10
    THRESHOLDS = 20
    FULL = 30


@attrs.frozen(slots=True, kw_only=True)
class Selection:
    """Which of the devices, persons or services of a document a watcher sees: a set variable (RFC 5025 section 3.3.1).

    :ivar all: all of them: ``all-devices``, ``all-persons``, ``all-services``.
    :ivar classes: those of these classes.
    :ivar occurrence_ids: those with these ``id`` attributes.
    :ivar device_ids: devices with these device IDs.
    :ivar service_uris: services whose contact is equivalent to one of these.
    :ivar service_uri_schemes: services whose contact has one of these schemes.
    """

    all: bool = False
    classes: frozenset[str] = frozenset()
    occurrence_ids: frozenset[str] = frozenset()
    device_ids: frozenset[str] = frozenset()
    service_uris: frozenset[str] = frozenset()
    service_uri_schemes: frozenset[str] = frozenset()

    def __or__(self, other: Selection) -> Selection:
        """Return the union of both."""
        return Selection(
            all=self.all or other.all,
            classes=self.classes | other.classes,
            occurrence_ids=self.occurrence_ids | other.occurrence_ids,
            device_ids=self.device_ids | other.device_ids,
            service_uris=self.service_uris | other.service_uris,
            service_uri_schemes=self.service_uri_schemes | other.service_uri_schemes,
        )


#: Nothing at all, and everything.
NOTHING: Final = Selection()
EVERYTHING: Final = Selection(all=True)


@attrs.frozen(slots=True, kw_only=True)
class Permissions:
    """All that a watcher is granted; the default is the least of each (RFC 4745 section 10.2).

    :ivar sub_handling: what becomes of the subscription.
    :ivar devices: ``provide-devices``.
    :ivar persons: ``provide-persons``.
    :ivar services: ``provide-services``.
    :ivar attributes: which of :data:`BOOLEAN_ATTRIBUTES` are granted.
    :ivar user_input: ``provide-user-input``.
    :ivar unknown_attributes: (namespace, name) of each ``provide-unknown-attribute`` that is true.
    :ivar all_attributes: ``provide-all-attributes``.
    """

    sub_handling: SubHandling = SubHandling.BLOCK
    devices: Selection = NOTHING
    persons: Selection = NOTHING
    services: Selection = NOTHING
    attributes: frozenset[str] = frozenset()
    user_input: UserInput = UserInput.FALSE
    unknown_attributes: frozenset[tuple[str, str]] = frozenset()
    all_attributes: bool = False

    def __or__(self, other: Permissions) -> Permissions:
        """Return the combination of both (RFC 4745 section 10.2)."""
        return Permissions(
            sub_handling=max(self.sub_handling, other.sub_handling),
            devices=self.devices | other.devices,
            persons=self.persons | other.persons,
            services=self.services | other.services,
            attributes=self.attributes | other.attributes,
            user_input=max(self.user_input, other.user_input),
            unknown_attributes=self.unknown_attributes | other.unknown_attributes,
            all_attributes=self.all_attributes or other.all_attributes,
        )

    @property
    def unfiltered(self) -> bool:
        """True where the watcher sees the whole document."""
        return self.all_attributes and self.devices.all and self.persons.all and self.services.all


#: No rule matches: the subscription is blocked.
NO_PERMISSIONS: Final = Permissions()
#: A watcher who may see everything.
ALL_PERMISSIONS: Final = Permissions(
    sub_handling=SubHandling.ALLOW, devices=EVERYTHING, persons=EVERYTHING, services=EVERYTHING, all_attributes=True
)


def combine(permissions: Iterable[Permissions]) -> Permissions:
    """Return what the permissions of all matching rules grant together (RFC 4745 section 10.2)."""
    return reduce(or_, permissions, NO_PERMISSIONS)
