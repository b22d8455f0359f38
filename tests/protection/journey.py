"""One evening in Briançon from the first site to the last deletion, walked over HTTP by everybody who takes part.

Two runs of it differ in a `Telling` alone: where in their cells protected places lie, what is written of the way to
them, and of whom the parties of another organization are made. Whatever else differs, somebody can see it.
"""

from collections.abc import Mapping
from typing import Any, Final

import h3

from db.retention import purge
from geo.cells import Point, cell_of, cell_text
from tests.api.bodies import need_body, offer_body, pledge_body, practice_body, site_body
from tests.db.acts import one, rows
from tests.pacts import terms_body
from tests.places import BRIANCON, MONTGENEVRE, PlaceRow
from tests.protection.cast import Cast
from tests.protection.evidence import events_so_far, what_is_left
from tests.protection.houses import House
from tests.protection.telling import PROTECTED, Telling, inside
from tests.worker.test_retention import let_pass
from worker.settings import WorkerSettings
from worker.upkeep import Loads

__all__ = ["Journey"]

Json = dict[str, Any]
_WAITING: Final = {"Prefer": "wait=60"}
_EXPORTS: Final = (
    "/v1/export/hsds/services?full=true",
    "/v1/export/hsds/service_at_locations",
    "/v1/export/hsds/organizations",
    "/v1/export/offers.geojson",
    "/v1/calendar.ics?language=fr",
)
_SHARED: Final = (
    "/v1/pacts",
    "/v1/referrals",
    "/v1/practices",
    "/v1/export/practices.csv",
    "/v1/figures",
    "/v1/figures?span=month",
    "/v1/export/figures.csv",
)
"""What towns tell each other and everybody; each is asked for in every role."""


class Journey(Cast):
    """Walks through a house and keeps what each role saw, by surface."""

    def __init__(self, house: House, telling: Telling) -> None:
        super().__init__(house)
        self._telling = telling
        self._sites: dict[str, str] = {}
        self._offers: dict[str, str] = {}
        self._needs: dict[str, Json] = {}

    async def begin(self) -> None:
        """Everybody joins; sites and offers are opened."""
        self.recorder.stage = "evening"
        await self.join()
        await self._open_places()

    async def walk_the_evening(self) -> None:
        """Needs are posted, held, answered, declined, refused, changed and withdrawn."""
        await self._strangers_come()
        await self._parties_come()

    async def look_around(self) -> None:
        """Everybody reads what they may of their own, and tries what is not theirs."""
        self.recorder.stage = "looking"
        await self._everybody_looks_around()
        self.recorder.stage = "sharing"
        await self._towns_share()

    async def _towns_share(self) -> None:
        """Two towns make a pact, a need is to be passed on, a practice is told, everybody reads; then the pact ends.

        It ends so that what comes later in the evening is decided as if it had never been.
        """
        asked = {
            "town": BRIANCON.id,
            "partner": str(self.organizations["neighbour"]),
            "partner_town": MONTGENEVRE.id,
            "terms": terms_body(),
        }
        pact = (await self.ask("town hall", "POST", "/v1/pacts", json=asked)).json()["id"]
        await self.ask("neighbour", "POST", f"/v1/pacts/{pact}/sign", json={"number": 1})
        hopeless = self._needs["hopeless"]["id"]
        await self.ask("coordination", "POST", f"/v1/needs/{hopeless}/refer", json={}, said=())
        await self.ask("coordination", "GET", f"/v1/needs/{hopeless}/explanation")
        practice = (await self.ask("town hall", "POST", "/v1/practices", json=practice_body())).json()["id"]
        for role in (*self.organizations, "anyone"):
            for path in (*_SHARED, f"/v1/pacts/{pact}", f"/v1/practices/{practice}"):
                await self.ask(role, "GET", path, said=())
        for role in ("town hall", "neighbour"):
            await self.ask(role, "POST", f"/v1/pacts/{pact}/end")

    async def wait_for_volunteers_and_a_round(self) -> None:
        """A hall opens for who needs a lift, and a party makes room for one that fits nowhere else."""
        self.recorder.stage = "round"
        await self.ask("bystander", "POST", "/v1/pledges", json=pledge_body())
        await self._post("lifted", people={"adults": 3}, requires=["lift"])
        await self._held("lifted")
        shift = (await self.ask("bystander", "GET", "/v1/shifts")).json()["items"][0]
        await self.ask("bystander", "POST", f"/v1/shifts/{shift['id']}/confirm")
        await self._confirm("owner", "lifted")
        await self._post("mover", urgency="normal", people={"adults": 2}, requires=["pets"], wait=True)
        await self._post("ground", urgency="normal", people={"adults": 2}, requires=["ground_floor"])
        await self._held("ground")
        # Both were written in one moment, and lists put equals in the order of ids, which are a run's own.
        later = "update allocation set created_at = created_at + interval '1 second' where need_id = :id"
        await rows(self.engine, later, id=self._needs["ground"]["id"])
        for name in ("ground", "mover"):
            await self._confirm("owner", name)
        for role in ("owner", "bystander"):
            await self.ask(role, "GET", "/v1/shifts")
        self.recorder.seen.update(await events_so_far(self.house, self.organizations, "round"))

    async def look_at_the_loads(self, days: int) -> None:
        """The night has come; what towns and associations carry is counted, and explanations say so."""
        self.recorder.stage = "loads"
        await let_pass(self.engine, days)
        # Whether they still come is asked when the worker looks, some seconds later.
        await self.until("volunteers are asked", self._not_asked, 0)
        # The worker counts every twenty seconds: the same act, brought forward.
        await Loads(self.engine).keep()
        # Whether a deadline has passed, or a shower is over, is a matter of the hour of the test.
        for name in [each for each in self._needs if each not in ("hopeless", "washing")]:
            await self._explained(name)

    async def spend_the_night(self, days: float) -> None:
        """Places are read by those who may, and by nobody else; people arrive, and tell how it was."""
        self.recorder.stage = "night"
        await let_pass(self.engine, days)
        await self.until("unmet", lambda: self._state("hopeless"), "unmet")
        await self.until("the shower is over", lambda: self._state("washing"), "closed")
        for name in ("family", "two", "cook", "lone", "lifted"):
            for role in ("coordination", "owner", "town hall", "bystander", "neighbour"):
                await self.ask(role, "POST", f"/v1/allocations/{await self._allocation(name)}/address", said=())
            await self._show_slip(name, "told to people")
            await self._show_slip(name, "told to people", page=True)
        for name, owner in (("family", "owner"), ("cook", "coordination")):
            await self.ask(owner, "POST", f"/v1/allocations/{await self._allocation(name)}/arrive")
        told = {"code": self._needs["family"]["code"], "rating": 4, "words": ["calm", "clean"]}
        await self.ask("told to people", "POST", "/v1/slip/feedback", json=told)
        await self._everybody_looks_around()

    async def let_days_pass(self) -> None:
        """Stays end by themselves, and what is past its term is deleted."""
        self.recorder.stage = "days"
        await let_pass(self.engine, 10)
        await self.until("every stay is over", self._live, 0)
        await let_pass(self.engine, 4)
        # The worker purges every minute: the same act, brought forward.
        await purge(self.engine, WorkerSettings(**self.house.settings.model_dump(exclude={"database_address"})))
        await self._everybody_looks_around()
        await self.ask("anyone", "POST", "/v1/slip", json={"code": self._needs["family"]["code"]}, said=(404,))

    async def keep_what_is_left(self) -> None:
        """Feed, events and audit of each organization, the operator's figures, metrics, logs, what Redis was told."""
        self.recorder.seen.update(await self.heard())
        self.recorder.seen.update(await what_is_left(self.house, self.organizations))

    async def leak_exact_points(self) -> None:
        """The fault that this is all about: distances are measured from where places are, not from their cells."""
        for name, offer in self._offers.items():
            _, cell = PROTECTED.get(name, (BRIANCON, BRIANCON.cell))
            place = inside(cell, self._telling.corner if name in PROTECTED else self._telling.public_corner)
            statement = "update offer set point = st_point(:x, :y)::geography where id = :id"
            await rows(self.engine, statement, id=offer, x=place.longitude, y=place.latitude)

    async def _open_places(self) -> None:
        gym = inside(BRIANCON.cell, self._telling.public_corner)
        await self._open(
            "town hall", "gym", BRIANCON, gym, "public", ["quiet", "showers", "meals", "luggage"], capacity=60
        )
        homes = {"kind": "private_home"}
        hall = {"staffing": {"skill": "night_watch", "people_per_volunteer": 10, "minimum": 1}}
        await self._open_protected("premises", ["step_free", "meals"], capacity=8)
        await self._open_protected("rendezvous", ["kitchen"], "rendezvous", capacity=4)
        await self._open_protected("home", ["private_room"], capacity=3, site=homes)
        await self._open_protected("open home", ["private_room"], "public", capacity=3, site=homes)
        await self._open_protected("cabin", ["pets", "ground_floor"], capacity=2)
        await self._open_protected("chalet", ["pets"], capacity=2)
        await self._open_protected("hall", ["lift"], capacity=20, site=hall)
        await self._open_protected("refuge", ["quiet", "showers"], capacity=14, owner="host", confirmation="standing")
        await self._open_protected("annex", ["luggage"], capacity=4, owner="host")
        body = {"category": "sanitation", "capacity": 2, "slot_minutes": 30, "opens": "19:00", "closes": "21:00"}
        shower = await self.ask("owner", "POST", "/v1/offers", json=offer_body(self._sites["premises"], **body))
        self._offers["shower"] = shower.json()["id"]
        # A keyed hash of an id, which is a run's own: both runs draw the same lots.
        for lot, offer in enumerate(self._offers.values()):
            await rows(self.engine, "update offer set tie = :lot where id = :id", lot=lot, id=offer)

    async def _open_protected(
        self,
        name: str,
        provides: list[str],
        visibility: str = "on_confirmation",
        *,
        owner: str = "owner",
        site: Json = {},
        **offer: object,
    ) -> None:
        town, cell = PROTECTED[name]
        place = inside(cell, self._telling.corner)
        assert cell_of(place, h3.get_resolution(cell_text(cell))) == cell
        await self._open(owner, name, town, place, visibility, provides, site=site, **offer)
        path = f"/v1/sites/{self._sites[name]}"
        way = {"address": f"{self._telling.way}, {name}", "meeting_point": self._telling.meeting_point}
        await self.ask(owner, "PUT", f"{path}/address", json=way, headers={"If-Match": "*"})
        if site.get("kind"):
            await self.ask(owner, "POST", f"{path}/vet")

    async def _open(
        self,
        owner: str,
        name: str,
        town: PlaceRow,
        place: Point,
        visibility: str,
        provides: list[str],
        *,
        site: Json = {},
        **offer: object,
    ) -> None:
        location = {"type": "Point", "coordinates": [place.longitude, place.latitude]}
        asked = {"name": f"The {name}", "visibility": visibility, "provides": provides, "location": location}
        made = await self.ask(owner, "POST", "/v1/sites", json=site_body(**{"town": town.id, **asked, **site}))
        self._sites[name] = made.json()["id"]
        body = offer_body(self._sites[name], **{"closes": "09:00", **offer})
        self._offers[name] = (await self.ask(owner, "POST", "/v1/offers", json=body)).json()["id"]

    async def _strangers_come(self) -> None:
        for number, (adults, minors, requires) in enumerate(self._telling.strangers):
            town = BRIANCON if number == 3 else MONTGENEVRE
            people = {"adults": adults, "minors": minors}
            body = need_body(town=town.id, people=people, requires=[requires])
            posted = await self.ask("neighbour", "POST", "/v1/needs", json=body, headers=_WAITING)
            assert posted.json()["allocations"], posted.text
            if number == 3:
                allocation = posted.json()["allocations"][0]["id"]
                await self.ask("town hall", "POST", f"/v1/allocations/{allocation}/confirm")
        for need in (await self.ask("neighbour", "GET", "/v1/needs?limit=2")).json()["items"]:
            await self.ask("neighbour", "GET", f"/v1/needs/{need['id']}/explanation")

    async def _parties_come(self) -> None:
        await self._post("family", requires=["step_free"], wait=True, headers={"Idempotency-Key": "the-family"})
        await self._confirm("owner", "family")
        await self._post("two", people={"adults": 2}, requires=["quiet"], wait=True)
        await self._confirm("town hall", "two")
        await self._post("plain", people={"adults": 1}, requires=["luggage"], wait=True)
        # Public: read as soon as it is confirmed.
        await self.ask("coordination", "POST", f"/v1/allocations/{await self._allocation('two')}/address")
        await self._confirm("town hall", "plain")
        await self._post("cook", people={"adults": 2}, requires=["kitchen"], wait=True)
        await self.ask("coordination", "POST", f"/v1/allocations/{await self._allocation('cook')}/address", said=(409,))
        await self._confirm("owner", "cook")
        await self.ask(
            "coordination", "POST", f"/v1/allocations/{await self._allocation('cook')}/address", said=(409, 200)
        )
        await self._post("lone", people={"adults": 1}, requires=["private_room"], wait=True)
        refused = {"code": self._needs["lone"]["code"], "reason": "afraid"}
        await self.ask("people", "POST", "/v1/slip/refuse", json=refused)
        await self._held("lone")
        await self._confirm("owner", "lone")
        await self._post("fed", people={"adults": 2}, requires=["meals"], wait=True)
        first = await self._allocation("fed")
        provider = "owner" if (await one(self.engine, _PROVIDER, id=first)).name == "The owner" else "town hall"
        await self.ask(provider, "POST", f"/v1/allocations/{first}/decline", json={"reason": "full"})
        await self._held("fed")
        await self._confirm("town hall" if provider == "owner" else "owner", "fed")
        await self._post("washing", category="sanitation", people={"adults": 1}, wait=True)
        await self._confirm("owner", "washing")
        await self._post("hopeless", people={"adults": 1}, requires=["interpreter:ps"])
        await self._post("leaving", people={"adults": 3}, requires=["meals"], wait=True)
        await self.ask("coordination", "POST", f"/v1/needs/{self._needs['leaving']['id']}/withdraw")
        for name in ("family", "cook", "lone"):
            await self._show_slip(name, "people")
            await self._show_slip(name, "people", page=True)

    async def _everybody_looks_around(self) -> None:
        for role in ("coordination", "neighbour", "town hall", "owner", "host", "bystander"):
            await self.ask(role, "GET", "/v1/me")
            for export in _EXPORTS:
                await self.ask(role, "GET", export)
            for listed in ("sites", "offers", "needs", "allocations"):
                await self._leaf_through(role, f"/v1/{listed}?limit=3")
            for name in ("gym", "rendezvous", "home", "refuge"):
                await self.ask(role, "GET", f"/v1/sites/{self._sites[name]}", said=())
                await self.ask(role, "GET", f"/v1/offers/{self._offers[name]}", said=())
                await self.ask(role, "GET", f"/v1/offers/{self._offers[name]}/slots?limit=2", said=())
            for name in ("family", "lone"):
                await self.ask(role, "GET", f"/v1/needs/{self._needs[name]['id']}", said=())
                await self.ask(role, "GET", f"/v1/needs/{self._needs[name]['id']}/explanation", said=())
        for name in self._needs:
            await self._explained(name)
        for path in (
            "/v1/policy",
            f"/v1/towns/{BRIANCON.id}",
            "/healthz",
            "/v1/sites",
            "/v1/offers",
            "/slip",
            *_EXPORTS,
        ):
            await self.ask("anyone", "GET", path, said=())
        await self.ask("anyone", "POST", "/v1/slip", json={"code": "22222-33333-44444"}, said=(404,))

    async def _explained(self, name: str) -> None:
        path = f"/v1/needs/{self._needs[name]['id']}/explanation"
        for language in ("fr", "en"):
            await self.ask("coordination", "GET", path, headers={"Accept-Language": language}, said=())

    async def _leaf_through(self, role: str, path: str) -> None:
        cursor: str | None = ""
        while cursor is not None:
            answer = await self.ask(role, "GET", f"{path}&cursor={cursor}" if cursor else path, said=())
            cursor = answer.json().get("next")

    async def _show_slip(self, name: str, surface: str, *, page: bool = False) -> None:
        code = {"code": self._needs[name]["code"]}
        if page:
            await self.ask(surface, "POST", "/slip", data=code)
        else:
            await self.ask(surface, "POST", "/v1/slip", json=code, headers={"Accept-Language": "ar"})

    async def _post(self, name: str, *, wait: bool = False, headers: Mapping[str, str] = {}, **changes: object) -> None:
        asked = {**headers, **(_WAITING if wait else {})}
        body = need_body(**changes)
        posted = await self.ask("coordination", "POST", "/v1/needs", json=body, headers=asked)
        self._needs[name] = posted.json()
        assert bool(posted.json()["allocations"]) is wait, (name, posted.text)

    async def _confirm(self, provider: str, name: str) -> None:
        await self.ask(provider, "POST", f"/v1/allocations/{await self._allocation(name)}/confirm")

    async def _held(self, name: str) -> None:
        await self.until(f"{name} is held", lambda: self._state(name), "held")

    async def _state(self, name: str) -> str:
        return str((await one(self.engine, "select state from need where id = :id", id=self._needs[name]["id"])).state)

    async def _live(self) -> int:
        live = "select count(*) as n from allocation where state in ('held', 'confirmed', 'arrived')"
        return int((await one(self.engine, live)).n)

    async def _not_asked(self) -> int:
        silent = "select count(*) as n from shift where asked = 0 and starts > now() and state <> 'released'"
        return int((await one(self.engine, silent)).n)

    async def _allocation(self, name: str) -> str:
        newest = "select id from allocation where need_id = :id order by created_at desc limit 1"
        return str((await one(self.engine, newest, id=self._needs[name]["id"])).id)


_PROVIDER = "select g.name from allocation a join organization g on g.id = a.provider_id where a.id = :id"
