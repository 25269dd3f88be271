"""How often a server looks for garbage in cycles.

A busy server holds some hundred thousand objects for as long as its transactions last, 32 seconds over UDP. They die
by reference counting, but with Python's defaults the collector goes through all of them again and again, which costs
more than everything else together. So it looks more seldom, and never at what was there when the server had started.
"""

from __future__ import annotations

import gc

#: Net new objects before the youngest are looked at, and how many rounds of one generation make one of the next.
_THRESHOLDS = (20_000, 20, 50)


def settle() -> None:
    """Let the collector leave alone what there is, and do less from now on; for a process that is a server."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
