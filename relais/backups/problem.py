"""Why something could not be backed up or restored, told to people."""

from relais.embedded import StackProblem

__all__ = ["BackupProblem"]


class BackupProblem(StackProblem):
    """A backup or a restore cannot be done; the message says what happened, what is safe and what to do next."""
