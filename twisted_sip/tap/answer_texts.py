"""What is done with calls, as people write it: ``echo``, ``play FILE``, ``record DIR``, ``dtmf-menu FILE``."""

from __future__ import annotations

from pathlib import Path

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.wav import WavSource
from twisted_sip.tap.faults import WrongSetting, did_you_mean

#: What each answer takes, empty for nothing.
ANSWERS = {"echo": "", "play": "FILE", "record": "DIR", "dtmf-menu": "FILE", "reject": "STATUS"}

#: What would be right where an answer is none.
ANSWERS_RIGHT = "write echo, play FILE, record DIR, dtmf-menu FILE or reject STATUS"
_PLAYABLE = "write the path of a WAV file"


@attrs.frozen(slots=True)
class AnswerWords:
    """An answer, read.

    :ivar kind: one of :data:`ANSWERS`.
    :ivar path: the file or directory.
    :ivar status: the status to reject with.
    """

    kind: str
    path: Path = Path()
    status: int = 0


def read_answer(text: str, base: Path) -> AnswerWords:
    """Read *text*.

    :param base: the directory that relative paths count from.
    :raises WrongSetting: it is no answer.
    """
    kind, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if kind not in ANSWERS:
        near = did_you_mean(kind, ANSWERS)
        raise WrongSetting(f'"{text}" is no answer{near}', "" if near else ANSWERS_RIGHT)
    wanted = ANSWERS[kind]
    if bool(wanted) != bool(rest):
        raise WrongSetting(f'"{text}" {"lacks its " + wanted if wanted else "takes nothing"}', ANSWERS_RIGHT)
    if kind == "reject":
        if not rest.isascii() or not rest.isdigit() or not 400 <= int(rest) <= 699:
            raise WrongSetting(f'"{rest}" is no status to reject with', "write one from 400 to 699")
        return AnswerWords(kind, status=int(rest))
    path = (base / Path(rest).expanduser()).absolute() if rest else Path()
    if wanted == "FILE" and not path.is_file():
        raise WrongSetting(
            f"{path} {'is not a file' if path.exists() else 'does not exist'}", "write the path of a file"
        )
    if kind == "play":
        _try(path)
    if wanted == "DIR" and path.exists() and not path.is_dir():
        raise WrongSetting(f"{path} is not a directory", "write the path of a directory")
    return AnswerWords(kind, path)


def _try(path: Path) -> None:
    try:
        WavSource(path).close()
    except OSError as error:
        raise WrongSetting(f"{path} cannot be read ({(error.strerror or str(error)).lower()})", _PLAYABLE) from error
    except LocalProtocolError as error:
        raise WrongSetting(f"{path} cannot be played ({error})", _PLAYABLE) from error


def answer_text(text: str, base: Path) -> str:
    """Return *text* with its path absolute; an empty one stays.

    :raises WrongSetting: it is no answer.
    """
    if not text:
        return text
    words = read_answer(text, base)
    rest = str(words.status) if words.status else str(words.path) if ANSWERS[words.kind] else ""
    return f"{words.kind} {rest}".strip()
