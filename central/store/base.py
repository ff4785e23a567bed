"""What a store promises. Every implementation passes tests/central/store_contract.py.

The most important rule: when ``commit`` returns, the group is durable. A group is stored whole or not at all.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

from central.store.agents import AgentStore
from central.store.buckets import Buckets
from central.store.distribution import Distribution
from central.store.plan import Segment
from central.store.points import PointStore
from central.store.retention import RetentionStore
from central.store.series import SeriesStore
from protocol.item import Kind
from protocol.statsd import MetricType

T = TypeVar("T")


class StoreError(Exception):
    """The store did not do what was asked, and nothing of it is stored."""


class StoreUnavailable(StoreError):
    """The store does not answer now; it may answer later."""


class NotStored(StoreUnavailable):
    """COMMIT failed, but a search for the group's id showed that the group is certainly not stored."""


class Unsupported(StoreError):
    """This kind of store cannot do this. The message names the tool that can."""


class Refused(StoreError):
    """The store refused a group. It is certainly not stored, also if ``commit`` was called with ``again``."""


class StaleNames(Refused):
    """A name was deleted after the group's names were resolved. Empty the cache of names and resolve them again."""


class OutcomeUnknown(Exception):
    """COMMIT failed, and the group may or may not be stored.

    Commit the same group again with ``again=True``: the store then finds out by the group's id.
    """


class Metric(NamedTuple):
    """A name that exists. Its ``id`` is never used for another name, and its ``kind`` never changes.

    ``owner`` is the StatsD type that owns the name. Once a name has an owner, it never changes.
    """

    id: int
    kind: Kind
    owner: MetricType | None = None

    def takes(self, kind: Kind, sent_as: MetricType | None) -> bool:
        """Whether an item of this kind and StatsD type may be stored under the name. None fits every owner."""
        return self.kind == kind and (sent_as is None or self.owner is None or self.owner == sent_as)


class NewName(NamedTuple):
    """A name to create if it does not exist. ``key_id`` is the row of the API key that sent it.

    ``owner`` becomes its owner, unless the name has an owner or another kind. ``clash_of`` is the shorter name that
    another StatsD type owns: its samples of this type are stored under this name instead.
    """

    name: str
    kind: Kind
    key_id: int
    owner: MetricType | None = None
    clash_of: str | None = None


class ListedName(NamedTuple):
    """A name in a list. If ``clash_of`` is set, this name holds samples that were sent under that shorter name."""

    name: str
    kind: Kind
    owner: MetricType | None
    clash_of: str | None


class NameDetails(NamedTuple):
    """What a list shows of a metric besides its name. Times are whole seconds, numbers are in units.

    ``first_seen`` is when the service first took the name. ``last_seen`` is the start of the last minute with data, or
    of the last hour if that is long ago, and None if there is no data. ``weight`` and ``total`` are of that minute; 0
    for an hour. ``keys`` are the keys of its tags, in order.
    """

    metric: Metric
    clash_of: str | None
    first_seen: int
    last_seen: int | None = None
    weight: int = 0
    total: int = 0
    keys: tuple[str, ...] = ()


class Search(NamedTuple):
    """Names that hold a text anywhere; with ``ignore_case`` also in other case."""

    text: str
    ignore_case: bool = False


EVERYTHING: Final = Search("")


class Page(NamedTuple):
    """At most ``limit`` names that start with ``prefix`` and come after ``after``, in byte order.

    ``clashes``: only names with ``clash_of``.
    """

    prefix: str
    after: str
    limit: int
    clashes: bool = False
    search: Search = EVERYTHING


class CreatedNames(NamedTuple):
    """Names with their ids, in the order of ids, and how many names there are in all."""

    names: list[tuple[int, str]]
    total: int


class Row(NamedTuple):
    """A point to store. Numbers are in units; ``weight``, ``low`` and ``high`` are None for a plain sample.

    ``histogram`` holds the samples of a summary that was sent with one, as bytes of protocol.histogram.
    ``series_id`` is the series of a sample with tags; 0 without tags.
    """

    metric_id: int
    recorded_at: int
    value: int
    weight: int | None
    low: int | None
    high: int | None
    histogram: bytes | None = None
    series_id: int = 0


class IdGroup(NamedTuple):
    """What a query adds up under ``key``: the whole name, or only some of its series if ``series_ids`` is not None.

    0 in ``series_ids`` stands for the samples without tags. No two groups of a query share a key.
    """

    key: int
    metric_id: int
    series_ids: tuple[int, ...] | None


class RequestId(NamedTuple):
    """An id of a request to remember: 16 bytes, and a fingerprint of its path and body, also 16 bytes.

    ``answer`` is the body of its 201, if it is not the plain one.
    """

    id: bytes
    fingerprint: bytes
    answer: bytes | None


class Remembered(NamedTuple):
    """What the store remembers under a request id."""

    fingerprint: bytes
    answer: bytes | None


class RejectedPoint(NamedTuple):
    """A point that was acknowledged from the spill, and that its name could not take later. Numbers are in units.

    ``tags`` are in canonical form. ``histogram`` is as in Row.
    """

    name: str
    kind: Kind
    recorded_at: int
    value: int
    weight: int | None
    low: int | None
    high: int | None
    reason: str
    tags: str | None = None
    histogram: bytes | None = None


@dataclass(slots=True)
class Group:
    """What one transaction stores. ``id`` is 16 random bytes; ``day`` is days since the epoch.

    The group's own id is always stored, together with ``ids``; ``find_requests`` finds it with a fingerprint of zeros.
    ``names_version`` is what NameStore.version returned before the rows' names were resolved; None is not checked.
    ``rejected`` goes to a table for an operator, in the same transaction.
    """

    id: bytes
    day: int
    ids: list[RequestId] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    names_version: int | None = None
    rejected: list[RejectedPoint] = field(default_factory=list)


class KeyRow(NamedTuple):
    """An API key as stored. ``hash`` is the secret's bcrypt hash; times are whole seconds.

    ``fast_hash`` is the second hash of the secret, if there is one; only ``find`` reads it.
    ``expires_at`` is None for a key that never expires; ``last_used_at`` is at most a minute late. If the key
    may use only names with certain beginnings, ``prefixes`` has these, in order; it is empty for all names.
    """

    id: int
    public_id: str
    name: str
    hash: str
    scopes: frozenset[str]
    rate_limit: int
    created_at: int
    revoked_at: int | None
    expires_at: int | None = None
    last_used_at: int | None = None
    fast_hash: str | None = None
    prefixes: tuple[str, ...] = ()


class NewKey(NamedTuple):
    """An API key to store."""

    public_id: str
    name: str
    hash: str
    scopes: frozenset[str]
    rate_limit: int
    expires_at: int | None = None
    prefixes: tuple[str, ...] = ()


class Caps(NamedTuple):
    """How many names there may be: in all, and made by one key."""

    names: int
    names_per_key: int


class NameStore(Protocol):
    """The names of metrics. Every method may raise StoreUnavailable."""

    async def resolve(self, new_names: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
        """The metrics of these names. Creates missing names durably; leaves out names over a cap.

        A name without an owner gets the first owner in ``new_names`` that fits its kind.
        """

    async def find(self, names: Sequence[str]) -> dict[str, Metric]:
        """The metrics of those names that exist."""

    async def version(self) -> int | None:
        """A number that changes when any process deletes a name; None if no other process uses the store."""

    async def page(self, wanted: Page) -> list[ListedName]:
        """The names of a page, in byte order."""

    async def describe(self, names: Sequence[str], since: int, line: int) -> dict[str, NameDetails]:
        """The details of those of at most 1,000 names that exist.

        The last minute is looked for from ``since`` on, the last hour from ``line`` on; both are starts of hours, in
        UTC seconds. This takes the same few statements for any number of names.
        """

    async def created_after(self, metric_id: int, limit: int) -> CreatedNames:
        """At most ``limit`` names with ids above ``metric_id``, of one snapshot. A newer name has a larger id."""

    async def delete(self, name: str) -> bool:
        """Remove a name, so that queries no longer find it or its points. False if there is no such name.

        Call it only while this process commits nothing.
        """

    async def purge(self) -> None:
        """Remove the points of deleted names. This may take long. It may run while groups are committed."""


class KeyStore(Protocol):
    """The API keys. Every method may raise StoreUnavailable."""

    async def find(self, public_ids: Sequence[str]) -> dict[str, KeyRow]:
        """The rows of those public ids that exist, also if the key is revoked."""

    async def list_all(self) -> list[KeyRow]:
        """All rows, in the order of their ids."""

    async def create(self, key: NewKey, now: int) -> KeyRow:
        """Store a key durably."""

    async def change(
        self, key_id: int, change: Callable[[KeyRow], KeyRow], now: int, *, keep_admin: bool = False
    ) -> KeyRow | None:
        """Change a key durably as ``change`` does: its scopes, limit, prefixes, expiry and revocation.

        Returns the new row, or None if there is no such key. With ``keep_admin``, a change that would make the last
        admin key end earlier is not made, and the old row is returned.
        """

    async def note_uses(self, uses: Mapping[int, int]) -> None:
        """Store when keys were last used: seconds by key id. A time before the stored one changes nothing."""

    async def revoke(self, key_id: int, now: int) -> KeyRow | None:
        """Mark a key as revoked, durably; None if there is no such key. A second call keeps the first time."""

    async def rotate(self, key_id: int, hashed: str, now: int) -> KeyRow | None:
        """Replace the secret of a key that is not revoked, durably; None if there is no such key."""

    async def keep_fast_hash(self, hashed: str, fast: str) -> None:
        """Store ``fast`` for the bcrypt hash ``hashed``, so that ``find`` returns both. A second call is harmless."""


class Store(Protocol):
    """Stores groups of points and answers queries. Names, series, keys, agents, retention and exports have protocols of
    their own.

    Every method may raise StoreUnavailable.
    """

    writers: int
    """How many commits may run at once."""
    names: NameStore
    series: SeriesStore
    keys: KeyStore
    agents: AgentStore
    retention: RetentionStore
    """Where old points are hidden and removed."""
    points: PointStore
    """Where an export reads raw points."""

    async def commit(self, group: Group, *, again: bool = False) -> None:
        """Store the group's ids, points and rejected points in one transaction. Later queries include its points.

        Raises OutcomeUnknown if the group may or may not be stored, and StoreError if it is certainly not stored.
        Raises StaleNames if ``names_version`` is no longer the store's version.

        Use ``again`` after OutcomeUnknown. If the group is already stored, this returns and stores nothing. Of the
        StoreErrors, only Refused and NotStored then mean that the group is certainly not stored.
        """

    async def find_requests(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """Those of these request ids that are stored, each with its fingerprint and answer."""

    async def count_rejected(self) -> int:
        """How many rejected points the store keeps for an operator."""

    async def aggregate(
        self, groups: Sequence[IdGroup], window: int, segments: Sequence[Segment], *, extremes: bool = True
    ) -> Buckets:
        """Exact summaries per group and window, from one snapshot. Windows without data are left out.

        The ids of the answer are the groups' keys. Without ``extremes`` it has no lowest and highest values, and costs
        less.
        """

    async def distribute(self, groups: Sequence[IdGroup], window: int, segments: Sequence[Segment]) -> Distribution:
        """What ``aggregate`` returns, and how the samples are spread over their values, both from one snapshot."""

    async def under_lock(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` under a lock that only one process holds at a time. ``work`` may use the store."""

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of everything to ``target``, which must not exist, while writes go on."""

    async def ping(self) -> None:
        """Return if the store answers. Raises StoreUnavailable if it does not."""

    async def tidy(self, *, idle: bool) -> None:
        """Do the upkeep that is due. Never raises. Call it only while this process commits nothing."""

    async def close(self) -> None:
        """Release everything. Later calls raise StoreUnavailable."""
