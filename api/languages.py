"""The language of a class, as offers state it and needs ask for it."""

from api.wire import LanguageCode, Wire
from matching.needs import Language
from matching.vocabulary import Level

__all__ = ["LanguageWire"]


class LanguageWire(Wire):
    """What is taught and at which level; a need without a level takes any."""

    teaches: LanguageCode
    level: Level | None = None

    @classmethod
    def of(cls, language: Language | None) -> "LanguageWire | None":
        """Render a language."""
        return cls(teaches=language.teaches, level=language.level) if language else None

    def language(self) -> Language:
        """The language as the domain knows it."""
        return Language(self.teaches, self.level)
