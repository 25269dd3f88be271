"""The series of registrations that temporary GRUUs are good for (RFC 5627 sections 5.1 and 5.3).

All bindings of one instance are of one series. It begins when the instance has no binding yet or comes with another
Call-ID, as it does after a restart of the device, and ends with the last of its bindings.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

import attrs

from twisted_sip.interfaces.location import Binding
from twisted_sip.message.gruu import instance_key
from twisted_sip.registrar.request import Registration


def with_series(
    put: dict[str, Binding],
    known: Mapping[str, Binding],
    removed: Container[str],
    registration: Registration,
    new_series: Callable[[int], str] | None,
) -> None:
    """Give the bindings in *put* that have an instance their series.

    Where a series ends, those bindings of the instance that the request does not speak of are added, for they are of
    the new one.

    :param known: the bindings there are.
    :param removed: the keys of those that go.
    :param new_series: names a new series; None where the client wants no GRUUs, and then none begins.
    """
    made: dict[str, list[Binding]] = {}
    for binding in put.values():
        if binding.instance:
            made.setdefault(instance_key(binding.instance), []).append(binding)
    for instance, bindings in made.items():
        before = [each for each in known.values() if each.instance and instance_key(each.instance) == instance]
        series = ""
        if before:
            if any(_ends_series(binding, before, registration.call_id) for binding in bindings):
                bindings += [each for each in before if each.key not in put and each.key not in removed]
            else:
                series = max(before, key=_registered_at).series
        if not series and new_series is not None:
            series = new_series(registration.cseq)
        for binding in bindings:
            if binding.series != series:
                put[binding.key] = attrs.evolve(binding, series=series)


def _ends_series(binding: Binding, before: list[Binding], call_id: str) -> bool:
    """Section 5.1: the most recent one of that instance and, for a flow, reg-id has another Call-ID."""
    same = [each for each in before if not binding.reg_id or each.reg_id == binding.reg_id]
    return bool(same) and max(same, key=_registered_at).call_id != call_id


def _registered_at(binding: Binding) -> float:
    return binding.registered_at
