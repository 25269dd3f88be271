"""Packets put back into order and held long enough to bridge the jitter of the network (RFC 3550 sections 2.1, 6.4.1).

Sans-I/O. Packets go in as they come, with their extended sequence numbers; the reader takes one after the other at its
own pace. The depth follows the jitter: a late packet makes it deeper at once, the reader is held up for as long, and
quiet times make it shallower slowly. What
comes in a heap after a pause of the network, and numbers that a sender has left out, do not hold the sound up.
"""

from __future__ import annotations

import attrs

from twisted_sip.errors import LocalProtocolError

#: What :meth:`JitterBuffer.put` says.
TAKEN, LATE, DUPLICATE, FULL = "taken", "late", "duplicate", "full"


@attrs.define(slots=True)
class Buffered:
    """One packet in the buffer.

    :ivar codec_type: its payload type.
    :ivar timestamp: of RTP.
    :ivar payload: None for what makes no sound: an event of RFC 4733 in its place.
    """

    codec_type: int
    timestamp: int
    payload: bytes | None


class Missing:
    """What :meth:`JitterBuffer.get` returns for a packet that has not come though later ones have, or to gain time."""


#: The one and only.
MISSING = Missing()


class JitterBuffer:
    """The buffer of one stream.

    :ivar depth: how many packets are held before the first is played, now.
    :ivar late: packets that came after their time.
    :ivar duplicates: packets that came twice.
    :ivar dropped: packets that were left out to get nearer to the present, or since there was no room.
    :ivar concealed: packets that were missing when their time came.
    """

    __slots__ = (
        "_calm",
        "_excess",
        "_highest",
        "_hold",
        "_least",
        "_missed",
        "_most",
        "_next",
        "_packets",
        "_playing",
        "_room",
        "_waited",
        "concealed",
        "depth",
        "dropped",
        "duplicates",
        "late",
    )

    #: Packets in time after which the depth goes down by one.
    CALM = 250
    #: Reads with more than needed in the buffer after which one packet is dropped; fewer if it is much more.
    EXCESS = 50
    #: By how many packets the buffer may exceed its greatest depth before it is brought back at once.
    HEAP = 2

    def __init__(self, least: int = 2, most: int = 10, room: int = 64) -> None:
        """Make one; all three in packets.

        :raises LocalProtocolError: they are not in order.
        """
        if not 1 <= least <= most <= room:
            raise LocalProtocolError("a jitter buffer needs 1 <= least <= most <= room")
        self._least = least
        self._most = most
        self._room = room
        self._packets: dict[int, Buffered] = {}
        self._missed: set[int] = set()
        self._next = -1
        self._highest = -1
        self._playing = False
        self._hold = False
        self._calm = 0
        self._excess = 0
        self._waited = 0
        self.depth = least
        self.late = 0
        self.duplicates = 0
        self.dropped = 0
        self.concealed = 0

    def __len__(self) -> int:
        """How many packets are held."""
        return len(self._packets)

    @property
    def playing(self) -> bool:
        """False while it fills up."""
        return self._playing

    def put(self, sequence: int, codec_type: int, timestamp: int, payload: bytes | None) -> str:
        """Take a packet with its extended sequence number; return TAKEN, LATE, DUPLICATE or FULL."""
        packets = self._packets
        if sequence in packets:
            self.duplicates += 1
            return DUPLICATE
        if self._highest >= 0 and abs(sequence - self._highest) > 3000:
            # The source has begun anew.
            self.reset()
        if sequence < self._next:
            if sequence not in self._missed:
                self.duplicates += 1
                return DUPLICATE
            self._missed.discard(sequence)
            self.late += 1
            self._calm = 0
            if self.depth < self._most:
                self.depth += 1
                self._hold = True
            return LATE
        if len(packets) >= self._room:
            # The oldest go: the present matters.
            oldest = min(packets)
            del packets[oldest]
            self._next = oldest + 1
            self.dropped += 1
        packets[sequence] = Buffered(codec_type, timestamp, payload)
        if sequence > self._highest:
            self._highest = sequence
        self._calm += 1
        if self._calm >= self.CALM:
            self._calm = 0
            if self.depth > self._least:
                self.depth -= 1
        return TAKEN

    def get(self) -> Buffered | Missing | None:
        """Return the next packet, MISSING for one that was lost, or None while there is nothing to play."""
        packets = self._packets
        if not self._playing:
            if len(packets) < self.depth:
                # The end of what somebody said is heard too, though nothing follows it.
                self._waited += 1 if packets else 0
                if self._waited <= self.depth:
                    return None
            self._waited = 0
            self._playing = True
            self._next = min(packets)
            self._excess = 0
        if self._hold:
            self._hold = False
            if len(packets) < self.depth:
                # One packet time more between them and the reader.
                return MISSING
        number = self._next
        packet = packets.pop(number, None)
        if packet is None:
            if not packets:
                # Run dry: fill up again before going on.
                self._playing = self._hold = False
                return None
            first = min(packets)
            if first - number > self._most:
                # More than can be on the way: the sender has left out these numbers.
                return self._skip_to(first)
            self._next = number + 1
            self.concealed += 1
            if len(self._missed) >= self._room:
                self._missed.remove(min(self._missed))
            self._missed.add(number)
            return MISSING
        self._next = number + 1
        over = len(packets) - self.depth
        if over > 0:
            if len(packets) > self._most + self.HEAP:
                self._excess = 0
                self._drop_heap()
                return packet
            self._excess += over if over < 5 else 5
            if self._excess >= self.EXCESS:
                self._excess = 0
                # One packet nearer to the present; clocks that run apart are kept together by that.
                if packets.pop(number + 1, None) is not None:
                    self._next = number + 2
                    self.dropped += 1
        else:
            self._excess = 0
        return packet

    def _skip_to(self, number: int) -> Buffered:
        self._missed.clear()
        self._next = number + 1
        return self._packets.pop(number)

    def _drop_heap(self) -> None:
        packets = self._packets
        for number in sorted(packets)[: len(packets) - self.depth]:
            del packets[number]
            self.dropped += 1
        self._next = min(packets)

    def widen(self, jitter: float, frame: float) -> None:
        """Make it at least as deep as *jitter* asks for; both in seconds, *frame* the length of a packet."""
        wanted = min(self._most, max(self._least, 1 + int(3 * jitter / frame + 0.5)))
        if wanted > self.depth:
            self.depth = wanted
            self._calm = 0

    def limit(self, least: int, most: int) -> None:
        """Hold from *least* to *most* packets from now on; as many as there is room for."""
        self._most = min(most, self._room)
        self._least = min(least, self._most)
        self.depth = min(self._most, max(self._least, self.depth))

    def reset(self) -> None:
        """Begin with another source; the counters go on."""
        self._hold = False
        self._packets.clear()
        self._missed.clear()
        self._next = -1
        self._highest = -1
        self._playing = False
        self._calm = 0
        self._excess = 0
        self._waited = 0
