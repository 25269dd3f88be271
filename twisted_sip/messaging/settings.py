"""What can be set of instant messaging (RFC 3428)."""

from __future__ import annotations

from typing import Any

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.storage.message_table import MessageLimits


def _positive(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise LocalProtocolError(f"{attribute.name}: {value} must be more than 0")


def _number(default: Any, text: str) -> Any:
    return attrs.field(default=default, validator=_positive, metadata={"help": text})


@attrs.frozen(slots=True, kw_only=True)
class MessagingSettings:
    """One snapshot of the settings; swapped whole.

    :ivar enabled: take part in MESSAGE at all.
    :ivar answer_within: seconds that the devices of the recipient have; then the message is kept and its sender
        answered 202. Less than Timer F (RFC 3261 section 17.1.2.2), which ends the patience of the sender.
    :ivar size_limit: bytes that a MESSAGE may have where not every hop is known to be safe under congestion (RFC 3428
        section 8).
    :ivar max_devices: the most devices that one message goes to.
    :ivar store: keep messages for those who are away.
    :ivar store_for_strangers: keep those of senders in other domains too. Strangers can then tell our users, for whom
        messages are kept, from others.
    :ivar lifetime: seconds for which a message without Expires is kept.
    :ivar max_lifetime: the most seconds for which any message is kept.
    :ivar max_per_user: messages that may wait for one user.
    :ivar max_bytes_per_user: bytes that they may take.
    :ivar max_messages: messages that may wait in all.
    :ivar max_bytes: bytes that they may take.
    :ivar notifications: tell senders who ask for it that a message was stored, and that it could not be delivered
        (RFC 5438 section 8).
    :ivar settle_time: seconds between a registration and the first message for the device.
    :ivar retry_first: seconds before a device that did not take a message is tried again; doubled each time. More than
        64*T1, within which some devices take a second try for a loop (RFC 3261 section 8.2.2.2).
    :ivar retry_most: the most seconds between two tries; a device that registers again is tried sooner.
    :ivar max_deliveries: recipients to whom kept messages are delivered at the same time.
    :ivar expiry_interval: seconds between two looks for messages that have expired.
    """

    enabled: bool = attrs.field(default=True, metadata={"help": "take part in MESSAGE: all devices, offline store"})
    answer_within: float = _number(10.0, "seconds for the devices to answer; then the message is kept, the answer 202")
    size_limit: int = _number(1300, "bytes of a MESSAGE where not every hop is known to be congestion-safe; else 513")
    max_devices: int = _number(32, "the most devices that one message goes to")
    store: bool = attrs.field(default=True, metadata={"help": "keep messages for those who are away"})
    store_for_strangers: bool = attrs.field(
        default=False,
        metadata={"help": "keep messages from other domains too; strangers can then find out who our users are"},
    )
    lifetime: float = _number(7 * 86400, "seconds for which a message without Expires is kept")
    max_lifetime: float = _number(30 * 86400, "the most seconds for which any message is kept")
    max_per_user: int = _number(200, "messages that may wait for one user")
    max_bytes_per_user: int = _number(1 << 20, "bytes that the messages for one user may take")
    max_messages: int = _number(100_000, "messages that may wait in all")
    max_bytes: int = _number(256 << 20, "bytes that all messages may take")
    notifications: bool = attrs.field(
        default=True, metadata={"help": "tell senders who ask for it what became of messages that were kept (IMDN)"}
    )
    settle_time: float = _number(0.5, "seconds between a registration and the first message for the device")
    retry_first: float = _number(
        60.0, "seconds before a device that did not take a message is tried again, above 32; doubled with each try"
    )
    retry_most: float = _number(1800.0, "the most seconds between two tries of a device, unless it registers again")
    max_deliveries: int = _number(50, "recipients to whom kept messages are delivered at the same time")
    expiry_interval: float = _number(30.0, "seconds between two looks for messages that have expired")

    @property
    def limits(self) -> MessageLimits:
        """What a store may hold by these settings."""
        return MessageLimits(
            per_user=self.max_per_user,
            bytes_per_user=self.max_bytes_per_user,
            messages=self.max_messages,
            bytes=self.max_bytes,
        )
