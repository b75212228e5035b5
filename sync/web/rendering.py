"""Templates and the files that pages load: read once, escaped always, checked by the browser (integrity)."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from sync.web.money import count, example, money
from sync.web.words import NAMES, Words

HERE = Path(__file__).parent
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_LANGUAGES = tuple((language.value, name) for language, name in NAMES.items())


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that pages load. `integrity`: as a page's tag names it (W3C Subresource Integrity)."""

    body: bytes
    content_type: str
    version: str
    integrity: str


class Templates:
    """The templates with what they may call, and the static files by name."""

    def __init__(self) -> None:
        folders = (HERE / "static", HERE / "static" / "vendor")
        self._files = {
            path.name: _read(path)
            for folder in folders
            for path in sorted(folder.iterdir())
            if path.suffix in CONTENT_TYPES
        }
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(script=self._script, style=self._style, address=self._address)
        self._environment.filters.update(
            money=money,
            clock=clock,
            day=day,
            moment=moment,
            count=count,
            datetime_field=datetime_field,
            example=example,
        )

    def file(self, name: str) -> StaticFile | None:
        """Return a static file by its name."""
        return self._files.get(name)

    def render(self, template: str, words: Words, context: Mapping[str, object]) -> str:
        """Return a page. Raises what Jinja2 raises for a template that names what it was not given."""
        return self._environment.get_template(template).render(
            {"t": words, "lang": words.language.value, "languages": _LANGUAGES, **context}
        )

    def _address(self, name: str) -> str:
        return f"/static/{self._files[name].version}/{name}"

    def _script(self, name: str) -> Markup:
        one = self._files[name]
        return Markup('<script src="{}" integrity="{}" defer></script>').format(
            self._address(name), one.integrity
        )

    def _style(self, name: str) -> Markup:
        one = self._files[name]
        return Markup('<link rel="stylesheet" href="{}" integrity="{}">').format(
            self._address(name), one.integrity
        )


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    digest = hashlib.sha384(body).digest()
    integrity = "sha384-" + b64encode(digest).decode()
    return StaticFile(body, CONTENT_TYPES[path.suffix], digest.hex()[:16], integrity)


def clock(at_s: float, zone: str = "UTC") -> str:
    """Return the time of day at a place: 18:30:05."""
    return _at(at_s, zone).strftime("%H:%M:%S")


def day(at_s: float, zone: str = "UTC") -> str:
    """Return the date at a place, unmistakable in all languages: 2026-11-22."""
    return _at(at_s, zone).strftime("%Y-%m-%d")


def moment(at_s: float, zone: str = "UTC") -> Markup:
    """Return date and time at a place, as an element that programs read too; UTC is said, since nobody's clock shows it."""
    at = _at(at_s, zone)
    shown = at.strftime("%Y-%m-%d %H:%M") + (" UTC" if zone == "UTC" else "")
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), shown)


def datetime_field(at_s: float | None, zone: str = "UTC") -> str:
    """Return what an <input type=datetime-local> holds; "" for no time."""
    return _at(at_s, zone).strftime("%Y-%m-%dT%H:%M") if at_s else ""


def _at(at_s: float, zone: str) -> datetime:
    try:
        return datetime.fromtimestamp(at_s, ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        return datetime.fromtimestamp(at_s, UTC)
