"""`python -m api`: serve the API."""

import argparse

from api.serving import serve


def main() -> None:
    """Serve it where the arguments say."""
    arguments = argparse.ArgumentParser(prog="python -m api", description="Serve the API of Relais.")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=8000)
    given = arguments.parse_args()
    serve(given.host, given.port)


if __name__ == "__main__":
    main()
