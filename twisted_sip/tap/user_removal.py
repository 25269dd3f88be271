"""What a running server removes of a user who is removed: the command of the control socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.tap.control import Command, CommandError
from twisted_sip.tap.part import Part


def removal_commands(
    location: ILocationStore,
    parts: Sequence[Part],
    user_known: Callable[[str], bool | Deferred[bool]] | None,
    credentials: SQLiteCredentialStore | None,
) -> dict[str, Command]:
    """Return the command that removes what a user has who is one no more.

    :param user_known: tells whether there is such a user; None where nobody has to be one.
    :param credentials: where somebody else has just removed the user.
    """

    async def removed(aor: str, keep_data: bool) -> dict[str, int]:
        if credentials is not None:
            credentials.changed()
        if user_known is not None and await _settled(user_known(aor)):
            raise CommandError(f"{aor.removeprefix('sip:')} is a user")
        counts = {"contacts": await remove_contacts(location, aor)}
        for part in parts:
            counts |= await part.remove_user(aor, keep_data)
        return {name: count for name, count in counts.items() if count}

    def remove(request: Mapping[str, Any]) -> Deferred[dict[str, int]]:
        aor = request.get("aor")
        if not isinstance(aor, str) or not aor:
            raise CommandError("aor is missing")
        return Deferred.fromCoroutine(removed(aor, request.get("keep_data") is True))

    return {"user-remove": remove}


async def remove_contacts(location: ILocationStore, aor: str) -> int:
    """Remove the bindings of *aor*; return how many.

    :raises StoreError: that is not durable.
    """
    lookup: Callable[[str], Any] = location.lookup
    found: Iterable[Binding] = await maybeDeferred(lookup, aor)
    keys = tuple(binding.key for binding in found)
    if keys:
        await location.commit(LocationChange(aor, remove=keys))
    return len(keys)


async def _settled(value: Any) -> Any:
    return await value if isawaitable(value) else value
