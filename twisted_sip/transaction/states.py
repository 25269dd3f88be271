"""The names of the transaction states, as in RFC 3261 section 17 and RFC 6026 section 7."""

from __future__ import annotations

from typing import Final

CALLING: Final = "Calling"
TRYING: Final = "Trying"
PROCEEDING: Final = "Proceeding"
COMPLETED: Final = "Completed"
ACCEPTED: Final = "Accepted"
CONFIRMED: Final = "Confirmed"
TERMINATED: Final = "Terminated"
