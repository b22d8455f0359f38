"""`python -m api`: serve the API."""

import argparse
import gc

from api.settings import ApiSettings
from db.environment import read_or_leave


def main() -> None:
    """Serve it where the arguments say."""
    arguments = argparse.ArgumentParser(prog="python -m api", description="Serve the API of Relais.")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=8000)
    given = arguments.parse_args()
    settings = read_or_leave(ApiSettings)
    # What is loaded stays. To look through it for garbage meanwhile would take a fifth of the start.
    gc.disable()
    from api.serving import serve  # noqa: PLC0415 - takes seconds, and what is wrong with settings is told at once

    gc.enable()
    serve(settings, given.host, given.port)


if __name__ == "__main__":
    main()
