"""Words about people that are planted everywhere: who they are, in many languages and scripts.

No string stands in the house by itself, and none is used twice: each carries a number of its run. Nobody is meant by
any of them.
"""

import secrets
from collections.abc import Iterator
from itertools import product

__all__ = ["LANGUAGES", "addresses", "slugs", "strings"]

LANGUAGES = {
    "en": ("Zarmina Testname", "undocumented", "Afghan national", "pregnant HIV", "Sunni Muslim"),
    "fr": ("Amélie Prénom", "sans-papiers", "ressortissante guinéenne", "enceinte diabétique", "témoin de Jéhovah"),
    "ar": ("زرمينة الاسم", "بدون أوراق", "جنسية سورية", "حامل ومريضة", "مسلمة شيعية"),
    "fa": ("زرمینه نام", "بدون مدرک اقامت", "تابعیت افغانستان", "بیمار قلبی", "پیرو بهائیت"),
    "ps": ("زرمینه نوم", "بې اسنادو کډوال", "افغان تابعیت", "ناروغه ښځه", "سني مسلمانه"),
    "am": ("ዘርሚና ስም", "ሰነድ የሌላት", "ኢትዮጵያዊ ዜግነት", "ነፍሰ ጡር ታማሚ", "ኦርቶዶክስ ተዋሕዶ"),
    "ti": ("ዘርሚና ሽም", "ሰነድ ዘይብላ", "ኤርትራዊት ዜግነት", "ጥንስቲ ሕምምቲ", "ጴንጤቆስጠ ክርስትያን"),
    "bn": ("জারমিনা নাম", "কাগজপত্রহীন অভিবাসী", "বাংলাদেশি নাগরিক", "গর্ভবতী অসুস্থ", "হিন্দু ধর্মাবলম্বী"),
    "ru": ("Зармина Имя", "без документов", "гражданка Таджикистана", "беременная больная", "мусульманка суннитка"),
    "el": ("Ζαρμίνα Όνομα", "χωρίς χαρτιά", "υπήκοος Συρίας", "έγκυος άρρωστη", "σουνίτισσα μουσουλμάνα"),
    "zh": ("扎尔米娜姓名", "没有合法证件", "阿富汗国籍人", "怀孕的病人", "穆斯林信徒"),
    "tr": ("Zarmina İsim", "kâğıtsız göçmen", "Suriye uyruklu", "hamile şeker hastası", "Alevi inançlı"),
    "es": ("Zármina Apellido", "sin papeles", "ciudadanía maliense", "embarazada enferma", "testigo evangélica"),
}
"""By language: a name, a status, a nationality, something about health, a religion."""
_FORMS = (
    "+33 6 {a} {b}",
    "00212{number}",
    "AFG-P{number}",
    "OFPRA/{number}/X",
    "zarmina.{number}@example.org",
)
"""Telephone numbers, document numbers, addresses of mail."""
_STREETS = ("12 rue du Chêne {}, 3e étage", "شارع البلوط {}", "улица Дубовая {}", "Via delle Querce {}", "橡树街 {} 号")
_LETTERS = str.maketrans("0123456789", "abcdefghij")
_NUMBERS = 2_400


def _numbers(count: int) -> Iterator[str]:
    """Numbers of eight digits that begin anywhere; no two differ in their last digits alone."""
    first = 10_000_000 + secrets.randbelow(80_000_000)
    yield from map(str, range(first, first + 100 * count, 100))


def strings(count: int = _NUMBERS) -> list[str]:
    """Distinct strings, languages and kinds mixed, each of at least eight bytes."""
    words = [word for of_kind in zip(*LANGUAGES.values(), strict=True) for word in of_kind]
    made: list[str] = []
    forms = [*(f"{word} {{number}}" for word in words), *_FORMS * 3]
    for number in _numbers(count):
        form = forms[len(made) % len(forms)]
        made.append(form.format(number=number, a=number[:4], b=number[4:]))
    return made


def slugs(count: int = 400) -> list[str]:
    """Distinct strings of small letters and underscores alone, which pass for codes: `undocumented_bcdefghi`."""
    words = ("undocumented", "sans_papiers", "afghan", "muslim", "hiv_positive", "zarmina")
    pairs = zip(product(range(count), words), _numbers(count), strict=False)
    return [f"{word}_{number.translate(_LETTERS)}" for (_, word), number in pairs]


def addresses(count: int = 40) -> list[str]:
    """Distinct addresses of places, as organizations write them."""
    return [_STREETS[at % len(_STREETS)].format(number) for at, number in enumerate(_numbers(count))]
