"""``python -m surffit``: the shell, where the ``surffit`` command is not on the path."""

import sys

from surffit.cli import main

if __name__ == "__main__":
    sys.exit(main())
