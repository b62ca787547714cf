"""The one exception that a user's mistake raises."""


class LotorError(Exception):
    """A mistake the user can mend; its text is one line: what is wrong, the limit, the next step.

    The command line prints it without a traceback and exits with 2.
    """


def reason(error: Exception) -> str:
    """Return why something failed, without the path that an `OSError` repeats."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
