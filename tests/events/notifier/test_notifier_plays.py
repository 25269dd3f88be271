"""Watchers on a network that loses, doubles and reorders; a notifier that dies: in the end all know the last state."""

from __future__ import annotations

import os
from typing import Any

import pytest

from twisted_sip.message.request import Request
from twisted_sip.testing.network import Conditions

ALICE = "sip:alice@example.com"
SEEDS = range(int(os.environ.get("SEEDS", "6")))


class Patient:
    """A watcher that subscribes until it is told so, refreshes in time and begins anew when that is gone."""

    def __init__(self, watcher: Any) -> None:
        self.watcher = watcher
        self.read = 0
        self.told = b""
        self.numbers: dict[str, int] = {}
        self.wants = True
        self.refresh_at = 0.0
        self.asked = ""
        self.asked_until = 0.0

    def step(self, now: float) -> None:
        watcher = self.watcher
        for message in watcher.peer.messages[self.read :]:
            self.read += 1
            if isinstance(message, Request):
                self.notified(message, now)
            elif message.call_id == watcher.call_id and message.cseq.number == watcher.cseq and self.asked:
                self.answered(message, now)
        if self.asked:
            if now > self.asked_until:
                self.anew(now)
            else:
                watcher.send(self.asked)
        elif self.wants and now >= self.refresh_at:
            self.ask(60, now)

    def ask(self, expires: int, now: float) -> None:
        self.asked = self.watcher.text(expires)
        self.asked_until = now + 32
        self.watcher.send(self.asked)

    def anew(self, now: float) -> None:
        self.watcher.again()
        self.asked = ""
        self.refresh_at = now + 1

    def answered(self, message: Any, now: float) -> None:
        self.asked = ""
        if message.status == 200:
            self.watcher.remote_tag = message.to.tag
            self.watcher.contact = str(message.contacts[0].uri)
            self.refresh_at = now + 40
        elif message.status != 503:
            self.anew(now)
        else:
            self.refresh_at = now + 5

    def notified(self, request: Request, now: float) -> None:
        watcher = self.watcher
        key = f"{request.call_id} {request.from_.tag}"
        number = request.cseq.number
        known = request.call_id == watcher.call_id and watcher.remote_tag in ("", request.from_.tag)
        if number < self.numbers.get(key, 0):
            watcher.peer.answer(request, 500, to_tag=watcher.tag)
            return
        watcher.peer.answer(request, 200 if known else 481, to_tag=watcher.tag)
        if known and number > self.numbers.get(key, 0):
            self.numbers[key] = number
            if request.typed("subscription-state").terminated:
                self.anew(now)
            elif request.body:
                assert self.told <= request.body, "never back in time"
                self.told = request.body


@pytest.mark.parametrize("seed", SEEDS)
def test_all_know_the_last_state_in_the_end(make_desk: Any, failures: Any, seed: int) -> None:
    desk = make_desk(cseq_block=8, notify_rate=50.0, notify_burst=3, min_expires=10)
    network = desk.network
    network.random.seed(seed)
    network.conditions = Conditions(loss=0.15, duplication=0.05, reordering=0.1, delay=(0.001, 0.2))
    patients = [Patient(desk.watcher(f"user{number}")) for number in range(5)]
    text = desk.package.texts[ALICE] = "0000 state"

    def run(seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            network.advance(0.5)
            for patient in patients:
                patient.step(network.clock.seconds())

    for serial in range(1, 13):
        run(network.random.uniform(1, 20))
        if network.random.random() < 0.2:
            package = type(desk.package)()
            package.texts[ALICE] = text
            desk.package = package
            desk.restart(package, graceful=network.random.random() < 0.5, away=network.random.uniform(0.5, 10))
        text = f"{serial:04d} state"
        desk.package.put(text)
    run(70)
    network.conditions = Conditions()
    run(120)
    assert [patient.told for patient in patients] == [text.encode()] * 5
    assert desk.notifier.counts()["subscriptions"] == 5
    for patient in patients:
        patient.wants = False
    run(200)
    assert not desk.notifier.counts()["subscriptions"] and not desk.stored()
