"""The command `sluice`: finds the verbs in ops/verbs/, runs one, and shows an error as a person wants to read it.

Owns the exit status: 0 done, 1 it could not be done, 2 the command line does not fit, 130 Ctrl-C; a verb's own ones
stand in its help. No argument, file or folder of the caller's ends in a traceback: what a verb did not foresee of them
is said here.
"""

from __future__ import annotations

import errno
import importlib
import json
import pkgutil
import re
import shutil
import sys
from typing import TYPE_CHECKING

from ops.errors import BadUsage, OpsError

if TYPE_CHECKING:
    import typer

#: What writing ends with where there is no room, or no way.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
#: Characters that an error shows of a word that is longer than any name or address.
SHOWN = 80
_LONG = re.compile(r"[^\s:/]{400,}")
ABOUT = "Provision, deploy and operate a queue-driven payment system, on Google Cloud or on this machine."

#: What the exit status means, of every verb.
STATUS = (
    "Exit status: 0, done. 1, not done or not all of it, or something is found that wants mending. 2, the command line "
    "does not fit; of adopt, drift and reconcile also: not everything could be looked at. 130, Ctrl-C. `rollout "
    "status` has 3 and 4, which its help tells. A TIME is a number and s, m, h or d: 90s, 10m, 24h, 2d."
)


def build(wanted: str | None = None) -> typer.Typer:
    """The command with its verbs; only the module of the `wanted` verb is loaded where that is known."""
    import typer

    from ops import verbs

    app = typer.Typer(
        help=ABOUT, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    names = [module.name for module in pkgutil.iter_modules(verbs.__path__)]
    chosen = [wanted] if wanted in names else names
    for name in chosen:
        importlib.import_module(f"ops.verbs.{name}").register(app)
    app.callback(epilog=STATUS)(lambda: None)  # with one verb loaded, typer would leave out its name
    return app


def main(argv: list[str] | None = None) -> int:
    """Run a command line; the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _unheard()  # the verb has done its work, and its status says how that ended
    except OSError as error:
        _unheard()
        return _show(_unwritten(error), as_json=False)
    return code


def _run(arguments: list[str]) -> int:
    try:
        _readable(arguments)
        if arguments[:2] == ["cloud", "start"]:  # all its options are the local cloud's own, which should serve at once
            from ops import standalone

            rest = [word for word in arguments[2:] if word != "--json"]
            return standalone.run(rest, as_json="--json" in arguments)
        build(next(iter(arguments), None))(args=arguments, prog_name="sluice")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return _unheard()
    except Exception as error:
        if (said := _said(error)) is None:
            raise
        return _show(said, as_json="--json" in arguments)
    return 0


def _readable(arguments: list[str]) -> None:
    """Refuse bytes that are no UTF-8: neither a terminal nor an API could be told of them."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = argument.encode("ascii", "backslashreplace").decode()
            raise BadUsage(
                f"an argument is no text in UTF-8: {shown[:SHOWN]}", fix="write it in UTF-8, or copy it anew"
            ) from error


def _said(error: Exception) -> OpsError | None:
    """What an error means to who typed the command; None where it is a mistake of this program."""
    if isinstance(error, OpsError):
        return error
    if isinstance(error, OSError) and error.filename is not None:
        return OpsError(
            f"{error.filename}: {error.strerror}",
            why="the command needs it and cannot use it as it is",
            fix="give this user the rights to it, make room for it, or name another",
        )
    if isinstance(error, OSError) and error.errno in FULL:
        _unheard()
        return _unwritten(error)
    import spec  # loaded already, wherever this can be

    if isinstance(error, spec.SpecErrors):
        from ops.specs import SpecsRefused

        return SpecsRefused(error)
    return None


def _unwritten(error: OSError) -> OpsError:
    return OpsError(f"the output cannot be written: {error.strerror}", fix="write it where there is room")


def _unheard() -> int:
    """Nobody reads on (`| head -1`) and a verb that only reads has ended in the middle, without a word."""
    from ops.output import unheard

    unheard()
    return 1


def _show(error: OpsError, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": error.as_json()}, indent=1))
    lines = f"error: {_LONG.sub(_cut, str(error))}".splitlines()
    if sys.stderr.isatty():
        from ops import fitting

        width = shutil.get_terminal_size().columns
        lines = [part for line in lines for part in fitting.wrapped(line, width)]
    print("\n".join(lines), file=sys.stderr)
    return error.code


def _cut(word: re.Match[str]) -> str:
    """What was typed is said again so far as it is of use."""
    return f"{word[0][:SHOWN]}... ({len(word[0]):,} characters)"
