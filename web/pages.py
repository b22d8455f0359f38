"""Pages made from templates: everything put in is escaped, a missing fact is an error, nothing is fetched.

The page of the slip carries its style and its pictograms in itself, and no script: it is one answer, works on any
telephone, and can be kept or printed as it is. Those of the console are many, and share one style and one script.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["fill", "policy_of", "render"]

_HERE: Final = Path(__file__).parent


def render(name: str, **facts: object) -> str:
    """The page of a template, with its style inside."""
    return _environment().get_template(f"{name}.html").render(style=_style(name), **facts)


def fill(name: str, **facts: object) -> str:
    """The page of a template whose style and script are files of their own (`web.files`)."""
    return _environment().get_template(f"{name}.html").render(**facts)


@cache
def policy_of(name: str) -> str:
    """The content security policy of a page: its own style, forms that go back to us, and nothing else at all."""
    digest = base64.b64encode(hashlib.sha256(_style(name).encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style(name: str) -> str:
    return (_HERE / "styles" / f"{name}.css").read_text()
