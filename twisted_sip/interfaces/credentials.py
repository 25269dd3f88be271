"""Digest credentials and the store that keeps them (RFC 7616, RFC 8760)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

#: Digest algorithms by RFC 8760 section 2, strongest first. HA1s are stored for all of them.
ALGORITHMS = ("SHA-512-256", "SHA-256", "MD5")


@attrs.frozen(slots=True)
class Credential:
    """What is kept of a user's password.

    :ivar user: the user name (the user part of the address-of-record).
    :ivar realm: the realm it holds for.
    :ivar ha1: algorithm name -> HA1 in lower-case hexadecimal (RFC 7616 section 3.4.2).
    :ivar algorithm: the algorithm to challenge this user with, or empty for the default.
    """

    user: str
    realm: str
    ha1: Mapping[str, str]
    algorithm: str = ""


class ICredentialStore(Interface):
    """Finds credentials."""

    def lookup(user: str, realm: str) -> Credential | Deferred[Credential | None] | None:
        """Return the credential of *user* in *realm*, None if there is none; a value where it is in memory.

        :raises StoreError: the store cannot be read (the request is answered 500, never let in).
        """
