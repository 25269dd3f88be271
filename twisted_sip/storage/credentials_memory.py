"""A credential store that forgets with the process: for tests, and for programs with users of their own."""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import implementer

from twisted_sip.interfaces.credentials import Credential, ICredentialStore
from twisted_sip.storage.passwords import make_credential


@implementer(ICredentialStore)
class MemoryCredentialStore:
    """Keeps credentials in memory."""

    def __init__(self, credentials: Iterable[Credential] = ()) -> None:
        """Make a store that holds *credentials*."""
        self._credentials = {(credential.user, credential.realm): credential for credential in credentials}

    def lookup(self, user: str, realm: str) -> Credential | None:
        return self._credentials.get((user, realm))

    def add(self, user: str, realm: str, password: str, *, algorithm: str = "") -> None:
        """Keep *password* for *user* in *realm*, instead of an older one if there is one.

        :raises LocalProtocolError: a value that cannot be used.
        """
        self._credentials[user, realm] = make_credential(user, realm, password, algorithm)

    def remove(self, user: str, realm: str) -> bool:
        """Forget *user* of *realm*; tell whether there was one."""
        return self._credentials.pop((user, realm), None) is not None

    def close(self) -> None:
        """Forget everything."""
        self._credentials.clear()
