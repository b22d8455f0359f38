"""`python -m matching`: compile the hot loops and keep them, so that the first who wait do not wait for that too."""

from matching import pairing
from matching.engine.solve import warm

if __name__ == "__main__":
    pairing.warm()
    warm()
