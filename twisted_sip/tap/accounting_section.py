"""``[accounting]``: the records of calls, where they are kept, and who is told of them."""

from __future__ import annotations

from typing import Any

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.tap.faults import WrongSetting, checked
from twisted_sip.tap.sections import file_name_or_empty, setting


@checked("")
def callback_url_or_empty(value: Any) -> None:
    """Refuse what is neither empty nor a place where call records may be told."""
    if not value:
        return
    # Others need no HTTP.
    from twisted_sip.storage.accounting_http import check_callback_url

    try:
        check_callback_url(value)
    except LocalProtocolError as error:
        raise WrongSetting(str(error), "write an https URL") from error


@checked("")
def token_or_empty(value: Any) -> None:
    """Refuse what cannot stand in a header field."""
    if value and (not value.isascii() or not value.isprintable() or " " in value):
        raise WrongSetting("is no token", "write letters, digits and marks without blanks")


@attrs.frozen(kw_only=True)
class AccountingSection:
    """``[accounting]``: the records of calls."""

    enabled: bool = setting(
        True,
        "Keep a record of every call through `twistd sip-proxy` and `twistd sip-b2bua`, in the database `calls.db`.",
    )
    json_lines: str = setting(
        "",
        "Name of a file in the directory of `[storage]` that records are appended to, one JSON object on each line, "
        "when a call is answered and when it is over. It may be renamed at any time.",
        file_name_or_empty,
        shown_default="none",
    )
    url: str = setting(
        "",
        "Where records are told by HTTP POST, as a JSON array: https, or http to this host. What is not taken is told "
        "again, also after a restart.",
        callback_url_or_empty,
        shown_default="none",
    )
    token: str = setting(
        "", "What goes with it as `Authorization: Bearer`.", token_or_empty, shown_default="none", secret=True
    )
    max_queued: int = setting(
        1_000_000, "The most records that wait on disk to be told; more are not.", attrs.validators.ge(1)
    )
    keep_days: int = setting(
        90,
        "Days for which records are kept, 0 for ever.",
        attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(36500)),
    )
    remove_with_user: bool = setting(False, "Remove the records of calls from and to a user together with the user.")
    max_calls: int = setting(
        100_000,
        "The most calls at a time whose end is waited for; the records of more end at once.",
        attrs.validators.ge(1),
    )
    max_duration: float = setting(
        43_200.0,
        "Seconds after which a call through the proxy without session timer is taken for over, unless its end is "
        "seen: in its record, and by those who watch its user.",
        attrs.validators.ge(60),
    )
    patience: float = setting(
        2.0,
        "Seconds for which the answer of a call waits for a slow disk before it goes on without its record.",
        attrs.validators.and_(attrs.validators.ge(0.1), attrs.validators.le(10)),
    )
