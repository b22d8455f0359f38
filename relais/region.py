"""The demonstration's network: real towns at three crossings, and invented organizations of the usual sizes.

The pass of Montgenèvre between Briançon and Oulx, the coast between Menton and Ventimiglia, the Bidassoa between
Hendaye and Irun. Town ids are GeoNames'. Organizations, sites and their hours are invented: points are those of
town centres, no shelter of this world is described, and every name says that it is a demonstration's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matching.vocabulary import OrganizationKind, SiteKind, TownRole, Visibility

__all__ = [
    "COUNTRIES",
    "ORGANIZATIONS",
    "PACTS",
    "SITES",
    "TOWNS",
    "DemoOffer",
    "DemoOrganization",
    "DemoPact",
    "DemoSite",
    "DemoTown",
    "Names",
    "Towns",
]

COUNTRIES: Final = ("ES", "FR", "IT")
"""Where the demonstration plays."""


@dataclass(frozen=True)
class DemoTown:
    """A real town: its GeoNames id and name, and what it is to people on the road."""

    id: int
    name: str
    roles: frozenset[TownRole]


class Towns:
    """The demonstration's towns."""

    BARDONECCHIA: Final = DemoTown(3182362, "Bardonecchia", frozenset({TownRole.TRANSIT}))
    BAYONNE: Final = DemoTown(3034475, "Bayonne", frozenset({TownRole.TRANSIT, TownRole.HOST}))
    BRIANCON: Final = DemoTown(3030142, "Briançon", frozenset({TownRole.BORDER, TownRole.TRANSIT}))
    CESANA: Final = DemoTown(3178976, "Cesana Torinese", frozenset({TownRole.TRANSIT}))
    CLAVIERE: Final = DemoTown(3178550, "Claviere", frozenset({TownRole.BORDER}))
    EMBRUN: Final = DemoTown(3020251, "Embrun", frozenset({TownRole.HOST}))
    GAP: Final = DemoTown(3016702, "Gap", frozenset({TownRole.HOST}))
    HENDAYE: Final = DemoTown(3013534, "Hendaye", frozenset({TownRole.BORDER}))
    IRUN: Final = DemoTown(3120304, "Irun", frozenset({TownRole.BORDER, TownRole.TRANSIT}))
    MENTON: Final = DemoTown(2994497, "Menton", frozenset({TownRole.BORDER}))
    MONTGENEVRE: Final = DemoTown(2992546, "Montgenèvre", frozenset({TownRole.BORDER}))
    NICE: Final = DemoTown(2990440, "Nice", frozenset({TownRole.HOST}))
    OULX: Final = DemoTown(3171772, "Oulx", frozenset({TownRole.TRANSIT, TownRole.HOST}))
    SAINT_JEAN_DE_LUZ: Final = DemoTown(2979309, "Saint-Jean-de-Luz", frozenset({TownRole.HOST}))
    SUSA: Final = DemoTown(3166018, "Susa", frozenset({TownRole.HOST}))
    VENTIMIGLIA: Final = DemoTown(3164582, "Ventimiglia", frozenset({TownRole.BORDER, TownRole.TRANSIT}))


@dataclass(frozen=True)
class DemoOrganization:
    """An organization of the demonstration; its name tells it from the others."""

    kind: OrganizationKind
    name: str
    towns: tuple[DemoTown, ...]


@dataclass(frozen=True)
class DemoOffer:
    """One kind of help on the days of `rrule`, from today for so many `days`; hours are the town's local time."""

    category: str
    capacity: int
    opens: str
    closes: str
    confirmation: str = "each"
    rrule: str = "FREQ=DAILY"
    slot_minutes: int | None = None
    audience: Sequence[str] = ("anyone",)
    provides: Sequence[str] = ()
    party_max: int | None = None
    nights_max: int | None = None
    language: Mapping[str, str] | None = None
    days: int = 14


@dataclass(frozen=True)
class DemoSite:
    """A site, its point (longitude, latitude: the middle of a town) and what is offered there."""

    owner: str
    name: str
    town: DemoTown
    timezone: str
    point: tuple[float, float]
    kind: SiteKind
    offers: tuple[DemoOffer, ...]
    provides: Sequence[str] = ()
    staffing: Mapping[str, str | int] | None = None
    visibility: Visibility = Visibility.ON_CONFIRMATION


class Names:
    """The organizations' names, by which sites and the evening speak of them."""

    MOUNTAIN: Final = "Pass Coordination (demo)"
    BRIANCON: Final = "Town Hall of Briançon (demo)"
    MONTGENEVRE: Final = "Town Hall of Montgenèvre (demo)"
    GAP: Final = "Town Hall of Gap (demo)"
    DURANCE: Final = "Durance Welcome (demo)"
    OULX: Final = "Town Hall of Oulx (demo)"
    VALLEY: Final = "Upper Valley Welcome (demo)"
    COAST: Final = "Coast Coordination (demo)"
    MENTON: Final = "Town Hall of Menton (demo)"
    VENTIMIGLIA: Final = "Town Hall of Ventimiglia (demo)"
    HARBOUR: Final = "Harbour Table (demo)"
    BIDASSOA: Final = "Bidassoa Coordination (demo)"
    IRUN: Final = "Town Hall of Irun (demo)"
    BAYONNE: Final = "Town Hall of Bayonne (demo)"
    ADOUR: Final = "Adour Welcome (demo)"


ORGANIZATIONS: Final = (
    DemoOrganization(
        OrganizationKind.COORDINATION,
        Names.MOUNTAIN,
        (
            *(Towns.BRIANCON, Towns.MONTGENEVRE, Towns.CLAVIERE, Towns.CESANA, Towns.OULX, Towns.BARDONECCHIA),
            *(Towns.SUSA, Towns.EMBRUN, Towns.GAP),
        ),
    ),
    DemoOrganization(OrganizationKind.MUNICIPALITY, Names.BRIANCON, (Towns.BRIANCON,)),
    DemoOrganization(OrganizationKind.MUNICIPALITY, Names.MONTGENEVRE, (Towns.MONTGENEVRE,)),
    DemoOrganization(OrganizationKind.MUNICIPALITY, Names.GAP, (Towns.GAP,)),
    DemoOrganization(OrganizationKind.ASSOCIATION, Names.DURANCE, (Towns.BRIANCON, Towns.EMBRUN, Towns.GAP)),
    DemoOrganization(OrganizationKind.MUNICIPALITY, Names.OULX, (Towns.OULX,)),
    DemoOrganization(
        OrganizationKind.ASSOCIATION, Names.VALLEY, (Towns.OULX, Towns.CESANA, Towns.BARDONECCHIA, Towns.SUSA)
    ),
    DemoOrganization(OrganizationKind.COORDINATION, Names.COAST, (Towns.MENTON, Towns.VENTIMIGLIA, Towns.NICE)),
    DemoOrganization(OrganizationKind.MUNICIPALITY, Names.MENTON, (Towns.MENTON,)),
    DemoOrganization(OrganizationKind.MUNICIPALITY, Names.VENTIMIGLIA, (Towns.VENTIMIGLIA,)),
    DemoOrganization(OrganizationKind.ASSOCIATION, Names.HARBOUR, (Towns.VENTIMIGLIA, Towns.NICE)),
    DemoOrganization(
        OrganizationKind.COORDINATION,
        Names.BIDASSOA,
        (Towns.HENDAYE, Towns.IRUN, Towns.SAINT_JEAN_DE_LUZ, Towns.BAYONNE),
    ),
    DemoOrganization(OrganizationKind.MUNICIPALITY, Names.IRUN, (Towns.IRUN,)),
    DemoOrganization(OrganizationKind.MUNICIPALITY, Names.BAYONNE, (Towns.BAYONNE,)),
    DemoOrganization(OrganizationKind.ASSOCIATION, Names.ADOUR, (Towns.BAYONNE, Towns.SAINT_JEAN_DE_LUZ)),
)
"""Three coordinations, eight town halls, four associations."""

TOWNS: Final = tuple({town.id: town for organization in ORGANIZATIONS for town in organization.towns}.values())
"""Every town of the network."""


def _beds(
    capacity: int, confirmation: str = "each", provides: Sequence[str] = (), party_max: int | None = 12
) -> DemoOffer:
    return DemoOffer(
        *("shelter", capacity, "19:00", "08:00", confirmation), provides=provides, party_max=party_max, nights_max=7
    )


def _showers(heads: int) -> DemoOffer:
    return DemoOffer("sanitation", heads, "08:00", "20:00", "standing", slot_minutes=30, provides=("showers",))


def _rest(chairs: int) -> DemoOffer:
    return DemoOffer("respite", chairs, "06:00", "23:00", "standing", slot_minutes=30)


_ROME, _PARIS, _MADRID = "Europe/Rome", "Europe/Paris", "Europe/Madrid"
_HALL, _PREMISES = SiteKind.MUNICIPAL_BUILDING, SiteKind.ASSOCIATION_PREMISES

SITES: Final = (
    DemoSite(
        *(Names.BRIANCON, "Municipal gym", Towns.BRIANCON, _PARIS, (6.6420, 44.8998), _HALL),
        (_beds(30, provides=("family_room",)),),
        provides=("step_free", "showers", "toilets"),
    ),
    DemoSite(
        *(Names.BRIANCON, "Sports hall, opened by volunteers", Towns.BRIANCON, _PARIS, (6.6305, 44.8932), _HALL),
        (_beds(30),),
        provides=("step_free", "toilets", "pets"),
        staffing={"skill": "night_watch", "people_per_volunteer": 15, "minimum": 2},
    ),
    DemoSite(
        *(Names.DURANCE, "Night reception of the Durance", Towns.BRIANCON, _PARIS, (6.6350, 44.8850), _PREMISES),
        (
            _beds(80, provides=("meals",)),
            DemoOffer("meal", 80, "18:30", "20:30", "standing"),
            _showers(8),
        ),
        provides=("toilets", "luggage"),
    ),
    DemoSite(
        *(Names.MONTGENEVRE, "Rest room at the pass", Towns.MONTGENEVRE, _PARIS, (6.7218, 44.9318), _HALL),
        (_rest(15),),
        visibility=Visibility.PUBLIC,
    ),
    DemoSite(
        *(Names.DURANCE, "House for young people", Towns.EMBRUN, _PARIS, (6.4953, 44.5639), _PREMISES),
        (
            DemoOffer(
                *("shelter", 10, "19:00", "09:00"),
                audience=("unaccompanied_minors",),
                provides=("minors_supervised", "meals"),
                nights_max=14,
            ),
        ),
        visibility=Visibility.RENDEZVOUS,
    ),
    DemoSite(
        *(Names.DURANCE, "Classroom of the Durance", Towns.GAP, _PARIS, (6.0787, 44.5586), _PREMISES),
        (
            DemoOffer(
                *("language_class", 12, "18:00", "20:00"),
                rrule="FREQ=WEEKLY;BYDAY=TU,TH",
                language={"teaches": "fr", "level": "A1"},
                days=56,
            ),
            _beds(20),
        ),
        provides=("step_free",),
    ),
    DemoSite(
        *(Names.GAP, "Former barracks", Towns.GAP, _PARIS, (6.0850, 44.5620), _HALL),
        (_beds(40, party_max=None),),
        provides=("step_free", "showers", "toilets"),
    ),
    DemoSite(
        *(Names.OULX, "Multipurpose hall", Towns.OULX, _ROME, (6.8337, 45.0364), _HALL),
        (_beds(24),),
        provides=("step_free", "toilets"),
    ),
    DemoSite(
        *(Names.VALLEY, "Night reception of the upper valley", Towns.OULX, _ROME, (6.8460, 45.0470), _PREMISES),
        (_beds(70, provides=("family_room", "meals")), _showers(6)),
        provides=("toilets", "luggage"),
    ),
    DemoSite(
        *(Names.VALLEY, "Room by the station", Towns.BARDONECCHIA, _ROME, (6.6989, 45.0746), _PREMISES),
        (_beds(15, "standing"),),
        provides=("step_free",),
    ),
    DemoSite(
        *(Names.VALLEY, "Parish rooms", Towns.SUSA, _ROME, (7.0581, 45.1368), _PREMISES),
        (_beds(25),),
    ),
    DemoSite(
        *(Names.MENTON, "Day room of the old town", Towns.MENTON, _PARIS, (7.5044, 43.7765), _HALL),
        (_rest(10), _beds(12)),
        provides=("toilets",),
    ),
    DemoSite(
        *(Names.VENTIMIGLIA, "Hall by the river", Towns.VENTIMIGLIA, _ROME, (7.6087, 43.7896), _HALL),
        (_beds(40), _rest(40)),
        provides=("step_free", "toilets"),
    ),
    DemoSite(
        *(Names.HARBOUR, "Table and showers", Towns.VENTIMIGLIA, _ROME, (7.6000, 43.7930), _PREMISES),
        (_showers(6), DemoOffer("meal", 100, "11:30", "14:00", "standing")),
        provides=("step_free", "toilets"),
    ),
    DemoSite(
        *(Names.HARBOUR, "Night reception of the hills", Towns.NICE, _PARIS, (7.2661, 43.7031), _PREMISES),
        (_beds(35),),
    ),
    DemoSite(
        *(Names.IRUN, "Reception by the bridge", Towns.IRUN, _MADRID, (-1.7894, 43.3390), _HALL),
        (_beds(100, "standing", ("family_room", "meals")), _showers(10)),
        provides=("step_free", "toilets"),
    ),
    DemoSite(
        *(Names.BAYONNE, "Welcome centre of the quays", Towns.BAYONNE, _PARIS, (-1.4730, 43.4932), _HALL),
        (_beds(200, provides=("family_room", "meals")), DemoOffer("meal", 200, "19:00", "21:00", "standing")),
        provides=("step_free", "showers", "toilets", "luggage"),
    ),
    DemoSite(
        *(Names.ADOUR, "Women's rooms", Towns.SAINT_JEAN_DE_LUZ, _PARIS, (-1.6627, 43.3887), _PREMISES),
        (
            DemoOffer(
                *("shelter", 8, "18:00", "10:00"),
                audience=("women",),
                provides=("women_only", "family_room"),
                nights_max=14,
            ),
        ),
        visibility=Visibility.RENDEZVOUS,
    ),
)
"""Sites in the sizes that are published for such places: a gym of 30, a night reception of 80, a centre of 200."""


@dataclass(frozen=True)
class DemoPact:
    """A pact: who proposes for which town, who signs for the other, and how many people a week the other takes."""

    proposer: str
    town: DemoTown
    partner: str
    partner_town: DemoTown
    people_per_week: int


PACTS: Final = (DemoPact(Names.MONTGENEVRE, Towns.MONTGENEVRE, Names.GAP, Towns.GAP, 200),)
"""Towns that take people from each other."""
