"""The one error of the embedded stack: a sentence that a tired person can act on."""


class StackProblem(Exception):  # noqa: N818 - it is told to people, not a fault of the program
    """The stack cannot start or stop; the message says what happened, what is safe and what to do next."""


BY_HAND = (
    "Nothing on this machine was changed. What to do: install them by hand with "
    "`sudo apt-get install postgresql-postgis redis-server`, then start again; or set "
    "RELAIS_DATABASE_URL and RELAIS_REDIS_URL to servers that you already have."
)
"""What to do when the distribution's packages cannot be fetched."""
