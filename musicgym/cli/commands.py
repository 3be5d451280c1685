"""The command line: ``musicgym data | pretrain | train | compose | ...``."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro import conf

from musicgym.agents.configs import (
    MODELS,
)
from musicgym.processes import place

if TYPE_CHECKING:
    pass


from .compose import Compose, Interpolate, Reconstruct
from .data import Data
from .leaderboard import Leaderboard
from .listening import Listen, Preference, Ratings
from .measure import Audit, Bench, Evaluate, Generators, Papers, Tradeoff
from .sweep import Sweep
from .training import Pretrain, Train

__all__ = ["main"]

Command = (
    Annotated[Data, conf.subcommand("data")]
    | Annotated[Pretrain, conf.subcommand("pretrain")]
    | Annotated[Train, conf.subcommand("train")]
    | Annotated[Compose, conf.subcommand("compose")]
    | Annotated[Reconstruct, conf.subcommand("reconstruct")]
    | Annotated[Interpolate, conf.subcommand("interpolate")]
    | Annotated[Evaluate, conf.subcommand("evaluate")]
    | Annotated[Audit, conf.subcommand("audit")]
    | Annotated[Tradeoff, conf.subcommand("tradeoff")]
    | Annotated[Papers, conf.subcommand("papers")]
    | Annotated[Generators, conf.subcommand("generators")]
    | Annotated[Leaderboard, conf.subcommand("leaderboard")]
    | Annotated[Sweep, conf.subcommand("sweep")]
    | Annotated[Listen, conf.subcommand("listen")]
    | Annotated[Preference, conf.subcommand("preference")]
    | Annotated[Ratings, conf.subcommand("ratings")]
    | Annotated[Bench, conf.subcommand("bench")]
)


@contextmanager
def _errors() -> Iterator[None]:
    """Turn a user's mistake into a sentence and exit code 2, other ends into theirs."""
    from musicgym.corpus.dataset import CorpusMissing
    from musicgym.export.extras import MissingExtra

    try:
        yield
    except RuntimeError as error:
        from musicgym.agents.parallel import PeerError  # it loads torch: not before it is needed

        if not isinstance(error, PeerError):
            raise
        _quit(f"{error} What was finished is kept: the same command goes on from there.", 1)
    except KeyboardInterrupt:
        _quit("stopped; what was finished is kept: the same command goes on from there.", 130)
    except (ValueError, CorpusMissing, MissingExtra) as error:
        _quit(str(error), 2)
    except BrokenPipeError:  # whoever read it has had enough, as in `musicgym ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _quit(f"the disk is full: {error}; what was finished before is kept.", 1)
        if error.errno is None:  # our own message
            _quit(str(error), 2)
        _quit(f"{error.filename or 'a file'} cannot be read or written: {error.strerror}.", 2)


def _quit(message: str, code: int) -> None:
    """End with a message; of many processes that end alike the leading one says it."""
    if place().rank == 0:
        print(f"\nmusicgym: {message}", file=sys.stderr)
    elif code != 130:
        _let_the_first_end()
    raise SystemExit(code)


def _leave() -> None:
    """End a process of many that is done, at once.

    Threads of torch.distributed abort now and then when Python is taken down around them, and
    torchrun would take that for the failure of a run whose files are written.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _let_the_first_end() -> None:
    """Wait for the leading process: torchrun ends all others as soon as one has ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(10)


def _read(arguments: Sequence[str] | None) -> Command:
    """Return the command that the arguments say; `pretrain` alone is of Melody_LSTM."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["pretrain"] and not {*arguments[1:2], "-h"} & {*MODELS, "style", "--help"}:
        arguments.insert(1, "melody_lstm")
    command: Command = tyro.cli(
        Command,
        prog="musicgym",
        description="Compose melodies over chord progressions, and train and measure agents.",
        args=arguments,
        config=(conf.OmitSubcommandPrefixes,),
    )
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends it with exit code 2."""
    if place().rank == 0:
        command = _read(arguments)
    else:
        try:
            with open(os.devnull, "w") as none, redirect_stdout(none), redirect_stderr(none):
                command = _read(arguments)
        except SystemExit as end:
            if end.code:
                _let_the_first_end()
            raise
    with _errors():
        if place().size > 1 and not isinstance(command, Train):
            raise ValueError("torchrun: it is for the command train only.")
        command.run()
    if place().size > 1:
        _leave()
