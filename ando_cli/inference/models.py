"""The models that a key may use, as ``/models`` lists them. Pure; no I/O."""

from __future__ import annotations

import json

from ando_cli.errors import Code, ServerError
from ando_cli.frozen import frozen

MODELS_PATH = "/models"


@frozen
class Model:
    """One model that a key may use. ``created`` is in Unix seconds, if reported."""

    id: str
    owner: str | None = None
    created: int | None = None


def read_models(answer: bytes) -> list[Model]:
    """Return the models in an answer of ``/models``.

    Raises:
        ServerError: it is not a list of models.
    """
    try:
        listed = json.loads(answer)["data"]
        models = [
            Model(one["id"], _text(one.get("owned_by")), _time(one.get("created"))) for one in listed if one["id"]
        ]
        if not all(isinstance(model.id, str) for model in models):
            raise TypeError("a model's id is a text")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ServerError(
            "the gateway's list of models cannot be read",
            hint="see it with `ando request --rail key /models`",
            code=Code.UNEXPECTED_ANSWER,
        ) from None
    return models


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
