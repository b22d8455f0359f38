"""The tables, as SQLAlchemy models: shapes for migrations, relationships for reading.

What is done with them is written in the query modules beside this folder, mostly as SQL.
"""

from db.tables.admitting import Admission, Issuer
from db.tables.capacity import Category, Offer, Site, SiteLocation, Slot
from db.tables.demand import Allocation, AllocationSlot, Need, Pathway, Preference, Project
from db.tables.facts import (
    AssociationLoad,
    CapacityNews,
    Event,
    FeedbackCount,
    FeedMark,
    Idempotency,
    Policy,
    Round,
    SiteMark,
    TownLoad,
    TravelTime,
)
from db.tables.figures import Competence, Figure, FigurePeriod
from db.tables.metadata import Row
from db.tables.notifying import Channel, Notice, NotificationChoice
from db.tables.organizations import ApiKey, Organization, OrganizationTown, Session
from db.tables.outgoing import Webhook, WebhookDelivery
from db.tables.pacts import Pact, PactSignature, PactVersion, PactWeek, Referral, Ride
from db.tables.practices import Practice
from db.tables.records import AuditEntry, AuditHead, AuditPending, DailyFigure, Tombstone
from db.tables.towns import Town, TownName
from db.tables.volunteers import Pledge, PledgeTurn, Shift, SlotStaffing

__all__ = [
    "Admission",
    "Allocation",
    "AllocationSlot",
    "ApiKey",
    "AssociationLoad",
    "AuditEntry",
    "AuditHead",
    "AuditPending",
    "CapacityNews",
    "Category",
    "Channel",
    "Competence",
    "DailyFigure",
    "Event",
    "FeedMark",
    "FeedbackCount",
    "Figure",
    "FigurePeriod",
    "Idempotency",
    "Issuer",
    "Need",
    "Notice",
    "NotificationChoice",
    "Offer",
    "Organization",
    "OrganizationTown",
    "Pact",
    "PactSignature",
    "PactVersion",
    "PactWeek",
    "Pathway",
    "Pledge",
    "PledgeTurn",
    "Policy",
    "Practice",
    "Preference",
    "Project",
    "Referral",
    "Ride",
    "Round",
    "Row",
    "Session",
    "Shift",
    "Site",
    "SiteLocation",
    "SiteMark",
    "Slot",
    "SlotStaffing",
    "Tombstone",
    "Town",
    "TownLoad",
    "TownName",
    "TravelTime",
    "Webhook",
    "WebhookDelivery",
]
