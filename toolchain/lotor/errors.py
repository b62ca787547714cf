"""The one exception that a user's mistake raises."""


class LotorError(Exception):
    """A mistake the user can mend; its text is one line: what is wrong, the limit, the next step.

    The command line prints it without a traceback and exits with 2.
    """
