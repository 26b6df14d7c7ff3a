"""`python -m ops`: the command `sluice`."""

import gc
import io
import signal
import sys
from types import FrameType

from ops.app import main


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """A pipeline that is cancelled ends a command as Ctrl-C does: what it has laid out for a moment is removed."""
    sys.exit(128 + signal.SIGTERM)


#: What runs the program makes much that lives until it ends: the collector would only look at all of it again.
if sys.argv[1:2] in (["up"], ["preview"]):
    gc.disable()
for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):  # a terminal that is no UTF-8 shows a tick as \u2713, and no traceback
        stream.reconfigure(errors="backslashreplace")
signal.signal(signal.SIGTERM, _terminated)
sys.exit(main())
