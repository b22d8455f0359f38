"""The tables, as SQLAlchemy models: shapes for migrations, relationships for reading.

What is done with them is written in the query modules beside this folder, mostly as SQL.
"""

from db.tables.capacity import Category, Offer, Site, SiteLocation, Slot
from db.tables.demand import Allocation, AllocationSlot, Need
from db.tables.facts import CapacityNews, Event, Idempotency, Policy, Round
from db.tables.metadata import Row
from db.tables.organizations import ApiKey, Organization, OrganizationTown
from db.tables.towns import Town, TownName

__all__ = [
    "Allocation",
    "AllocationSlot",
    "ApiKey",
    "CapacityNews",
    "Category",
    "Event",
    "Idempotency",
    "Need",
    "Offer",
    "Organization",
    "OrganizationTown",
    "Policy",
    "Round",
    "Row",
    "Site",
    "SiteLocation",
    "Slot",
    "Town",
    "TownName",
]
