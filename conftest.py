"""What every test run of this checkout shares."""

import os
import tempfile
from pathlib import Path

# Tests build into the checkout's cache, so that a second run is fast. Emulators of a test process
# are its own: they replace none that runs for a person or for another process.
os.environ.setdefault("LOTOR_CACHE", str(Path(__file__).parent / ".cache" / "lotor"))
if "LOTOR_HIL_BOARD" not in os.environ:
    os.environ["LOTOR_RUN_DIR"] = tempfile.mkdtemp(prefix="lotor-test-")
