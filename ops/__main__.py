"""`python -m ops`: the command `sluice`."""

import sys

from ops.app import main

sys.exit(main())
