"""The one exception that a user's mistake raises, and any error in a line."""


class LotorError(Exception):
    """A mistake the user can mend; its text is one line: what is wrong, the limit, the next step.

    The command line prints it without a traceback and exits with 2.
    """


def said(error: BaseException) -> str:
    """Return what an error is, in a line; of one whose text cannot be had, its kind alone."""
    kind = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # somebody else's class
        return kind
    return f"{kind}: {text}" if text else kind


def reason(error: Exception) -> str:
    """Return why something failed, without the path that an `OSError` repeats."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
