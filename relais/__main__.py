"""`python -m relais`: the same as the `relais` command."""

from relais.command import main

if __name__ == "__main__":
    main()
