"""Call policies that are forgotten with the process: for tests, and for programs that keep them elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from twisted_sip.interfaces.call_policy import CallPolicy, ICallPolicyStore


@implementer(ICallPolicyStore)
class MemoryCallPolicyStore:
    """Keeps call policies in memory."""

    def __init__(self, policies: Mapping[str, CallPolicy] | None = None) -> None:
        """Make a store that holds *policies*, by address-of-record."""
        self._policies = dict(policies or {})

    def lookup(self, aor: str) -> CallPolicy | None:
        return self._policies.get(aor)

    def set(self, aor: str, policy: CallPolicy) -> None:
        self._policies[aor] = policy

    def remove(self, aor: str) -> bool:
        return self._policies.pop(aor, None) is not None

    def policies(self) -> dict[str, CallPolicy]:
        """Return all policies, by address-of-record."""
        return dict(sorted(self._policies.items()))

    def close(self) -> None:
        """Forget everything."""
        self._policies.clear()
