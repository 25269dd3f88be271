"""What is played to callers: WAV files, tones of the telephone network, keys; written as one text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NewType

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.tones import TONES, Cadence, KeySource, ToneSource
from twisted_sip.media.wav import WavSource
from twisted_sip.tap.faults import WrongSetting, did_you_mean

#: A WAV file, ``tone:busy``, ``tone:busy:de`` or ``keys:123``.
Prompt = NewType("Prompt", str)

#: What is heard before a recording begins.
BEEP = Cadence(((0.3, (1000.0,)), (0.1, ())), 1)

#: How often a tone that never ends is played in a prompt.
_TIMES = 3
_RIGHT = "write the path of a WAV file, tone:busy, tone:busy:de or keys:123"


def prompt_text(text: str, base: Path) -> Prompt:
    """Return the prompt *text*, its path absolute; an empty one stays.

    :param base: the directory that relative paths count from.
    :raises WrongSetting: it cannot be played.
    """
    kind, colon, rest = text.partition(":")
    if not text or (colon and kind in ("tone", "keys")):
        made = text
    else:
        made = str((base / Path(text).expanduser()).absolute())
    if made:
        _try(made, text, rest)
    return Prompt(made)


def _try(made: str, text: str, rest: str) -> None:
    try:
        source = prompt_source(Prompt(made))
    except FileNotFoundError as error:
        raise WrongSetting(f"{made} does not exist", _RIGHT) from error
    except OSError as error:
        raise WrongSetting(f"{made} cannot be read ({(error.strerror or str(error)).lower()})", _RIGHT) from error
    except LocalProtocolError as error:
        near = did_you_mean(rest.partition(":")[0], TONES["eu"]) if text.startswith("tone:") else ""
        raise WrongSetting(f'"{text}": {error}{near}', "" if near else _RIGHT) from error
    close = getattr(source, "close", None)
    if close is not None:
        close()


def prompt_source(prompt: Prompt) -> Any:
    """Return the AudioSource of *prompt*, which is not empty; it ends by itself.

    :raises LocalProtocolError: it is none.
    :raises OSError: its file cannot be read.
    """
    kind, colon, rest = prompt.partition(":")
    if colon and kind == "keys":
        if not rest or set(rest.upper()) - set("0123456789*#ABCD,"):
            raise LocalProtocolError("keys are of 0123456789*#ABCD")
        return KeySource(rest.upper())
    if colon and kind == "tone":
        name, _, country = rest.partition(":")
        tones = TONES.get((country or "eu").lower())
        if tones is None or name not in tones:
            raise LocalProtocolError(f"there is no such tone, there are {', '.join(TONES['eu'])}")
        cadence = tones[name]
        return ToneSource(Cadence(cadence.pattern, _TIMES if cadence.repeat is None else cadence.repeat))
    return WavSource(prompt)


def beep() -> ToneSource:
    """Return the beep."""
    return ToneSource(BEEP)
