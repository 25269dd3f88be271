"""The table of dialogs and their usages (RFC 5057, RFC 6665 section 4.5.2)."""

from __future__ import annotations

import pytest

from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.dialogs import (
    INVITE_USAGE,
    Dialogs,
    Effect,
    UsageKey,
    dialog_id_of,
    effect_of,
    notifier_usage,
    subscriber_usage,
    usage_key_of,
)
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.builders import build_request
from twisted_sip.message.event_fields import Event
from twisted_sip.message.request import Request

PRESENCE = subscriber_usage(Event("presence"))


def request(method: str = "NOTIFY", *headers: tuple[str, str], call_id: str = "c") -> Request:
    return build_request(
        method, "sip:a@h", from_="<sip:b@h>;tag=b", to="<sip:a@h>;tag=a", call_id=call_id, cseq=1, headers=headers
    )


def dialog(call_id: str = "c") -> Dialog:
    return Dialog.as_uas(request("SUBSCRIBE", ("contact", "<sip:b@192.0.2.1>"), call_id=call_id), "a")


class Usage:
    def __init__(self) -> None:
        self.told: list[int] = []

    def dialog_destroyed(self, status: int) -> None:
        self.told.append(status)


def test_a_dialog_lives_while_a_usage_lives() -> None:
    table = Dialogs()
    made = dialog()
    invite, presence = Usage(), Usage()
    assert table.add(made, INVITE_USAGE, invite)
    assert table.add(made, PRESENCE, presence)
    assert len(table) == 1 and made.id in table
    assert table.get(made.id) is made
    assert table.usage(made.id, PRESENCE) is presence
    assert table.usages(made.id) == {INVITE_USAGE: invite, PRESENCE: presence}
    assert not table.end_usage(made.id, INVITE_USAGE)
    assert not table.end_usage(made.id, INVITE_USAGE)
    assert table.get(made.id) is made
    assert table.end_usage(made.id, PRESENCE)
    assert table.end_usage(made.id, PRESENCE)
    assert len(table) == 0
    assert table.get(made.id) is None and table.usage(made.id, PRESENCE) is None and table.usages(made.id) == {}
    assert invite.told == presence.told == []


def test_found_by_a_request_of_the_peer() -> None:
    table = Dialogs()
    made = dialog()
    table.add(made, PRESENCE, Usage())
    assert table.get(dialog_id_of(request())) is made
    assert table.get(dialog_id_of(request(call_id="other"))) is None


def test_limits() -> None:
    table = Dialogs(limit=1, usage_limit=2)
    made = dialog()
    assert table.add(made, INVITE_USAGE, Usage())
    assert not table.add(dialog("d"), INVITE_USAGE, Usage())
    assert table.add(made, PRESENCE, Usage())
    assert not table.add(made, subscriber_usage(Event("dialog")), Usage())
    assert len(table) == 1 and len(table.usages(made.id)) == 2


def test_no_usage_twice() -> None:
    table = Dialogs()
    made = dialog()
    table.add(made, PRESENCE, Usage())
    with pytest.raises(LocalProtocolError, match="has a usage"):
        table.add(made, PRESENCE, Usage())
    with pytest.raises(LocalProtocolError, match="another dialog"):
        table.add(dialog(), INVITE_USAGE, Usage())


@pytest.mark.parametrize(
    ("method", "status", "effect"),
    [
        *(("NOTIFY", status, Effect.DIALOG) for status in (404, 410, 416, 482, 483, 484, 485, 502, 604)),
        *(("NOTIFY", status, Effect.USAGE) for status in (405, 408, 480, 481, 489, 501)),
        *(("NOTIFY", status, Effect.TRANSACTION) for status in (300, 400, 401, 407, 423, 486, 500, 503, 600, 603)),
        ("SUBSCRIBE", 502, Effect.TRANSACTION),
        ("SUBSCRIBE", 408, Effect.TRANSACTION),
        ("SUBSCRIBE", 481, Effect.USAGE),
        ("INVITE", 408, Effect.USAGE),
        ("INVITE", 489, Effect.TRANSACTION),
        ("INFO", 501, Effect.TRANSACTION),
        ("INFO", 481, Effect.USAGE),
        ("OPTIONS", 408, Effect.TRANSACTION),
        ("OPTIONS", 481, Effect.TRANSACTION),
        ("MESSAGE", 404, Effect.DIALOG),
        ("CANCEL", 481, Effect.TRANSACTION),
        ("CANCEL", 404, Effect.TRANSACTION),
    ],
)
def test_what_a_failure_destroys(method: str, status: int, effect: Effect) -> None:
    """RFC 5057 section 5.1, table 1 and its notes."""
    assert effect_of(status, method) is effect


def test_a_dialog_is_destroyed() -> None:
    table = Dialogs()
    made = dialog()
    invite, presence = Usage(), Usage()
    table.add(made, INVITE_USAGE, invite)
    table.add(made, PRESENCE, presence)
    assert table.response_received(made.id, None, "OPTIONS", 404) is Effect.DIALOG
    assert invite.told == presence.told == [404]
    assert len(table) == 0
    table.destroy(made.id, 0)
    assert invite.told == [404]


def test_a_usage_is_destroyed() -> None:
    table = Dialogs()
    made = dialog()
    invite, presence = Usage(), Usage()
    table.add(made, INVITE_USAGE, invite)
    table.add(made, PRESENCE, presence)
    assert table.response_received(made.id, PRESENCE, "NOTIFY", 500) is Effect.TRANSACTION
    assert table.response_received(made.id, None, "NOTIFY", 481) is Effect.USAGE
    assert presence.told == []
    assert table.response_received(made.id, PRESENCE, "NOTIFY", 481) is Effect.USAGE
    assert (invite.told, presence.told) == ([], [481])
    assert table.response_received(made.id, PRESENCE, "NOTIFY", 481) is Effect.USAGE
    assert presence.told == [481]
    assert made.id in table


def test_requests_belong_to_usages() -> None:
    """RFC 5057 section 5.3."""
    for method in ("INVITE", "UPDATE", "PRACK", "ACK", "BYE", "INFO"):
        assert usage_key_of(request(method)) == INVITE_USAGE
    for method in ("OPTIONS", "MESSAGE", "REFER", "FROBNICATE"):
        assert usage_key_of(request(method)) is None
    event = ("event", "presence.winfo;id=7;x=y")
    assert usage_key_of(request("NOTIFY", event)) == UsageKey("subscriber", "presence.winfo", "7")
    assert usage_key_of(request("SUBSCRIBE", event)) == notifier_usage(Event.parse("presence.winfo;id=7"))
    with pytest.raises(RemoteProtocolError) as caught:
        usage_key_of(request("NOTIFY"))
    assert (caught.value.status, caught.value.header) == (489, "Event")
