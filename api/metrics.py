"""Figures about the service itself: requests by route, method and status, and how long they took."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Metrics"]


class Metrics:
    """The figures of one process. Labels are route templates: never an id, a place or an organization."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "relais_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "relais_request_seconds",
            "Seconds from the request to the end of its answer.",
            ["route", "method"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self.in_work = Gauge("relais_requests_in_work", "Requests that are worked on now.", registry=self.registry)
        self.shed = Counter(
            "relais_requests_shed", "Requests that were told to come again, unread.", registry=self.registry
        )

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)
