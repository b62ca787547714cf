"""Programs that tests interrupt."""

import signal


def heed_ctrl_c() -> None:
    """Let a child heed Ctrl-C, as `preexec_fn`; where tests run in the background it would not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
