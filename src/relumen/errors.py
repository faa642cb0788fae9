"""The errors that a user sees as a plain message instead of a traceback."""


class UserError(ValueError):
    """A mistake that the user can mend: the command ends with exit code 2.

    The message says what is wrong, the value received, and the next step.
    """


class CheckFailedError(RuntimeError):
    """The command was used rightly but its work failed (a check is red, a disk is full): exit code 1."""
