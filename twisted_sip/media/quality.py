"""How good it sounds: a short form of the E-model (ITU-T G.107) over loss, delay and codec."""

from __future__ import annotations

#: Equipment impairment and robustness against random loss of G.113 appendix I, by name of the codec.
_IMPAIRMENT = {"PCMU": (0.0, 25.1), "PCMA": (0.0, 25.1), "L16": (0.0, 25.1), "OPUS": (0.0, 30.0)}
_UNKNOWN = (11.0, 19.0)

#: R with all other things at their defaults (G.107 table 3, clause 7.7).
_BASE = 93.2


def rating(loss: float, delay: float, codec: str = "PCMU") -> float:
    """Return the transmission rating factor R, 0.0 to 93.2.

    :param loss: part of the sound that was not there in time, 0.0 to 1.0.
    :param delay: from mouth to ear in seconds.
    :param codec: its name, in capitals.
    """
    equipment, robustness = _IMPAIRMENT.get(codec, _UNKNOWN)
    percent = 100.0 * min(1.0, max(0.0, loss))
    effective = equipment + (95.0 - equipment) * percent / (percent + robustness)
    milliseconds = 1000.0 * max(0.0, delay)
    delayed = 0.024 * milliseconds + 0.11 * max(0.0, milliseconds - 177.3)
    return max(0.0, _BASE - delayed - effective)


def mos(loss: float, delay: float, codec: str = "PCMU") -> float:
    """Return the mean opinion score that is expected, 1.0 to 4.5 (G.107 annex B); arguments as for :func:`rating`."""
    r = rating(loss, delay, codec)
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)
