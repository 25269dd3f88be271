"""The frame of the contracts of stores: how a store under test is made, waited for, crashed and closed.

A contract of one kind of store adds its test cases; a test case of your own says how the store is made.
"""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from twisted_sip.testing.waiting import START, result_of


class StoreContract:
    """What the test cases for any kind of store stand on.

    :ivar clock: the time the store goes by.
    :ivar store: the store under test, made anew for each case.
    """

    clock: Clock
    store: Any
    #: Makes an empty store; each contract says what of.
    make_store: Callable[..., Any]

    # -- for the store's own tests to fill in ---------------------------------------

    def crash_and_reopen(self) -> Any:
        """Let go of the store as a crash would and return one that stands on what it left behind.

        Stores that outlive nothing leave this alone.
        """
        raise unittest.SkipTest("this store does not outlive its process")

    def fail_writes(self, failing: bool) -> None:
        """Make the store unable to write, or able again. Stores that cannot fail leave this alone."""
        raise unittest.SkipTest("this store cannot fail")

    def wait(self, value: Any) -> Any:
        """Return the result of *value*, a Deferred or not, or raise its failure.

        Stores with I/O of their own override this.
        """
        return result_of(value, self.clock, "the store")

    # -- the frame ---------------------------------------------------------------------

    def setUp(self) -> None:
        """Make a store."""
        self.clock = Clock()
        self.clock.advance(START)
        self.store = self._empty()

    def tearDown(self) -> None:
        """Close it; nothing may be left to do."""
        self.wait(self.store.close())
        assert not self.clock.getDelayedCalls(), "a closed store still has calls pending"

    def _empty(self) -> Any:
        return self.make_store(self.clock)
