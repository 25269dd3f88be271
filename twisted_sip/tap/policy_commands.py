"""What the control socket can do about call policies: show, set and remove those of a user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.call_policy import CallPolicy, ICallPolicyStore
from twisted_sip.tap.control import Command, CommandError


def policy_commands(store: Any) -> dict[str, Command]:
    """Return the commands over *store*, an ICallPolicyStore: ``policy-show``, ``policy-set``, ``policy-remove``."""
    policies: ICallPolicyStore = store

    async def done(waiting: Any) -> Any:
        try:
            return await waiting
        except (StoreError, LocalProtocolError) as error:
            raise CommandError(str(error)) from error

    def ask(function: Any, *arguments: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(done(maybeDeferred(function, *arguments)))

    def show(request: Mapping[str, Any]) -> Deferred[Any]:
        found = ask(policies.lookup, _aor(request))
        return found.addCallback(lambda policy: None if policy is None else policy.to_mapping())

    def set_(request: Mapping[str, Any]) -> Deferred[Any]:
        aor, given = _aor(request), request.get("policy")
        if not isinstance(given, dict):
            raise CommandError("policy is not an object")
        try:
            policy = CallPolicy.from_mapping(given)
        except LocalProtocolError as error:
            raise CommandError(str(error)) from error
        return ask(policies.set, aor, policy).addCallback(lambda _: policy.to_mapping())

    def remove(request: Mapping[str, Any]) -> Deferred[Any]:
        return ask(policies.remove, _aor(request)).addCallback(lambda known: {"removed": known})

    return {"policy-show": show, "policy-set": set_, "policy-remove": remove}


def _aor(request: Mapping[str, Any]) -> str:
    aor = request.get("aor")
    if not isinstance(aor, str) or not aor:
        raise CommandError("aor is missing")
    return aor
