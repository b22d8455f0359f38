"""The one error of the embedded stack: a sentence that a tired person can act on."""


class StackProblem(Exception):  # noqa: N818 - it is told to people, not a fault of the program
    """The stack cannot start or stop; the message says what happened, what is safe and what to do next."""
