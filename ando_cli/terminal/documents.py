"""Data as text: JSON, TOON, CSV. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def to_json(value: object, *, indent: int | None, can_show: Callable[[str], bool]) -> str:
    """Return ``value`` as JSON, with escapes for characters that the output's encoding lacks."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if can_show(text) else json.dumps(value, indent=indent)


def to_toon(value: object) -> str:
    """Return ``value`` as TOON."""
    from toon_format import encode  # loading it takes as long as loading typer

    # JSON can hold half a surrogate pair, TOON cannot.
    sound = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return str(encode(sound))


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows with a heading as CSV; ``None`` is an empty field.

    A text that a spreadsheet would read as a formula gets a quote before it; amounts do not change.
    """
    import csv
    import io

    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerows((columns, *([_no_formula(cell) for cell in row] for row in rows)))
    return written.getvalue()


def _no_formula(cell: object) -> object:
    formula = isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") and not cell[1:].replace(".", "").isdecimal()
    return f"'{cell}" if formula else cell
