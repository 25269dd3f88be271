"""Which of the offered codecs are in the answer (RFC 3264 section 6.1)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from twisted_sip.sdp.codec import Codec, format_events

#: Codecs whose format parameters tell what they are, so that answers have those of the offer (RFC 3264 section 6.1).
CONFIGURED = frozenset({"h264", "h265", "vp9", "av1", "amr", "amr-wb", "ilbc", "g7221", "mp4v-es", "mpeg4-generic"})
# Those of their parameters that must be the same on both sides, with their defaults (RFC 6184, RFC 4867, RFC 3952).
_SAME = {
    "h264": {"packetization-mode": "0"},
    "amr": {"octet-align": "0"},
    "amr-wb": {"octet-align": "0"},
}


def match_codec(offered: Codec, ours: Codec) -> Codec | None:
    """Return the codec for the answer with the offered payload type, None where they are not the same codec."""
    name = offered.key[0]
    if offered.key != ours.key:
        return None
    if name == "telephone-event":
        return _events(offered, ours)
    for parameter, default in _SAME.get(name, {}).items():
        if offered.fmtp.get(parameter, default) != ours.fmtp.get(parameter, default):
            return None
    parameters = ours.parameters or (offered.parameters if name in CONFIGURED else "")
    return attrs.evolve(offered, parameters=parameters)


def choose_codecs(
    offered: Sequence[Codec], ours: Sequence[Codec], *, ours_first: bool = False, single: bool = False
) -> tuple[Codec, ...]:
    """Return the codecs of the answer, with the payload types of the offer.

    Of telephone-event those are taken that have the clock rate of a codec that is taken (RFC 4733 section 2.1), or else
    those that we have.

    :param ours_first: in our order in place of that of the offer.
    :param single: one codec, besides telephone-event and comfort noise.
    """
    pairs: list[tuple[int, Codec]] = []
    for codec in offered:
        if codec.is_telephone_event:
            continue
        for rank, own in enumerate(ours):
            found = match_codec(codec, own)
            if found is not None:
                pairs.append((rank, found))
                break
    if ours_first:
        pairs.sort(key=lambda pair: pair[0])
    codecs = [codec for _, codec in pairs]
    speech = [codec for codec in codecs if not codec.is_comfort_noise]
    if single:
        speech = speech[:1]
    silence = [codec for codec in codecs if codec.is_comfort_noise]
    if not single and not ours_first:
        taken = codecs
    else:
        taken = [*speech, *silence]
    return (*taken, *_chosen_events(offered, ours, {codec.clock_rate for codec in speech}))


def _chosen_events(offered: Sequence[Codec], ours: Sequence[Codec], rates: set[int]) -> list[Codec]:
    events = [codec for codec in offered if codec.is_telephone_event]
    own = [codec for codec in ours if codec.is_telephone_event]
    if not own:
        return []
    fitting = [codec for codec in events if codec.clock_rate in rates]
    if not fitting:
        known = {codec.clock_rate for codec in own}
        fitting = [codec for codec in events if codec.clock_rate in known]
    by_rate = {codec.clock_rate: codec for codec in reversed(own)}
    return [_events(codec, by_rate.get(codec.clock_rate, own[0])) for codec in fitting]


def _events(offered: Codec, ours: Codec) -> Codec:
    # Each side tells what it understands (RFC 4733 section 2.4.1).
    parameters = ours.parameters or format_events(offered.events & frozenset(range(16)))
    return attrs.evolve(offered, parameters=parameters)
