"""`python -m lotor`."""

import sys

from lotor.cli import main

sys.exit(main())
