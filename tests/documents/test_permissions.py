"""Permissions and how those of several rules combine (RFC 4745 section 10, RFC 5025 section 3.3.1.1)."""

from __future__ import annotations

from twisted_sip.documents.permissions import (
    ALL_PERMISSIONS,
    EVERYTHING,
    NO_PERMISSIONS,
    Permissions,
    Selection,
    SubHandling,
    UserInput,
    combine,
)


def test_the_least_of_everything_is_the_default() -> None:
    assert combine([]) == NO_PERMISSIONS == Permissions()
    assert NO_PERMISSIONS.sub_handling is SubHandling.BLOCK
    assert not NO_PERMISSIONS.unfiltered


def test_sets_are_united() -> None:
    # The example of RFC 5025 section 3.3.1.1.
    device = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    first = Permissions(devices=Selection(device_ids=frozenset([device]), classes=frozenset(["biz"])))
    second = Permissions(devices=Selection(classes=frozenset(["home", "biz"])))
    assert combine([first, second]).devices == Selection(
        classes=frozenset(["home", "biz"]), device_ids=frozenset([device])
    )


def test_every_permission_combines_by_its_type() -> None:
    first = Permissions(
        sub_handling=SubHandling.CONFIRM,
        persons=EVERYTHING,
        services=Selection(service_uris=frozenset(["sip:a@b"]), service_uri_schemes=frozenset(["sip"])),
        attributes=frozenset(["mood"]),
        user_input=UserInput.FULL,
        unknown_attributes=frozenset([("urn:x", "foo")]),
    )
    second = Permissions(
        sub_handling=SubHandling.ALLOW,
        services=Selection(service_uri_schemes=frozenset(["tel"]), occurrence_ids=frozenset(["t1"])),
        attributes=frozenset(["note"]),
        user_input=UserInput.BARE,
        all_attributes=True,
    )
    assert (
        first | second
        == second | first
        == Permissions(
            sub_handling=SubHandling.ALLOW,
            persons=EVERYTHING,
            services=Selection(
                service_uris=frozenset(["sip:a@b"]),
                service_uri_schemes=frozenset(["sip", "tel"]),
                occurrence_ids=frozenset(["t1"]),
            ),
            attributes=frozenset(["mood", "note"]),
            user_input=UserInput.FULL,
            unknown_attributes=frozenset([("urn:x", "foo")]),
            all_attributes=True,
        )
    )


def test_all_permissions_leave_a_document_alone() -> None:
    assert ALL_PERMISSIONS.unfiltered
    assert ALL_PERMISSIONS | NO_PERMISSIONS == ALL_PERMISSIONS
    assert not Permissions(all_attributes=True, persons=EVERYTHING, services=EVERYTHING).unfiltered
