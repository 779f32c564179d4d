"""``python -m syslab`` is the ``syslab`` command."""

import sys

from syslab.cli import main

sys.exit(main())
