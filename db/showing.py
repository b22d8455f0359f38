"""Showing a process's figures to Prometheus, on a port of their own: loopback unless told otherwise, never the API's.

How many needs are open right now, or how often a slip is opened, is nothing for passers-by.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from threading import Lock
from time import monotonic
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Gauge, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import gauges
from db.bell import Bell, Ear
from db.connection import looking, pool_use
from db.gauges import Gauges
from db.late_reading import LateReading
from db.settings import Settings

__all__ = ["DatabaseFigures", "show_bells", "show_late_reading", "show_pool", "shown"]

_PATIENCE: Final = 3.0
"""Seconds that a scrape waits for the database."""
_KEPT_SECONDS: Final = 5.0
"""Seconds for which figures of the database are shown again: scrapes do not wear it down."""
_HELP: Final = {
    "needs_due": "Needs that the matching is to look at now.",
    "oldest_due_seconds": "Seconds for which the oldest need that is due has been so.",
    "needs_open": "Needs that wait for a first place.",
    "needs_held": "Needs whose places wait to be confirmed.",
    "needs_unmet": "Needs past their deadline without a place, whose time is not over.",
    "needs_parked": "Needs that the matching gave up on until somebody looks.",
    "holds_near_deadline": "Holds that end within ten minutes unless confirmed.",
    "oldest_overdue_hold_seconds": "Seconds since the oldest hold that still stands should have ended.",
    "capacity_news": "Word of new places that the worker has not read.",
    "acts_unlinked": "Acts that are not linked to their chain of the audit.",
    "oldest_unlinked_act_seconds": "Seconds for which the oldest of them waits.",
    "feed_lag_seconds": "Age of the oldest event that no feed may show yet.",
    "deliveries_waiting": "Events that webhooks have not taken yet.",
    "deliveries_parked": "Events that webhooks did not take in three days.",
    "notices_waiting": "Notices that wait to be told by a channel.",
    "channels_failing": "Channels that are paused because nothing arrived by them for days.",
    "oldest_delivery_seconds": "Seconds for which the oldest event that a webhook has not taken waits.",
    "last_round_age_seconds": "Seconds since the last round.",
    "last_round_seconds": "Seconds that the last round took.",
    "last_round_gap": "Share of the bound by which the last round may be below the best plan.",
}
_log = structlog.get_logger()


class DatabaseFigures(Collector):
    """The figures of the whole database, read when they are asked for and kept for some seconds.

    Asked from the thread that shows them; read in the process's loop. Make it in that loop.
    """

    def __init__(self, read: Callable[[], Coroutine[None, None, Gauges]]) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._one_at_a_time = Lock()
        self._seen: Gauges | None = None
        self._seen_at = -_KEPT_SECONDS

    @classmethod
    def of(cls, engine: AsyncEngine) -> "DatabaseFigures":
        """Read over an engine whose role sees all rows."""

        async def read() -> Gauges:
            async with asyncio.timeout(_PATIENCE), looking(engine) as connection:
                return await gauges.read(connection)

        return cls(read)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing is asked of the database to register this."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures, and whether they could be read."""
        seen = self._lately()
        up = GaugeMetricFamily("relais_database_up", "Whether the database answered when it was asked for figures.")
        up.add_metric([], 0 if seen is None else 1)
        yield up
        if seen is not None:
            for each in fields(seen):
                family = GaugeMetricFamily(f"relais_{each.name}", _HELP[each.name])
                family.add_metric([], getattr(seen, each.name))
                yield family

    def _lately(self) -> Gauges | None:
        with self._one_at_a_time:
            if monotonic() - self._seen_at >= _KEPT_SECONDS:
                asked = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
                try:
                    self._seen = asked.result(2 * _PATIENCE)
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    asked.cancel()
                    _log.warning("figures.not_read", exception=type(error).__name__)
                    self._seen = None
                self._seen_at = monotonic()
            return self._seen


def show_pool(registry: CollectorRegistry, engine: AsyncEngine) -> None:
    """Show how an engine's connections are used."""
    for name, words, read in (
        ("size", "Connections to the database that this process may have.", lambda: pool_use(engine).size),
        ("in_use", "Connections that are at work.", lambda: pool_use(engine).in_use),
        ("waiting", "Acts that wait for a connection.", lambda: pool_use(engine).waiting),
    ):
        Gauge(f"relais_pool_{name}", words, registry=registry).set_function(read)


def show_bells(registry: CollectorRegistry, bell: Bell, ear: Ear) -> None:
    """Show whether the last ring got through, and whether anybody listens."""
    through = Gauge("relais_bell_rings", "Whether the last ring got through.", ["by"], registry=registry)
    through.labels("postgres").set_function(lambda: bell.reaches_postgres)
    through.labels("redis").set_function(lambda: bell.reaches_redis)
    Gauge("relais_ear_listens", "Whether this process hears rings.", registry=registry).set_function(
        lambda: ear.listens
    )


def show_late_reading(registry: CollectorRegistry, late: LateReading) -> None:
    """Show whether what may be some seconds old is read from a replica."""
    Gauge(
        "relais_replica_serves", "Whether the last answer that may be late came from a replica.", registry=registry
    ).set_function(lambda: late.serves)


@contextmanager
def shown(registry: CollectorRegistry, settings: Settings) -> Iterator[None]:
    """Show figures while the block runs, where the settings name a port for it."""
    if settings.metrics_port is None:
        yield
        return
    try:
        server, _ = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    except OSError as error:
        # People are served without it.
        _log.error(
            "figures.not_shown",
            exception=type(error).__name__,
            what_to_do="set RELAIS_METRICS_PORT to a free port and RELAIS_METRICS_HOST to an address of this machine",
        )
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
