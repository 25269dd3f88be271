"""What every store of call policies must do, as test cases (ICallPolicyStore).

Mix it into a test case of your own, and run that with trial or pytest::

    class MyStoreTests(CallPolicyStoreContract, unittest.TestCase):
        def make_store(self):
            return MyStore()
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from twisted_sip.interfaces.call_policy import CallPolicy, Hours, ICallPolicyStore

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"

#: A policy with everything in it.
WHOLE = CallPolicy(
    forward_always="sip:carol@example.com",
    forward_busy="sip:voicemail@example.com;user=bob",
    forward_no_answer="sips:operator@[2001:db8::7]",
    no_answer_after=180,
    forward_unavailable="sip:+4989123@gateway.example.com",
    forward_closed="sip:night@example.com",
    do_not_disturb=True,
    blocked=("@spam.example", "anonymous", "+4990*"),
    allowed=("müller@example.com",),
    allowed_only=True,
    hours=(Hours((0, 1, 2, 3, 4), 540, 1020), Hours((5,), 1320, 360)),
    time_zone="Europe/Berlin",
)


class CallPolicyStoreContract:
    """Test cases for one kind of store; fill in :meth:`make_store`."""

    store: Any

    def make_store(self) -> Any:
        """Return an empty store."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.store = self.make_store()

    def tearDown(self) -> None:
        self.store.close()

    def result(self, value: Any) -> Any:
        """Return what *value* is, or what it fires with."""
        if not isinstance(value, Deferred):
            return value
        results: list[Any] = []
        value.addBoth(results.append)
        assert results, "a store answers; override result() where it takes a reactor to do so"
        return results[0]

    def test_provides_the_interface(self) -> None:
        assert verifyObject(ICallPolicyStore, self.store)

    def test_nothing_is_known_of_strangers(self) -> None:
        assert self.result(self.store.lookup(ALICE)) is None
        assert self.result(self.store.lookup("sip:odd\udcff@example.com")) is None

    def test_a_policy_comes_back_as_it_was(self) -> None:
        self.result(self.store.set(ALICE, WHOLE))
        assert self.result(self.store.lookup(ALICE)) == WHOLE
        assert self.result(self.store.lookup(BOB)) is None

    def test_a_policy_takes_the_place_of_another(self) -> None:
        assert self.result(self.store.lookup(ALICE)) is None
        self.result(self.store.set(ALICE, WHOLE))
        self.result(self.store.set(ALICE, CallPolicy(do_not_disturb=True)))
        assert self.result(self.store.lookup(ALICE)) == CallPolicy(do_not_disturb=True)

    def test_an_empty_policy_is_one(self) -> None:
        self.result(self.store.set(ALICE, CallPolicy()))
        assert self.result(self.store.lookup(ALICE)) == CallPolicy()

    def test_a_policy_is_forgotten_once(self) -> None:
        self.result(self.store.set(ALICE, WHOLE))
        self.result(self.store.set(BOB, WHOLE))
        assert self.result(self.store.remove(ALICE)) is True
        assert self.result(self.store.remove(ALICE)) is False
        assert self.result(self.store.lookup(ALICE)) is None
        assert self.result(self.store.lookup(BOB)) == WHOLE
