"""What an element holds and where it listens, as the status page of a server shows it."""

from __future__ import annotations

from typing import Any

from twisted_sip.element.element import Element
from twisted_sip.element.limits import LimitSettings


def listening(element: Element) -> dict[str, list[str]]:
    """Return the addresses that *element* listens on by transport; not those that it is giving up."""
    found: dict[str, list[str]] = {}
    for listener in element.transports.listeners:
        if not listener.retired:
            found.setdefault(listener.kind.parameter, []).append(str(listener.address))
    return found


def element_counts(element: Element) -> dict[str, Any]:
    """Return how many connections and transactions *element* has."""
    return {
        "connections": len(element.transports.connections),
        **{f"transactions {name}": count for name, count in element.transactions.counts().items()},
    }


def fill(element: Element, limits: LimitSettings) -> float:
    """Return how full the fullest table of *element* is, 0.0 to 1.0."""
    transactions, transports = element.transactions, element.transports
    return max(
        len(transactions.servers) / limits.max_transactions,
        len(transactions.clients) / limits.max_transactions,
        len(transports.connections) / limits.max_connections,
    )
