"""The names of header fields: canonical keys, compact forms and usual spellings.

RFC 3261 sections 7.3.1 (names are case-insensitive) and 7.3.3 (compact forms); the names are those of the IANA
registry. A canonical name is the long name in lower case: ``call-id`` for ``Call-ID``, ``CALL-ID`` and ``i``.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import intern

# In the spelling of their RFC.
_REGISTERED_TEXT = """
Accept Accept-Contact Accept-Encoding Accept-Language Accept-Resource-Priority Additional-Identity Alert-Info
AlertMsg-Error Allow Allow-Events Answer-Mode Attestation-Info Authentication-Info Authorization Call-ID Call-Info
Cellular-Network-Info Contact Content-Disposition Content-Encoding Content-ID Content-Language Content-Length
Content-Transfer-Encoding Content-Type CSeq Date DC-Info Diversion Encryption Error-Info Event Expires Feature-Caps
Flow-Timer From Geolocation Geolocation-Error Geolocation-Routing Hide History-Info Identity Identity-Info In-Reply-To
Info-Package Join Max-Breadth Max-Forwards MIME-Version Min-Expires Min-SE Organization Origination-Id
P-Access-Network-Info P-Answer-State P-Asserted-Identity P-Asserted-Service P-Associated-URI P-Called-Party-ID
P-Charge-Info P-Charging-Function-Addresses P-Charging-Vector P-DCS-Billing-Info P-DCS-LAES P-DCS-OSPS P-DCS-Redirect
P-DCS-Trace-Party-ID P-Early-Media P-Media-Authorization P-Preferred-Identity P-Preferred-Service
P-Private-Network-Indication P-Profile-Key P-Refused-URI-List P-Served-User P-User-Database P-Visited-Network-ID Path
Permission-Missing Policy-Contact Policy-ID Priority Priority-Share Priority-Verstat Priv-Answer-Mode Privacy
Proxy-Authenticate Proxy-Authorization Proxy-Require RAck Reason Reason-Phrase Record-Route Recv-Info Refer-Events-At
Refer-Sub Refer-To Referred-By Reject-Contact Relayed-Charge Replaces Reply-To Request-Disposition Require
Resource-Priority Resource-Share Response-Key Response-Source Restoration-Info Retry-After Route RSeq Security-Client
Security-Server Security-Verify Server Service-Interact-Info Service-Route Session-Expires Session-ID SIP-ETag
SIP-If-Match Subject Subscription-State Supported Suppress-If-Match Target-Dialog Timestamp To Trigger-Consent
Unsupported User-Agent User-to-User Via Warning WWW-Authenticate
"""

#: The registered names in the spelling of their RFC.
REGISTERED: tuple[str, ...] = tuple(_REGISTERED_TEXT.split())

#: Compact form -> long name (RFC 3261 section 7.3.3 and the IANA registry).
COMPACT_FORMS: dict[str, str] = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}


class _Canonical(dict[str, str]):
    """Spelling -> canonical name. Other spellings are worked out and not kept, so that no peer can make it grow."""

    __slots__ = ()

    def __missing__(self, name: str) -> str:
        name = name.strip(" \t")
        # Names are tokens and so ASCII (RFC 3261 section 25.1); lower() would fold letters of other scripts into it.
        if name.isascii():
            name = name.lower()
            return self.get(name, name)
        return name


class _Display(dict[str, str]):
    """Canonical name -> usual spelling; names that are not registered get capital letters after their hyphens."""

    __slots__ = ()

    def __missing__(self, name: str) -> str:
        if name.isascii():
            return "-".join(part[:1].upper() + part[1:] for part in name.split("-"))
        return name


CANONICAL = _Canonical()
DISPLAY = _Display()
for _spelling in REGISTERED:
    _name = intern(_spelling.lower())
    DISPLAY[_name] = intern(_spelling)
    for _other in (_name, _spelling, _spelling.upper(), _spelling.title()):
        CANONICAL[_other] = _name
for _short, _name in COMPACT_FORMS.items():
    CANONICAL[_short] = CANONICAL[_short.upper()] = intern(_name)

#: ``canonical(name) -> str``: the canonical name for any spelling, compact form or trailing white space (HCOLON).
#: Names that are not registered come back in lower case. One dict lookup for the usual spellings.
canonical: Callable[[str], str] = CANONICAL.__getitem__

#: ``display(canonical_name) -> str``: the spelling that goes onto the wire, ``WWW-Authenticate`` for
#: ``www-authenticate``.
display: Callable[[str], str] = DISPLAY.__getitem__
