"""What the tests of `relais import` bring in, and for whom."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typer.testing import Result

from db import offers, sites
from db.addresses import Vault
from db.connection import transaction
from db.offers import Filter, OfferFacts
from db.settings import Settings
from db.sites import SiteFacts, SiteTerms
from matching.vocabulary import SiteKind, Visibility
from tests.builders import TONIGHT
from tests.places import BRIANCON, GAP
from tests.relais.conftest import Relais

STREET = "17 impasse du Secret-Bien-Gardé"
MEETING = "devant la fontaine cachée"
LONGITUDE, LATITUDE = "6.6412345", "44.9012345"
FRENCH = ("Nom", "Ville", "Type", "Longitude", "Latitude", "Adresse", "Point de rencontre", "Équipements", "Remarques")
GYM = (
    "Gymnase du Prorel",
    "briancon",
    "bâtiment communal",
    LONGITUDE,
    LATITUDE.replace(".", ","),
    STREET,
    MEETING,
    "douches, sans marches",
    "",
)
HOME = ("Chez l'habitant", "Gap", "domicile privé", GAP.longitude, GAP.latitude, "", "", "", "Anna, 06 12 34 56 78")
GUARDED = (STREET, MEETING, LONGITUDE, LATITUDE, LATITUDE.replace(".", ","), "Anna", "06 12")
OFFER_HEADERS = (
    "Lieu",
    "Aide",
    "Places",
    "Premier jour",
    "Dernier jour",
    "Nuit de…",
    "à",
    "Jours",
    "Public",
    "Arrivée avant",
)
FIRST, LAST = TONIGHT, TONIGHT + timedelta(days=9)
NIGHTS = (
    "gymnase du prorel",
    "hébergement",
    "30",
    f"{FIRST:%d/%m/%Y}",
    f"{LAST:%Y-%m-%d}",
    "20h",
    "8:00",
    "tous les jours",
    "femmes, familles",
    "22h30",
)
PLEDGE_HEADERS = (
    "Skill",
    "Volunteers",
    "Town",
    "Radius (km)",
    "First day",
    "Last day",
    "From",
    "Until",
    "Weekdays",
    "Shifts per week",
)
WATCH = ("night watch", 4, "Oulx", 20, FIRST, LAST, "18:00", "09:00", "Fri-Sun", 6)


async def bring(relais: Relais, kind: str, file: Path, organization: UUID, *more: str) -> Result:
    """Run the command; it never breaks, and never shows what is guarded."""
    result = await relais("import", kind, str(file), "--organization", str(organization), *more)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert not [secret for secret in GUARDED if secret in result.output], result.output
    return result


async def add_gym(tx: AsyncConnection, settings: Settings, organization: UUID, name: str = GYM[0]) -> UUID:
    terms = SiteTerms(
        name, BRIANCON.id, SiteKind.MUNICIPAL_BUILDING, Visibility.ON_CONFIRMATION, frozenset({"showers"}), None
    )
    return await sites.add(tx, organization, terms, BRIANCON.point, Vault.of_file(settings.address_key_file))


async def all_sites(engine: AsyncEngine, organization: UUID) -> Sequence[SiteFacts]:
    async with transaction(engine) as tx:
        found = (await sites.page(tx, organization, None, 100)).items
    return sorted(found, key=lambda site: site.terms.town_id, reverse=True)


async def all_offers(engine: AsyncEngine, organization: UUID) -> Sequence[OfferFacts]:
    async with transaction(engine) as tx:
        return (await offers.page(tx, organization, frozenset(), Filter(), None, 100)).items
