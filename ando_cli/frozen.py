"""Frozen dataclasses that cost little to define.

A paid one-liner defines about sixty of them and creates a few. Python 3.11 compiles six methods for each, which was a
tenth of the whole run. Here one method is compiled and the others are shared. Otherwise they are ordinary
dataclasses: ``fields``, ``replace`` and ``match`` work.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn, TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def frozen(cls: type[_T]) -> type[_T]:
    """Make ``cls`` a frozen dataclass, compared and hashed by its fields, and shown without those of ``repr=False``."""
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    made.__init__ = _initialiser(dataclasses.fields(made), hasattr(made, "__post_init__"))
    made.__repr__ = _repr
    made.__eq__ = _equal
    made.__hash__ = _hash
    made.__setattr__ = made.__delattr__ = _refuse
    return cls


def _initialiser(fields: tuple[dataclasses.Field[Any], ...], finishes: bool) -> Any:
    """Return an ``__init__`` that takes the fields in their order."""
    names: dict[str, Any] = {"put": object.__setattr__}
    parameters, lines = ["self"], []
    for field in fields:
        value = field.name
        if field.default is not dataclasses.MISSING:
            names[f"default_{field.name}"] = field.default
            parameters.append(f"{field.name}=default_{field.name}")
        elif field.default_factory is not dataclasses.MISSING:
            names[f"make_{field.name}"], names["MISSING"] = field.default_factory, dataclasses.MISSING
            parameters.append(f"{field.name}=MISSING")
            value = f"make_{field.name}() if {field.name} is MISSING else {field.name}"
        else:
            parameters.append(field.name)
        lines.append(f" put(self, {field.name!r}, {value})")
    lines.append(" self.__post_init__()" if finishes else " pass")
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines), names)  # noqa: S102 - names of our own fields
    return names["__init__"]


def _values(instance: Any) -> tuple[Any, ...]:
    return tuple(getattr(instance, name) for name in instance.__dataclass_fields__)


def _equal(self: Any, other: Any) -> Any:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(self: object, name: str, *_: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"{type(self).__name__}.{name} cannot be changed")
