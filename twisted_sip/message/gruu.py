"""Public GRUUs: the address-of-record with the instance in its ``gr`` parameter (RFC 5627 sections 5.4 and A.1).

Nothing is stored: the instance can be read back from the URI, and the same instance always gets the same GRUU.
"""

from __future__ import annotations

from twisted_sip.message.escapes import escape_parameter, unescape
from twisted_sip.message.uri import SIPURI


def public_gruu(aor: str, instance: str, *, secure: bool = False) -> str:
    """Return the public GRUU of *instance* at *aor*.

    :param aor: the canonical address-of-record.
    :param instance: a ``+sip.instance`` value without quotes.
    :param secure: the sips version, for a sips contact (RFC 5630 section 5.2.1).
    """
    name = instance[1:-1] if instance.startswith("<") and instance.endswith(">") else instance
    base = f"sips:{aor[4:]}" if secure else aor
    return f"{base};gr={escape_parameter(name)}"


def gruu_instance(uri: SIPURI) -> str | None:
    """Return the instance that *uri* names if it is a public GRUU, None if it is none.

    The form is that of :func:`instance_key`; the bindings it resolves to are those of ``uri.address_of_record`` whose
    instance has the same key (RFC 5627 section 5.4).
    """
    value = uri.params.get("gr")
    return instance_key(f"<{unescape(value)}>") if value else None


def instance_key(instance: str) -> str:
    """Return what instances that are the same share: the value without angle brackets, in lower case for the URNs that
    do not care for case (RFC 5626 section 4.1, RFC 8141 section 3)."""
    name = instance[1:-1] if instance.startswith("<") and instance.endswith(">") else instance
    if name[:9].lower() in ("urn:uuid:", "urn:gsma:"):
        return name.lower()
    return name
