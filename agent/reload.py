"""Which settings can change while the agent runs, and which did. Pure; agent.app uses them."""

from dataclasses import fields, replace
from typing import Final, NamedTuple

from agent.settings import Settings

CHANGEABLE: Final = frozenset(
    {
        *("api_key", "api_key_file", "ca_file", "allow_plaintext", "log_level"),
        *("prefix", "tags", "host_tags", "max_names", "spool_max_bytes", "spool_max_files"),
    }
)
"""The others belong to what is made at the start: sockets, the spool's folder, the window's tables."""


class Difference(NamedTuple):
    """The settings that have another value, by field: those that can change, and those that need a restart."""

    changed: tuple[str, ...]
    fixed: tuple[str, ...]


def difference(old: Settings, new: Settings) -> Difference:
    """What ``new`` has that is different."""
    names = [each.name for each in fields(Settings) if getattr(old, each.name) != getattr(new, each.name)]
    return Difference(
        tuple(name for name in names if name in CHANGEABLE), tuple(name for name in names if name not in CHANGEABLE)
    )


def changed(old: Settings, new: Settings) -> Settings:
    """The settings that hold after a reload."""
    return replace(old, **{name: getattr(new, name) for name in CHANGEABLE})


def in_words(found: Difference, *, other_key: bool) -> str:
    """A sentence for the log. It has names of settings and no values, since one of them is a key."""
    names = list(found.changed)
    if other_key and not {"api_key", "api_key_file"} & set(names):
        names.append("the key in the file")
    at_once = f"changed: {', '.join(names)}" if names else "nothing has changed"
    return f"{at_once}; after a restart only: {', '.join(found.fixed)}" if found.fixed else at_once
