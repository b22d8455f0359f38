"""The closed vocabularies: every word that a need, a site or an offer may say.

Codes are stable for ever, sentences for them live in the catalogues. There is no free text about people in
Relais, so what is not in one of these lists cannot be said.
"""

from enum import StrEnum

__all__ = [
    "ACCESS",
    "LANGUAGES",
    "PROTECTIVE",
    "PROVISIONS",
    "RATINGS",
    "SKILLS",
    "Acceptance",
    "Audience",
    "Confirmation",
    "Coverage",
    "DeclineReason",
    "FeedbackWord",
    "Level",
    "MoveCause",
    "MoveReason",
    "OrganizationKind",
    "ReferralReason",
    "RefuseReason",
    "ShiftDeclineReason",
    "SiteKind",
    "Stay",
    "TownRole",
    "Transport",
    "Urgency",
    "Visibility",
    "Wish",
    "is_provision",
    "is_skill",
]


class OrganizationKind(StrEnum):
    """What an organization does in the network; it bounds which scopes its keys may carry."""

    COORDINATION = "coordination"
    ASSOCIATION = "association"
    MUNICIPALITY = "municipality"


class TownRole(StrEnum):
    """What a town is to people on the road."""

    BORDER = "border"
    TRANSIT = "transit"
    HOST = "host"


class Coverage(StrEnum):
    """Which slots of one offer a need takes."""

    EVERY = "every"
    """All nights of the need, in the same offer."""
    ANY = "any"
    """One slot inside the need's window."""
    COURSE = "course"
    """Every session from the joining one to the end of the course."""


class SiteKind(StrEnum):
    """What a site is; a private home is proposed only once somebody has visited it."""

    MUNICIPAL_BUILDING = "municipal_building"
    ASSOCIATION_PREMISES = "association_premises"
    PRIVATE_HOME = "private_home"


class Visibility(StrEnum):
    """Who may learn where a site is."""

    PUBLIC = "public"
    ON_CONFIRMATION = "on_confirmation"
    RENDEZVOUS = "rendezvous"


class Audience(StrEnum):
    """On an offer: for whom it is reserved. On a need: who the party is."""

    ANYONE = "anyone"
    WOMEN = "women"
    FAMILIES = "families"
    UNACCOMPANIED_MINORS = "unaccompanied_minors"
    LGBTQ = "lgbtq"


class Urgency(StrEnum):
    """Tiers that are never traded for one another, most urgent first."""

    VITAL = "vital"
    HIGH = "high"
    NORMAL = "normal"

    @property
    def tier(self) -> int:
        """Rank in the queue: 0 is served first."""
        return list(Urgency).index(self)


class Stay(StrEnum):
    """Whether the party means to move on."""

    TRANSIT = "transit"
    SETTLING = "settling"
    UNKNOWN = "unknown"


class Confirmation(StrEnum):
    """How an offer's holds become firm."""

    EACH = "each"
    """The provider answers each hold before its deadline."""
    STANDING = "standing"
    """The provider has agreed beforehand: confirmed at once."""


class Level(StrEnum):
    """Levels of the Common European Framework of Reference for Languages, and literacy."""

    LITERACY = "literacy"
    A1 = "A1"
    A2 = "A2"
    B1 = "B1"
    B2 = "B2"
    C1 = "C1"
    C2 = "C2"


class DeclineReason(StrEnum):
    """Why a provider declines a hold or releases a place."""

    FULL = "full"
    CLOSED = "closed"
    NO_STAFF = "no_staff"
    UNSUITABLE = "unsuitable"
    OTHER = "other"


class RefuseReason(StrEnum):
    """Why the people, or the organization that stands by them, refuse a place."""

    TOO_FAR = "too_far"
    UNSUITABLE = "unsuitable"
    AFRAID = "afraid"
    SEPARATED = "separated"
    FOUND_ELSEWHERE = "found_elsewhere"
    MOVED_ON = "moved_on"
    OTHER = "other"

    @property
    def ends_the_need(self) -> bool:
        """Whether who says this looks for no place any more, be it here or elsewhere."""
        return self in (RefuseReason.FOUND_ELSEWHERE, RefuseReason.MOVED_ON)


class FeedbackWord(StrEnum):
    """What the people say of a place once they have been there; it is counted, and told to nobody as theirs."""

    WELCOMED = "welcomed"
    CALM = "calm"
    CLEAN = "clean"
    FELT_SAFE = "felt_safe"
    KEPT_TOGETHER = "kept_together"
    NOT_AS_TOLD = "not_as_told"
    TOO_FAR = "too_far"
    COLD = "cold"
    DIRTY = "dirty"
    NOT_ENOUGH_FOOD = "not_enough_food"
    NOT_RESPECTED = "not_respected"
    FELT_UNSAFE = "felt_unsafe"
    TURNED_AWAY = "turned_away"


class Wish(StrEnum):
    """What the people may say on their slip that they would rather have, or wait for: provisions, and not all of them.

    What says who somebody is stays out of it (`lgbtq_safe`, interpreters): whoever posted the need reads preferences.
    """

    STEP_FREE = "step_free"
    PRIVATE_ROOM = "private_room"
    FAMILY_ROOM = "family_room"
    WOMEN_ONLY = "women_only"
    QUIET = "quiet"
    KITCHEN = "kitchen"
    OPEN_BY_DAY = "open_by_day"
    LUGGAGE = "luggage"
    PETS = "pets"
    SMOKE_FREE = "smoke_free"


class MoveReason(StrEnum):
    """Why the network itself ended an allocation."""

    BETTER_PLACE = "better_place"
    """Nobody had been asked about it, and its party was placed elsewhere in the same moment."""
    NO_VOLUNTEERS = "no_volunteers"
    """Volunteers declined, others were not found, and the site cannot open for as many."""
    NOT_TOGETHER = "not_together"
    """The plan of its project fell, or its people refused another house of it: nobody goes there alone."""


class MoveCause(StrEnum):
    """Why a party was moved whose provider had not been asked yet."""

    NEARER = "nearer"
    """The new place spares it enough of the way."""
    MAKES_ROOM = "makes_room"
    """Somebody who fits nowhere else has its place now."""
    TOGETHER = "together"
    """More steps of its pathway are near the new bed."""
    PREFERRED = "preferred"
    """It suits better what its people said on their slip, or the way takes less time."""


class ShiftDeclineReason(StrEnum):
    """Why an association cannot serve a shift."""

    NO_VOLUNTEERS = "no_volunteers"
    TOO_FAR = "too_far"
    OTHER = "other"
    NO_ANSWER = "no_answer"
    """Nobody says this: it was never confirmed, and was let go when it was about to begin."""


class Transport(StrEnum):
    """Who sees to it, under a pact, that people get from one town to the other."""

    REFERRING = "referring"
    RECEIVING = "receiving"
    PEOPLE = "people"
    """They travel by themselves."""


class Acceptance(StrEnum):
    """How a town takes in those whom the other refers."""

    STANDING = "standing"
    """It has agreed beforehand, as far as the pact goes."""
    EACH = "each"
    """It answers each referral before its deadline."""


class ReferralReason(StrEnum):
    """Why a referral did not lead to a place; what a town says when it declines is a `DeclineReason`."""

    NOTHING_THERE = "nothing_there"
    """No place held there in time, though one was free when it was offered."""
    PASSED_ON = "passed_on"
    """From there the people were referred to another town."""
    PLACED_MEANWHILE = "placed_meanwhile"
    """A place was found before the partner had answered."""
    NEED_CHANGED = "need_changed"
    NEED_ENDED = "need_ended"


ACCESS = frozenset(
    {
        "step_free",
        "ground_floor",
        "lift",
        "private_room",
        "family_room",
        "baby_equipment",
        "showers",
        "toilets",
        "laundry",
        "kitchen",
        "meals",
        "quiet",
        "pets",
        "luggage",
        "open_by_day",
        "smoke_free",
    }
)
"""What a place is like (rule `access`)."""

RATINGS = ("rated_1", "rated_2", "rated_3", "rated_4", "rated_5")
"""The marks that people give, from bad to good, as they are counted."""

PROTECTIVE = frozenset({"women_only", "lgbtq_safe", "minors_supervised"})
"""What protects whom (rule `audience`)."""

PROVISIONS = ACCESS | PROTECTIVE
"""Provisions without a parameter; `interpreter:<language>` is the one with."""

SKILLS = frozenset({"night_watch", "welcome", "driving", "cooking", "care", "legal"})
"""Volunteers' skills without a parameter; `teaching:` and `interpreting:` take a language."""

_TWO_LETTERS = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee "
    "el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is "
    "it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms "
    "mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk "
    "sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi "
    "yo za zh zu"
)
_THREE_LETTERS = (
    "aii arq ary arz apc acm ayl bal bax bci bin bum ckb cpf dag dar din dje doi dyu efi ewo fan fon fub fuc fuf "
    "fur gaa gag haz hno kab kam kau kmr kri kun lua luo mag mai man mas men mnk mos nus pcm pnb prs pst rif rmn "
    "rom shi snk srr ssy sus swc tem tig tmh tum tzm umb vls wal wol yao zag zgh zza"
)
LANGUAGES = frozenset(_TWO_LETTERS.split()) | frozenset(_THREE_LETTERS.split())
"""ISO 639-1 whole, and the ISO 639-3 languages that are met on these roads (Dari, Hazaragi, Kurmanji, …)."""


def _takes_language(code: str, prefix: str) -> bool:
    head, separator, language = code.partition(":")
    return bool(separator) and head == prefix and language in LANGUAGES


def is_provision(code: str) -> bool:
    """Whether a code may stand in `requires` or `provides`."""
    return code in PROVISIONS or _takes_language(code, "interpreter")


def is_skill(code: str) -> bool:
    """Whether a code names a skill of volunteers."""
    return code in SKILLS or _takes_language(code, "teaching") or _takes_language(code, "interpreting")
