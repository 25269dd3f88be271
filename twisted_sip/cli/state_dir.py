"""Which state directory a command is about: ``--state-dir``, that of ``--config``, or ``./twisted-sip-state``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from twisted_sip.cli.output import Failed
from twisted_sip.errors import ConfigurationError
from twisted_sip.tap import configuration
from twisted_sip.tap.configuration import Configuration

F = TypeVar("F", bound=Callable[..., Any])


def state_dir_options(command: F) -> F:
    """Give *command* the options ``--state-dir`` and ``--config``."""
    path = click.Path(path_type=Path)
    add_config = click.option("--config", "-c", type=path, metavar="FILE", help="Configuration file of the server.")
    add_state_dir = click.option(
        "--state-dir", type=path, metavar="DIR", help="State directory of the server [default: ./twisted-sip-state]."
    )
    return add_state_dir(add_config(command))


def settings(state_dir: Path | None, config: Path | None) -> Configuration:
    """Return the configuration that the options name.

    :raises Failed: the file has faults; all of them are named.
    """
    try:
        found = configuration.load(config) if config is not None else Configuration()
    except ConfigurationError as error:
        raise Failed(str(error)) from error
    if state_dir is not None:
        found = attrs.evolve(found, server=attrs.evolve(found.server, state_dir=state_dir))
    return found


def find(state_dir: Path | None, config: Path | None) -> Path:
    """Return the state directory that the options name."""
    return state_dir if state_dir is not None else settings(None, config).server.state_dir
