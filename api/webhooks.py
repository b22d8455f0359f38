"""Webhooks: addresses at which an organization is told of what concerns it, and what they have not taken yet."""

from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from api.authorization import WritesWebhooks
from api.house import House, TheHouse
from api.lists import After, Limit, Listed, listed
from api.problems import Forbidden, problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import Instant, Wire
from db import webhooks
from db.happenings import KINDS, readable
from db.webhooks import DeliveryFacts, WebhookFacts
from matching.delivering import LONGEST_URL, DeliveryState, DisabledFor, Trouble, WebhookState, flaw_of_address
from matching.refusals import Flaw, Invalid

__all__ = ["router"]

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=TransactionalRoute)
_WORDS: Final = sorted({*KINDS, *(kind.partition(".")[0] for kind in KINDS)})


def _word(word: str) -> str:
    if word not in _WORDS:
        raise PydanticCustomError("enum", "not a kind of event")
    return word


def _address(url: str) -> str:
    if (flaw := flaw_of_address(url)) is not None:
        raise PydanticCustomError(flaw.value, "not an address that events may be sent to")
    return url


Url = Annotated[
    str,
    Field(
        max_length=LONGEST_URL,
        json_schema_extra={"pattern": r"^https://[a-z0-9.-]+(:[0-9]+)?([/?].*)?$"},
        examples=["https://hooks.example.org/relais"],
        description="`https`, a name in small letters (no number), port 443 or one above 1023, no user, no fragment.",
    ),
    AfterValidator(_address),
]
Kind = Annotated[
    str,
    Field(
        max_length=60, json_schema_extra={"enum": _WORDS}, description="A kind of event, or an object for all of its."
    ),
    AfterValidator(_word),
]
Kinds = Annotated[list[Kind], Field(max_length=100, description="Nothing for all that the key may read.")]
Count = Annotated[int, Field(ge=0)]


class WebhookIn(Wire):
    """Where events are to be sent, and which."""

    url: Url
    kinds: Kinds = Field(default_factory=list)


class WebhookOut(Wire):
    """A webhook as its organization sees it: what it is told of, and how that goes."""

    id: UUID
    url: Annotated[str, Field(max_length=LONGEST_URL)]
    kinds: Kinds
    objects: Annotated[
        list[Annotated[str, Field(max_length=20)]],
        Field(max_length=20, description="What the key that made it may read; it hears of nothing else."),
    ]
    state: WebhookState
    reason: Annotated[DisabledFor | None, Field(description="Why it is disabled.")]
    disabled_at: Instant | None
    secret_changed_at: Instant | None
    succeeded_at: Annotated[Instant | None, Field(description="When it took an event last, to ten seconds.")]
    failing_since: Instant | None
    try_at: Annotated[Instant | None, Field(description="When it is tried again, where it fails.")]
    waiting: Annotated[Count, Field(description="Events that are on their way, or are tried again.")]
    parked: Annotated[Count, Field(description="Events that are not tried any more; `replay` does.")]
    created_at: Instant
    version: Annotated[int, Field(ge=1)]


class WebhookWithSecret(WebhookOut):
    """The same with its newest secret, which is shown now and never again."""

    secret: Annotated[str, Field(max_length=60, pattern=r"^whsec_[A-Za-z0-9+/]{43}=$")]


class DeliveryOut(Wire):
    """An event that a webhook has not taken yet. Its id is the event's."""

    id: UUID
    kind: Annotated[str, Field(max_length=60, examples=["allocation.confirmed"])]
    object_id: UUID
    at: Instant
    state: DeliveryState
    since: Annotated[Instant, Field(description="Since when it is in this state.")]
    try_at: Annotated[Instant | None, Field(description="When it is tried next, where it waits.")]
    attempts: Count
    answered: Annotated[int | None, Field(ge=100, le=999, description="The status of the last answer, if any came.")]
    trouble: Trouble | None

    @classmethod
    def of(cls, facts: DeliveryFacts) -> "DeliveryOut":
        """Render one delivery."""
        return cls(
            id=facts.event_id,
            kind=facts.kind,
            object_id=facts.object_id,
            at=facts.at,
            state=facts.state,
            since=facts.since,
            try_at=facts.try_at if facts.state is DeliveryState.WAITING else None,
            attempts=facts.attempts,
            answered=facts.answered,
            trouble=facts.trouble,
        )


@router.post("", status_code=201, responses=problems(401, 403, 409, 422))
async def post_webhook(
    body: WebhookIn, who: WritesWebhooks, tx: Tx, reply: Reply, house: TheHouse
) -> WebhookWithSecret:
    """Tell this address of events from now on, signed as in Standard Webhooks. The answer shows the secret, once."""
    objects = readable(who.scopes)
    unheard = [index for index, kind in enumerate(body.kinds) if kind.partition(".")[0] not in objects]
    if unheard:
        raise Invalid(tuple(Flaw(f"/kinds/{index}", "not_readable_with_this_key") for index in unheard))
    webhook_id = uuid4()
    sealed = house.withheld.webhooks.seal(webhook_id, body.url)
    await webhooks.add(tx, who.organization_id, webhook_id, sealed, frozenset(body.kinds), objects)
    reply.created(f"/v1/webhooks/{webhook_id}")
    return await _with_secret(tx, who.organization_id, webhook_id, reply, house)


@router.get("", responses=problems(401, 403, 422))
async def list_webhooks(
    who: WritesWebhooks, tx: Tx, house: TheHouse, after: After, limit: Limit = 50
) -> Listed[WebhookOut]:
    """The caller's own webhooks, oldest first."""
    found = await webhooks.page(tx, who.organization_id, after, limit)
    return listed(found, lambda facts: WebhookOut(**_shown(facts, _opened(facts, house))))


@router.get("/{webhook_id}", responses=problems(401, 403, 404, 422))
async def read_webhook(webhook_id: UUID, who: WritesWebhooks, tx: Tx, reply: Reply, house: TheHouse) -> WebhookOut:
    """One of the caller's own webhooks."""
    return await _webhook(tx, who.organization_id, webhook_id, reply, house)


@router.delete("/{webhook_id}", status_code=204, responses=problems(401, 403, 404, 422))
async def remove_webhook(webhook_id: UUID, who: WritesWebhooks, tx: Tx) -> None:
    """Tell this address of nothing any more; what waits for it is deleted."""
    await webhooks.remove(tx, webhook_id, who.organization_id)


@router.post("/{webhook_id}/rotate", responses=problems(401, 403, 404, 409, 422))
async def rotate_secret(
    webhook_id: UUID, who: WritesWebhooks, tx: Tx, reply: Reply, house: TheHouse
) -> WebhookWithSecret:
    """Another secret, shown once; each that was replaced signs beside it for 24 hours.

    For keys that read all that the webhook hears of: who has its secret can speak to the receiver in its name.
    """
    facts = await webhooks.read(tx, webhook_id, who.organization_id)
    if not readable(who.scopes).issuperset(facts.objects):
        raise Forbidden
    await webhooks.rotate(tx, webhook_id, who.organization_id)
    return await _with_secret(tx, who.organization_id, webhook_id, reply, house)


@router.post("/{webhook_id}/enable", responses=problems(401, 403, 404, 409, 422))
async def enable_webhook(webhook_id: UUID, who: WritesWebhooks, tx: Tx, reply: Reply, house: TheHouse) -> WebhookOut:
    """Tell it of events again, from now on; where it is being waited for, try it at once."""
    await webhooks.enable(tx, webhook_id, who.organization_id)
    return await _webhook(tx, who.organization_id, webhook_id, reply, house)


@router.post("/{webhook_id}/test", status_code=202, responses=problems(401, 403, 404, 409, 422))
async def test_webhook(webhook_id: UUID, who: WritesWebhooks, tx: Tx, reply: Reply, house: TheHouse) -> WebhookOut:
    """Send it `webhook.test`, which means nothing."""
    await webhooks.test(tx, webhook_id, who.organization_id)
    return await _webhook(tx, who.organization_id, webhook_id, reply, house)


@router.get("/{webhook_id}/deliveries", responses=problems(401, 403, 404, 422))
async def list_deliveries(
    webhook_id: UUID,
    who: WritesWebhooks,
    tx: Tx,
    after: After,
    limit: Limit = 50,
    state: Annotated[DeliveryState | None, Query()] = None,
) -> Listed[DeliveryOut]:
    """What a webhook has not taken yet, oldest first; what it took is not kept."""
    found = await webhooks.deliveries(tx, webhook_id, who.organization_id, state, after, limit)
    return listed(found, DeliveryOut.of)


@router.post("/{webhook_id}/replay", status_code=202, responses=problems(401, 403, 404, 409, 422))
async def replay_all(webhook_id: UUID, who: WritesWebhooks, tx: Tx, reply: Reply, house: TheHouse) -> WebhookOut:
    """Try all that was parked again, under the same ids."""
    await webhooks.replay(tx, webhook_id, who.organization_id, None)
    return await _webhook(tx, who.organization_id, webhook_id, reply, house)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay", status_code=202, responses=problems(401, 403, 404, 409, 422)
)
async def replay_one(
    webhook_id: UUID, delivery_id: UUID, who: WritesWebhooks, tx: Tx, reply: Reply, house: TheHouse
) -> WebhookOut:
    """Try one parked event again, under the same id; nothing happens where it waits already."""
    await webhooks.replay(tx, webhook_id, who.organization_id, delivery_id)
    return await _webhook(tx, who.organization_id, webhook_id, reply, house)


async def _webhook(tx: Tx, organization_id: UUID, webhook_id: UUID, reply: Reply, house: House) -> WebhookOut:
    facts = await webhooks.read(tx, webhook_id, organization_id)
    reply.version(facts.version)
    return WebhookOut(**_shown(facts, _withheld_url(facts, reply, house)))


async def _with_secret(
    tx: Tx, organization_id: UUID, webhook_id: UUID, reply: Reply, house: House
) -> WebhookWithSecret:
    facts = await webhooks.read(tx, webhook_id, organization_id)
    reply.version(facts.version)
    secret = reply.withhold(house.withheld.secret(facts.id, facts.generation))
    return WebhookWithSecret(**_shown(facts, _withheld_url(facts, reply, house)), secret=secret)


def _withheld_url(facts: WebhookFacts, reply: Reply, house: House) -> str:
    return reply.withhold(house.withheld.address(facts.id, facts.sealed_url))


def _opened(facts: WebhookFacts, house: House) -> str:
    return house.withheld.webhooks.open(facts.id, facts.sealed_url)


def _shown(facts: WebhookFacts, url: str) -> dict[str, Any]:
    return {
        "id": facts.id,
        "url": url,
        "kinds": list(facts.kinds),
        "objects": list(facts.objects),
        "state": facts.state,
        "reason": facts.reason,
        "disabled_at": facts.disabled_at,
        "secret_changed_at": facts.rotated_at,
        "succeeded_at": facts.succeeded_at,
        "failing_since": facts.failing_since,
        "try_at": facts.try_at,
        "waiting": facts.waiting,
        "parked": facts.parked,
        "created_at": facts.created_at,
        "version": facts.version,
    }
