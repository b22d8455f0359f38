"""Figures of the worker itself: how often each of its loops looked, when last, and whether the look broke."""

from prometheus_client import CollectorRegistry, Counter, Gauge

__all__ = ["Figures"]


class Figures:
    """The figures of one process; labels are the names of its loops."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._looks = Counter(
            "relais_worker_looks", "Looks at what is due, by how they ended.", ["look", "end"], registry=self.registry
        )
        self._last = Gauge(
            "relais_worker_last_look_timestamp_seconds",
            "When a look last came to its end.",
            ["look"],
            registry=self.registry,
        )

    def looked(self, look: str, end: str) -> None:
        """Count a look: `well`, `database_away` or `broke`, with all or with one of the things that it is about."""
        self._looks.labels(look, end).inc()

    def came_to_an_end(self, look: str) -> None:
        """Say that a look went through all that was due."""
        self._last.labels(look).set_to_current_time()
