"""``python -m drasi``: the command line."""

import sys

from drasi.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
