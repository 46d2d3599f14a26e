"""`python -m dashapp` is the command `tickertone`."""

import sys

from dashapp.cli import main

if __name__ == "__main__":
    sys.exit(main())
