"""The errors a user can meet, each with the exit code that the command line returns for it.

Messages say what went wrong, where, and how to mend it. Nothing here prints or exits.
"""


class FercleanError(Exception):
    """Something failed that the user can act on; the command line shows one line and exits with `exit_code`."""

    exit_code = 1


class UsageError(FercleanError):
    """The call itself is off: an unknown class, method or option. Lists the known ones."""

    exit_code = 2


class BadDataError(FercleanError):
    """The data cannot be what it claims to be; names the rows or files."""

    exit_code = 4


class WorkspaceBusyError(FercleanError):
    """Another process holds the workspace; names it."""

    exit_code = 5
