"""``python -m stellatune_plugins`` is ``stellatune``."""

import sys

from stellatune_plugins.cli import main

if __name__ == "__main__":
    sys.exit(main())
