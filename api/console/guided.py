"""A form in steps, a few fields at a time: what was said in the others is kept on the page in plain fields.

All that is known is looked at after each step, so that what does not fit together is told where it can be changed.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

from fastapi import Response

from api.console.checking import field_of
from api.console.forms import NOT_UNDERSTOOD, Form
from api.console.visits import gone_to
from matching.refusals import Flaw, Invalid

__all__ = ["Guide", "Kept", "look_at", "plain"]

Kept = list[tuple[str, str]]
"""Fields of other steps, each with one value."""


Body = TypeVar("Body")
Asks = Callable[[str, Invalid | None], Awaitable[Response]]
"""Shows a step, and what is wrong in it."""


@dataclass(frozen=True, slots=True)
class Guide:
    """The steps in their order, each with the names of its fields, and those that the API has for the same."""

    steps: Mapping[str, tuple[str, ...]]

    def sent(self, form: Form) -> str:
        """The step that a form was sent from."""
        step = form.first("step")
        return step if step in self.steps else self.first

    async def walk(
        self, form: Form, ask: Asks, look: Callable[[], Awaitable[None]], act: Callable[[], Awaitable[str]]
    ) -> Response:
        """Go on to the next step, back, or look for a town; after the last one act, and go where that says.

        `look` raises `Invalid` for all that is wrong until now, also in steps that were not asked yet: these are not
        told before.
        """
        step = self.sent(form)
        if form.seeks:
            return await ask(self.first, None)
        if form.first("back"):
            return await ask(self.before(step), None)
        following = self.after(step)
        try:
            if following is None:
                return gone_to(await act())
            await look()
        except Invalid as invalid:
            found = self.until(step, invalid.flaws)
            if found:
                return await ask(self.earliest(found), Invalid(found))
        return await ask(following or step, None)

    @property
    def first(self) -> str:
        """Where one begins."""
        return next(iter(self.steps))

    def before(self, step: str) -> str:
        """The step before this, or this where there is none."""
        return self._order[max(self.number(step) - 2, 0)]

    def after(self, step: str) -> str | None:
        """The step after this, if any."""
        return next(iter(self._order[self.number(step) :]), None)

    def number(self, step: str) -> int:
        """Which it is, from 1."""
        return self._order.index(step) + 1

    def until(self, step: str, flaws: Iterable[Flaw]) -> tuple[Flaw, ...]:
        """Those flaws that are about what was asked until now; what is about no field counts as that."""
        return tuple(flaw for flaw in flaws if self.number(self.where(flaw)) <= self.number(step))

    def where(self, flaw: Flaw) -> str:
        """The step that asks for what is wrong."""
        field = field_of(flaw)
        return next((step for step, names in self.steps.items() if field in names), self.first)

    def earliest(self, flaws: Iterable[Flaw]) -> str:
        """The first step in which something is wrong."""
        return min(map(self.where, flaws), key=self.number)

    def kept(self, said: Mapping[str, Iterable[str]], step: str) -> Kept:
        """What was said in other steps than this, each value in a field of its own."""
        here = set(self.steps[step])
        return [(name, value) for name, values in said.items() if name not in here for value in values if value]

    def facts(self, step: str, said: Mapping[str, Iterable[str]]) -> dict[str, object]:
        """What the page of a step is told of it: which it is, of how many, what it keeps, and the name of its form."""
        return {
            "step": step,
            "number": self.number(step),
            "steps": len(self.steps),
            "kept": self.kept(said, step),
            "form": uuid4().hex,
        }

    @property
    def _order(self) -> list[str]:
        return list(self.steps)


async def look_at(
    said: Callable[[], Body], usual: Callable[[], Body], check: Callable[[Body], Awaitable[None]]
) -> None:
    """Raises `Invalid` with all that is wrong in what is said, whatever was not asked yet.

    Where that is not whole it is checked with what is `usual` for the rest, so that each thing is told in its own step.
    """
    found: tuple[Flaw, ...] = ()
    try:
        body = said()
    except Invalid as invalid:
        found = invalid.flaws
        try:
            body = usual()
        except Invalid:
            raise invalid from None
    try:
        await check(body)
    except Invalid as invalid:
        found += invalid.flaws
    if found:
        raise Invalid(tuple(dict.fromkeys(found)))


def plain(numbers: Mapping[str, int | None], words: Mapping[str, str]) -> dict[str, list[str]]:
    """Fields of a form, each with what was said in it: numbers where there are any, words that were understood."""
    return {
        **{name: [] if number is None else [str(number)] for name, number in numbers.items()},
        **{name: [word] for name, word in words.items() if word != NOT_UNDERSTOOD},
    }
