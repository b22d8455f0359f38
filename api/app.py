"""The service put together: routes, layers, and a life from start to end. `python -m api` serves it."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Match

from api import (
    allocations,
    calendar,
    coverage,
    directory,
    events,
    explanations,
    figures,
    me,
    needs,
    notifications,
    offers,
    operations,
    pacts,
    pathways,
    pledges,
    policy,
    practices,
    project_slip,
    projects,
    referrals,
    reveals,
    shifts,
    sites,
    slip,
    slip_page,
    slots,
    towns,
    webhooks,
)
from api.console import (
    board,
    bringing,
    change_house,
    change_offer,
    change_pact,
    change_pledge,
    changing,
    describing,
    elsewhere,
    houses,
    network,
    new_house,
    new_offer,
    new_pact,
    new_pathway,
    new_pledge,
    new_project,
    nights,
    offline,
    posting,
    queue,
    signing,
    together,
    tonight,
    volunteers,
    ways,
    what_if,
)
from api.console import calendar as evenings
from api.console import figures as charts
from api.console import map as drawing
from api.console import notifications as telling
from api.console import pacts as agreeing
from api.console import referrals as passing
from api.console.pages import is_of_the_console, refused
from api.documents import Service
from api.feed_cursors import FeedCursors
from api.flaws import flaws_of
from api.front_door import FrontDoor
from api.house import House
from api.limits import BodyLimit
from api.metrics import Metrics
from api.pace import Pace
from api.presence import Presence
from api.problems import MethodNotAllowed, Unavailable, answer
from api.settings import ApiSettings
from api.streams import Streams
from api.turnstile import Turnstile
from api.watch import keep_watch
from api.withheld import Withheld
from api.wording import LANGUAGES, catalogue
from db import issuers, logs
from db.addresses import Vault
from db.bell import SETTLED, Bell, Ear
from db.connection import connect
from db.environment import read_or_leave
from db.late_reading import LateReading
from db.readiness import Readiness
from db.roles import Role
from db.sealing import Sealing
from db.settings import Keys
from db.showing import DatabaseFigures, show_bells, show_late_reading, show_pool, shown
from db.slip_filing import file_missing
from db.slips import SlipKeys
from db.webhook_keys import WebhookKeys
from identity.issuers import Issuers
from matching.refusals import Invalid, NotFound, Refusal

__all__ = ["create"]

_log = structlog.get_logger()
_FILE_AGAIN_SECONDS = 5.0
_FIRST_LOOK_SECONDS = 3.0
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_AWAY_CLASSES = frozenset({"08", "53", "57", "58"})
"""SQLSTATE classes: connection lost, resources short, ended by an operator or a time limit, system error."""
_AWAY_STATES = frozenset({"25006", "40001", "40P01", "55P03"})
"""A server that takes no writes any more, since another does; two transactions in each other's way: the same request
passes a moment later."""


def create(settings: ApiSettings | None = None, presence: Presence | None = None) -> FastAPI:
    """The service, by the settings of the environment unless others are given."""
    logs.configure()
    chosen = settings or read_or_leave(ApiSettings)
    metrics, here = Metrics(), presence or Presence()
    for language in LANGUAGES:
        catalogue(language)
    app = Service(
        title="Relais",
        version="1",
        description="Mutual-aid coordination and urgent-shelter matching, whatever anyone's status.",
        lifespan=_life(chosen, here, metrics),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(FrontDoor, metrics=metrics, presence=here, behind_tls=chosen.behind_tls),
            Middleware(BodyLimit, most=chosen.body_bytes, seconds=chosen.body_seconds),
            Middleware(Turnstile, settings=chosen, metrics=metrics, presence=here),
        ],
    )
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(SQLAlchemyError, _refused)
    app.add_exception_handler(OSError, _refused)
    for router in (
        me.router,
        towns.router,
        sites.router,
        offers.router,
        slots.router,
        needs.router,
        pathways.router,
        projects.router,
        explanations.router,
        allocations.router,
        reveals.router,
        pacts.router,
        referrals.router,
        pledges.router,
        practices.router,
        shifts.router,
        events.router,
        webhooks.router,
        notifications.router,
        directory.router,
        coverage.router,
        calendar.router,
        policy.router,
        figures.router,
        slip.router,
        project_slip.router,
        slip_page.router(chosen),
        signing.public,
        elsewhere.router,
        offline.router,
        signing.router,
        board.router,
        queue.router,
        change_house.router,
        change_offer.router,
        change_pact.router,
        change_pledge.router,
        changing.router,
        posting.router,
        tonight.router,
        ways.router,
        passing.router,
        agreeing.router,
        network.router,
        drawing.router,
        charts.router,
        new_house.router,
        houses.router,
        describing.router,
        new_offer.router,
        nights.router,
        bringing.router,
        volunteers.router,
        new_pact.router,
        new_pathway.router,
        new_project.router,
        together.router,
        new_pledge.router,
        telling.router,
        what_if.router,
        evenings.router,
        operations.router,
    ):
        # Not `include_router`, which makes each route a second time, when a request first comes near it: seconds of the
        # processor in which nobody else is answered. Nothing is added here to what routers say of themselves.
        app.router.routes.extend(router.routes)
    return app


def _life(
    settings: ApiSettings, presence: Presence, metrics: Metrics
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        keys = settings.keys()
        engine = connect(settings, "api", Role.APP)
        cursors = FeedCursors(keys.of("feed-cursor"))
        streams = Streams(engine, cursors, presence.leaving)
        # Where all connections are at work, the process is busy and not unready.
        own_line = connect(settings.model_copy(update={"pool_size": 1}), "api-readiness", Role.APP)
        readiness = Readiness("api", own_line)
        bell = Bell(settings)
        ear = Ear(settings, SETTLED)
        pace = Pace(settings.redis_url)
        late = _late_reading(settings, engine)
        app.state.house = House(
            settings=settings,
            engine=engine,
            late=late,
            bell=bell,
            ear=ear,
            key_hashing=keys.of("api-key"),
            session_hashing=keys.of("session"),
            form_hashing=keys.of("session-form"),
            sheet_sealing=keys.of("console-sheet"),
            leg_sealing=keys.of("sign-in-leg"),
            issuer_secrets=issuers.sealing(keys),
            issuers=Issuers(),
            withheld=Withheld(keys.of("slip"), WebhookKeys.of(keys)),
            slips=SlipKeys.of(keys),
            client_hashing=keys.of("client"),
            readiness=readiness,
            pace=pace,
            request_hashing=keys.of("request"),
            tie_key=keys.of("tie"),
            channels=Sealing(keys.of("channel-address")),
            event_key=keys.of("event"),
            cursors=cursors,
            streams=streams,
            leaving=presence.leaving,
            tombstone_key=keys.of("tombstone"),
            vault=Vault.of_file(settings.address_key_file),
        )
        # One connection for it, in a role that sees what there is to do: requests have theirs.
        watching = connect(settings.model_copy(update={"pool_size": 1}), "api-figures", Role.MATCHER)
        metrics.registry.register(DatabaseFigures.of(watching))
        show_pool(metrics.registry, engine)
        show_bells(metrics.registry, bell, ear)
        helpers = [
            asyncio.create_task(each)
            for each in (bell.run(), ear.run(), keep_watch(engine, ear), streams.watch(), _file_slips(engine, keys))
        ]
        if late is not None:
            show_late_reading(metrics.registry, late)
            helpers.append(asyncio.create_task(late.watch()))
        begun = asyncio.create_task(_begin(readiness, presence))
        # Mostly all is there: then nobody is turned away. Else it listens, and says that it is not ready.
        await asyncio.wait([begun], timeout=_FIRST_LOOK_SECONDS)
        _keep_for_good()
        try:
            with shown(metrics.registry, settings):
                yield
        finally:
            presence.leaving.set()
            for helper in (begun, *helpers):
                helper.cancel()
            await asyncio.gather(begun, *helpers, return_exceptions=True)
            await pace.close()
            if late is not None:
                await late.close()
            for each in (own_line, watching):
                await each.dispose()
            await engine.dispose()
            _log.info("api.stopped")

    return life


def _late_reading(settings: ApiSettings, engine: AsyncEngine) -> LateReading | None:
    if settings.replica_address is None:
        return None
    return LateReading(settings, settings.replica_address, settings.replica_seconds, engine, "api-replica")


async def _begin(readiness: Readiness, presence: Presence) -> None:
    await readiness.wait()
    presence.began.set()
    _log.info("api.ready")


def _keep_for_good() -> None:
    """Let the collector pass over what was loaded at the start: looking through all of it stops every request."""
    gc.collect()
    gc.freeze()


async def _file_slips(engine: AsyncEngine, keys: Keys) -> None:
    """Once, as soon as the database answers."""
    while True:
        try:
            await file_missing(engine, SlipKeys.of(keys))
        except (SQLAlchemyError, OSError) as error:
            _log.warning("slips.not_filed", exception=type(error).__name__)
            await asyncio.sleep(_FILE_AGAIN_SECONDS)
        else:
            return


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return answer(request, MethodNotAllowed(_allowed(request)))
    refusal = _refusal(error)
    return refused(request, refusal) if is_of_the_console(request) else answer(request, refusal)


def _allowed(request: Request) -> str:
    """The methods that this path takes, over all its routes."""
    return ", ".join(
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.router.routes
        )
    )


def _refusal(error: Exception) -> Refusal:
    """What an error means to the caller. Raises it again when it is a mistake of ours."""
    match error:
        case Refusal():
            return error
        case RequestValidationError():
            return Invalid(flaws_of(error.errors()))
        case HTTPException(status_code=404):
            return NotFound()
        case HTTPException():
            return Invalid.one("", "not_understood")
        case SQLAlchemyError() if not _away(error):
            raise error
    _log.warning("api.database_away", exception=type(error).__name__)
    return Unavailable()


def _away(error: SQLAlchemyError) -> bool:
    if not isinstance(error, DBAPIError):
        return isinstance(error, NoConnectionInTime)
    state = str(getattr(error.orig, "sqlstate", None) or "")
    # A value that the driver itself cannot send has no state either, and is our mistake.
    unsendable = isinstance(getattr(error.orig, "__cause__", None), ValueError)
    lost = error.connection_invalidated or (not state and not unsendable)
    return lost or state[:2] in _AWAY_CLASSES or state in _AWAY_STATES
