"""What can be set of metrics and of copies of messages."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True, kw_only=True)
class HEPSettings:
    """Settings of the export to a capture server.

    :ivar server: the capture server as host and port, empty to export nothing.
    :ivar agent: the number by which this agent is known there.
    :ivar key: what the capture server wants to be told by those who may send, empty for nothing.
    :ivar credentials: send credentials as they are.
    :ivar max_rate: the most messages of a second.
    """

    server: str = attrs.field(
        default="", metadata={"help": "the capture server (Homer) as `host:port`, over UDP; nothing is sent without"}
    )
    agent: int = attrs.field(
        default=2001,
        validator=[attrs.validators.ge(0), attrs.validators.le(0xFFFFFFFF)],
        metadata={"help": "the number of this capture agent"},
    )
    key: str = attrs.field(
        default="", metadata={"help": "what the capture server asks of those who may send, if it does"}, repr=False
    )
    credentials: bool = attrs.field(
        default=False, metadata={"help": "send the answers to challenges as they are, instead of masking them"}
    )
    max_rate: int = attrs.field(
        default=10000,
        validator=attrs.validators.ge(1),
        metadata={"help": "messages sent in a second, those beyond are left out"},
    )
