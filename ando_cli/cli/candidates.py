"""What a value on the command line can become, for the shell's completion.

Each function reads what is on this machine. It asks no gateway, chain or keyring, and changes nothing. If something
is wrong, it offers nothing: shell completion is no place for an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer

from ando_cli.config.schema import CONFIG_FILE, NETWORKS_TABLE, Kind
from ando_cli.config.settings import KEYS, SANDBOX_GATEWAY, STORE_FILE, Folders, find_folders
from ando_cli.files import read_bounded
from ando_cli.tempo.network import NETWORK_KEYS, NETWORKS

_MOST = 500
_LARGEST_FILE = 1024 * 1024
# One plain word for a shell. The zsh script evaluates what it receives, and a gateway chooses the names of models.
_WORD = re.compile(r"[A-Za-z0-9._:/@+-]{1,200}")

Offer = tuple[str, str]
"""A word, and what it means."""


Look = Callable[[Folders, Sequence[str]], Iterable[Offer]]
"""Finds the values that a word can become; the sequence holds the parameter's earlier values."""

Completion = Callable[[typer.Context, str], list[Offer]]
"""The ``autocompletion`` of an option or argument."""


def completion(look: Look, *, after: str | None = None) -> Completion:
    """Make the ``autocompletion`` of an option from ``look``.

    Args:
        look: finds the words.
        after: the name of a repeatable parameter whose earlier values matter.
    """

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        before = (ctx.params.get(after) or ()) if after else ()
        return [offer for offer in _offers(look, before) if offer[0].startswith(incomplete)]

    return complete


def _offers(look: Look, before: Sequence[str], environ: Mapping[str, str] = os.environ) -> list[Offer]:
    try:
        found = list(look(_folders(environ), before))
    except Exception:
        return []
    return [(word, meaning) for word, meaning in found if _WORD.fullmatch(word)][:_MOST]


def _folders(environ: Mapping[str, str]) -> Folders:
    folders = find_folders(environ)
    # Options after the subcommand are not parsed yet, so search the words.
    typed = f"{environ.get('COMP_WORDS', '')} {environ.get('_TYPER_COMPLETE_ARGS', '')}".split()
    return Folders(folders.config, folders.state / SANDBOX_GATEWAY) if "--sandbox" in typed else folders


def _channels(folders: Folders, _: Sequence[str]) -> Iterable[Offer]:
    from ando_cli.session.record.channels import channel_states

    for channel_id, state, gateway in channel_states(folders.state / STORE_FILE):
        yield channel_id, f"{state}, {gateway}"


def _conversations(folders: Folders, _: Sequence[str]) -> Iterable[Offer]:
    from ando_cli.conversation.archive import FOLDER, Conversations

    return [(kept.id, kept.conversation.title) for kept in Conversations(folders.state / FOLDER).all()[0]]


def _networks(folders: Folders, _: Sequence[str]) -> Iterable[Offer]:
    yield from ((name, f"chain {network.chain_id}") for name, network in NETWORKS.items())
    yield from ((name, f"from {CONFIG_FILE}") for name in _added(folders))


def _models(folders: Folders, _: Sequence[str]) -> Iterable[Offer]:
    from ando_cli.runtime.models import known_models

    return [(name, "") for name in known_models(folders)]


def _plans(_: Folders, __: Sequence[str]) -> Iterable[Offer]:
    from ando_cli.inference.prompt import PLANS

    return [(plan, "") for plan in PLANS]


def _keys(folders: Folders, _: Sequence[str]) -> Iterable[Offer]:
    yield from ((key.name, key.help) for key in KEYS.values())
    for name in _added(folders):
        yield from ((f"{NETWORKS_TABLE}.{name}.{key}", "") for key in sorted(NETWORK_KEYS))


def _pairs(folders: Folders, before: Sequence[str]) -> Iterable[Offer]:
    """Offer a key, or after a key its possible values."""
    if len(before) % 2 == 0:
        return _keys(folders, before)
    key = KEYS.get(before[-1])
    if key is None:
        return []
    if key.kind is Kind.SWITCH:
        return [("true", ""), ("false", "")]
    if key.choices:
        return [(choice, "") for choice in key.choices]
    look = _LOOKS_OF_KEYS.get(key.name)
    return [] if look is None else look(folders, before)


def _added(folders: Folders) -> list[str]:
    """Return the networks that the configuration adds, even if the rest of it is wrong."""
    import tomllib

    try:
        tables: Any = tomllib.loads(read_bounded(folders.config / CONFIG_FILE, _LARGEST_FILE).decode()).get(
            NETWORKS_TABLE, {}
        )
    except (OSError, ValueError):
        return []
    return list(tables) if isinstance(tables, dict) else []


_LOOKS_OF_KEYS: dict[str, Look] = {"model": _models, "network": _networks}
"""Keys of the configuration whose values can be looked up."""

channels = completion(_channels)
conversations = completion(_conversations)
keys = completion(_keys)
models = completion(_models)
networks = completion(_networks)
plans = completion(_plans)
pairs = completion(_pairs, after="config_pairs")
