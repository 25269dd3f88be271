"""The fourteen methods and what they may do."""

from __future__ import annotations

from twisted_sip.message.methods import (
    CREATES_DIALOG,
    IN_DIALOG_ONLY,
    METHODS,
    NEEDS_CONTACT,
    TARGET_REFRESH,
    UNCHALLENGED,
)


def test_the_fourteen() -> None:
    names = "INVITE ACK BYE CANCEL REGISTER OPTIONS PRACK SUBSCRIBE NOTIFY PUBLISH INFO REFER MESSAGE UPDATE"
    assert set(METHODS) == set(names.split())
    assert all(method.name == name for name, method in METHODS.items())


def test_properties() -> None:
    assert {"INVITE", "SUBSCRIBE", "NOTIFY", "REFER"} == CREATES_DIALOG
    assert {"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"} == TARGET_REFRESH
    assert NEEDS_CONTACT == TARGET_REFRESH
    assert {"BYE", "PRACK", "UPDATE", "INFO", "NOTIFY", "ACK"} == IN_DIALOG_ONLY
    assert {"ACK", "CANCEL"} == UNCHALLENGED
