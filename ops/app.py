"""The command `sluice`: finds the verbs in ops/verbs/, runs one, and shows an error as a person wants to read it.

Owns the exit status: 0 done, 1 it could not be done, 2 the command line does not fit.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from typing import TYPE_CHECKING

from ops.errors import OpsError

if TYPE_CHECKING:
    import typer

ABOUT = "Provision, deploy and operate a queue-driven payment system, on Google Cloud or on this machine."


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
    app.callback()(lambda: None)  # with one verb loaded, typer would leave out its name
    return app


def main(argv: list[str] | None = None) -> int:
    """Run a command line; the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
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
    except OpsError as error:
        return _show(error, as_json="--json" in arguments)
    return 0


def _show(error: OpsError, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": error.as_json()}, indent=1))
    print(f"error: {error}", file=sys.stderr)
    return error.code
