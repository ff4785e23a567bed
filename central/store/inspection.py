"""The state of a store, for the doctor. Reading it changes nothing and needs no running service."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from central.store.base import ListedName

MAX_CLASHES: Final = 20


class KeyState(NamedTuple):
    """An API key, without anything secret."""

    id: int
    public_id: str
    name: str
    scopes: frozenset[str]
    revoked: bool
    """Or expired: nobody can use it any more."""


@dataclass(frozen=True)
class StoreState:
    """The content of a store. Times are UTC seconds; ``None`` means that this store does not know."""

    version: str
    pending: list[str]
    """Migrations that are still to be applied; the rest is empty then."""
    keys: list[KeyState] = field(default_factory=list)
    last_run: int | None = None
    """When retention ran last; 0 for never."""
    rejected: int | None = None
    """Points that were acknowledged and then could not be stored under their name."""
    ahead: float | None = None
    """Seconds that its clock is ahead of this host's."""
    variables: dict[str, str] = field(default_factory=dict)
    """The server's settings, by name."""
    last_partition: dict[str, int] = field(default_factory=dict)
    """The last day, since the epoch, that each table has a partition for."""
    clashes: Sequence[ListedName] = ()
    """Names that hold samples of a name that another type owns: at most MAX_CLASHES of them."""
