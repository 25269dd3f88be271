"""The registry of typed header fields: which class reads which field, and whether it may have several values.

RFC 3261 section 20 and the extensions named beside the entries. A field that is not here stays text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from twisted_sip.message.auth_params import AuthenticationInfo, Challenge, Credentials
from twisted_sip.message.caller_preferences import ContactPreference
from twisted_sip.message.cseq import CSeq
from twisted_sip.message.dates import SIPDate
from twisted_sip.message.diversion import Diversion
from twisted_sip.message.event_fields import Event, SubscriptionState
from twisted_sip.message.header_names import display
from twisted_sip.message.history import HistoryEntry
from twisted_sip.message.identity import Privacy
from twisted_sip.message.media_types import Coding, ContentDisposition, LanguageRange, MediaRange, MediaType
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.numeric_fields import MIMEVersion, RetryAfter, Timestamp, number_field, seconds_field
from twisted_sip.message.parameterized import named
from twisted_sip.message.reason_fields import Reason, SIPWarning
from twisted_sip.message.registration_fields import ContactParam
from twisted_sip.message.reliability import RAck, parse_rseq
from twisted_sip.message.session_timer import MinSE, SessionExpires
from twisted_sip.message.text_fields import call_id_field, text_field, token_field
from twisted_sip.message.transfer import ReferredBy, Replaces
from twisted_sip.message.via import Via


class FieldType(NamedTuple):
    """How one header field is read.

    :ivar name: its canonical name.
    :ivar parse: reads one value: one element where *many*, else all of the field.
    :ivar many: whether a message may have several values of it.
    :ivar comma: whether values may share a line with commas between them (RFC 3261 section 7.3.1). Challenges and
        credentials may not: each has a line of its own.
    """

    name: str
    parse: Callable[[str], Any]
    many: bool
    comma: bool


FIELDS: dict[str, FieldType] = {}


def _single(name: str, parse: Callable[[str], Any]) -> None:
    FIELDS[name] = FieldType(name, parse, False, False)


def _list(name: str, parse: Callable[[str], Any]) -> None:
    FIELDS[name] = FieldType(name, parse, True, True)


def _lines(name: str, parse: Callable[..., Any]) -> None:
    FIELDS[name] = FieldType(name, partial(parse, header=display(name)), True, False)


# Addresses. The last five are <URI> with parameters, which is a name-addr without display name.
for _name in ("from", "to", "reply-to", "refer-to"):
    _single(_name, named(display(_name), NameAddr.parse))
for _name in (
    "route",
    "record-route",
    "path",  # RFC 3327
    "service-route",  # RFC 3608
    "p-asserted-identity",  # RFC 3325
    "p-preferred-identity",
    "alert-info",
    "call-info",
    "error-info",
):
    _list(_name, named(display(_name), NameAddr.parse))
_list("contact", ContactParam.parse)
_list("history-info", HistoryEntry.parse)  # RFC 7044
_list("diversion", Diversion.parse)  # RFC 5806
_list("accept-contact", ContactPreference.parse)  # RFC 3841
_list("reject-contact", partial(ContactPreference.parse, header="Reject-Contact"))
_single("referred-by", ReferredBy.parse)  # RFC 3892
_single("replaces", Replaces.parse)  # RFC 3891

# Where a message is and was.
_list("via", named("Via", Via.parse))
_single("cseq", named("CSeq", CSeq.parse))
_single("call-id", call_id_field("Call-ID"))
_list("in-reply-to", call_id_field("In-Reply-To"))
_single("max-forwards", number_field("Max-Forwards", 255))
_single("max-breadth", number_field("Max-Breadth", (1 << 31) - 1))  # RFC 5393
_single("timestamp", Timestamp.parse)
_single("date", SIPDate.parse)
_list("reason", Reason.parse)  # RFC 3326
_list("warning", SIPWarning.parse)
_single("retry-after", RetryAfter.parse)

# Names of methods, extensions and event packages.
for _name in (
    "allow",
    "require",
    "proxy-require",
    "supported",
    "unsupported",
    "allow-events",
    "request-disposition",  # RFC 3841
):
    _list(_name, token_field(display(_name)))

# Bodies.
_single("content-type", MediaType.parse)
_single("content-length", number_field("Content-Length", (1 << 31) - 1))
_single("content-disposition", ContentDisposition.parse)
_list("content-encoding", token_field("Content-Encoding"))
_list("content-language", token_field("Content-Language"))
_single("mime-version", MIMEVersion.parse)
_list("accept", MediaRange.parse)
_list("accept-encoding", Coding.parse)
_list("accept-language", LanguageRange.parse)

# How long something lasts.
for _name in ("expires", "min-expires", "flow-timer"):  # Flow-Timer: RFC 5626
    _single(_name, seconds_field(display(_name)))
_single("session-expires", SessionExpires.parse)  # RFC 4028
_single("min-se", MinSE.parse)

# Who one is.
_lines("www-authenticate", Challenge.parse)
_lines("proxy-authenticate", Challenge.parse)
_lines("authorization", Credentials.parse)
_lines("proxy-authorization", Credentials.parse)
_single("authentication-info", AuthenticationInfo.parse)
_single("privacy", Privacy.parse)  # RFC 3323

# Events and reliability.
_single("event", Event.parse)  # RFC 6665
_single("subscription-state", SubscriptionState.parse)
_single("sip-etag", token_field("SIP-ETag"))  # RFC 3903
_single("sip-if-match", token_field("SIP-If-Match"))
_single("rseq", parse_rseq)  # RFC 3262
_single("rack", RAck.parse)

# For people.
_single("priority", token_field("Priority"))
for _name in ("subject", "organization", "server", "user-agent"):
    _single(_name, text_field(display(_name)))
