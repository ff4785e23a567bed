"""What a store promises. Every implementation passes tests/central/store_contract.py.

One rule above all: what ``commit`` returned from is durable, and a group is stored whole or not at all.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from central.store.buckets import Buckets
from central.store.distribution import Distribution
from central.store.plan import Segment
from central.store.retention import RetentionStore
from central.store.series import SeriesStore
from protocol.item import Kind
from protocol.statsd import MetricType

T = TypeVar("T")


class StoreError(Exception):
    """The store did not do what was asked, and nothing of it is stored."""


class StoreUnavailable(StoreError):
    """The store cannot be asked now; it may be later."""


class NotStored(StoreUnavailable):
    """A COMMIT failed again, but a search by its id showed that the group is certainly not stored, as with Refused."""


class Unsupported(StoreError):
    """This kind of store never does it. The message names the tool that does."""


class Refused(StoreError):
    """The store refused a group, and it is certainly not stored. With ``again``, other StoreErrors do not say that."""


class StaleNames(Refused):
    """A name was deleted since the group's names were resolved: forget all cached names and resolve them again."""


class OutcomeUnknown(Exception):
    """COMMIT failed in a way that does not tell whether it happened.

    Commit the same group again with ``again=True``: the store then finds by the group's id whether it is stored.
    """


class Metric(NamedTuple):
    """A name that exists: its id, never used twice, and its type, the same for ever.

    ``owner`` is the type on StatsD's lines that owns the name, the same for ever too once there is one.
    """

    id: int
    kind: Kind
    owner: MetricType | None = None

    def takes(self, kind: Kind, sent_as: MetricType | None) -> bool:
        """Whether such an item may be stored under the name. One that does not say what it was on a line may."""
        return self.kind == kind and (sent_as is None or self.owner is None or self.owner == sent_as)


class NewName(NamedTuple):
    """A name to be created if it does not exist, for the row of the API key that sent it.

    ``owner`` owns it from then on, unless it is owned or of the other type. ``clash_of`` is the name that another type
    owns, whose samples are to be stored under this one.
    """

    name: str
    kind: Kind
    key_id: int
    owner: MetricType | None = None
    clash_of: str | None = None


class ListedName(NamedTuple):
    """A name as it is listed. ``clash_of`` is set where it has samples of that name, which another type owns."""

    name: str
    kind: Kind
    owner: MetricType | None
    clash_of: str | None


class Row(NamedTuple):
    """A point, numbers in units; ``weight``, ``low`` and ``high`` are None for a plain sample."""

    metric_id: int
    recorded_at: int
    value: int
    weight: int | None
    low: int | None
    high: int | None


class RequestId(NamedTuple):
    """A request that is remembered: 16 bytes of (key row, Idempotency-Key) and 16 of its path and body.

    ``answer`` is the body of its 201 where that is not the plain one.
    """

    id: bytes
    fingerprint: bytes
    answer: bytes | None


class Remembered(NamedTuple):
    """What the store knows of a request id."""

    fingerprint: bytes
    answer: bytes | None


class RejectedPoint(NamedTuple):
    """A point that was acknowledged from a buffer and then could not be stored under its name; numbers in units."""

    name: str
    kind: Kind
    recorded_at: int
    value: int
    weight: int | None
    low: int | None
    high: int | None
    reason: str


@dataclass(slots=True)
class Group:
    """What one transaction stores. ``id`` is 16 random bytes; ``day`` is days since the epoch.

    The group's own id is stored in any case, beside ``ids``; ``find_requests`` finds it with a fingerprint of zeros.
    ``names_version`` is what NameStore.version gave before the first of the rows' names was resolved; None is not
    checked. ``rejected`` is kept aside for an operator, in the same transaction.
    """

    id: bytes
    day: int
    ids: list[RequestId] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    names_version: int | None = None
    rejected: list[RejectedPoint] = field(default_factory=list)


class KeyRow(NamedTuple):
    """An API key as stored. ``hash`` is bcrypt's of the secret; times are whole seconds.

    ``fast_hash`` is the one kept beside it, where there is one; ``find`` alone reads it.
    ``expires_at`` is None for a key that never ends; ``last_used_at`` is a minute late at most.
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


class NewKey(NamedTuple):
    """An API key to be stored."""

    public_id: str
    name: str
    hash: str
    scopes: frozenset[str]
    rate_limit: int
    expires_at: int | None = None


class Caps(NamedTuple):
    """How many names there may be, in all and made by one key."""

    names: int
    names_per_key: int


class NameStore(Protocol):
    """The names of metrics. Every method may raise StoreUnavailable."""

    async def resolve(self, new_names: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
        """The metrics of these names, created where missing, durably; those over a cap are left out.

        A name without an owner gets that of the first item of its type that has one.
        """

    async def find(self, names: Sequence[str]) -> dict[str, Metric]:
        """The metrics of those names that exist."""

    async def version(self) -> int | None:
        """Changes whenever any process deletes a name; None where no other process can."""

    async def page(self, prefix: str, after: str, limit: int, *, clashes: bool = False) -> list[ListedName]:
        """Names in byte order that start with ``prefix`` and come after ``after``; with ``clashes`` only such."""

    async def delete(self, name: str) -> bool:
        """Remove a name, so that queries no longer find it or its points. False if there is no such name.

        A process calls it between its commits.
        """

    async def purge(self) -> None:
        """Remove the points of deleted names. This may take long, and may run while groups commit."""


class KeyStore(Protocol):
    """The API keys. Every method may raise StoreUnavailable."""

    async def find(self, public_ids: Sequence[str]) -> dict[str, KeyRow]:
        """The rows of those public ids that exist, revoked or not."""

    async def list_all(self) -> list[KeyRow]:
        """All key rows by id."""

    async def create(self, key: NewKey, now: int) -> KeyRow:
        """Store a key durably."""

    async def change(
        self, key_id: int, change: Callable[[KeyRow], KeyRow], now: int, *, keep_admin: bool = False
    ) -> KeyRow | None:
        """Store what ``change`` makes of a key's scopes, limit, expiry and revocation, durably; gives the row then.

        None when there is no such key. ``keep_admin``: the row stays as it is where the change would bring nearer
        the time at which the last admin key ends.
        """

    async def note_uses(self, uses: Mapping[int, int]) -> None:
        """Store when keys were last used, by id, in seconds; an earlier time than the stored one changes nothing."""

    async def revoke(self, key_id: int, now: int) -> KeyRow | None:
        """Mark a key as revoked, durably; None when there is none. Revoking twice keeps the first time."""

    async def rotate(self, key_id: int, hashed: str, now: int) -> KeyRow | None:
        """Replace the secret of a key that is not revoked, durably; None when there is none."""

    async def keep_fast_hash(self, hashed: str, fast: str) -> None:
        """Keep ``fast`` beside the bcrypt hash ``hashed``, for ``find``. Twice is no fault."""


class Store(Protocol):
    """Stores groups of points and answers queries. Names, series, keys and retention have protocols of their own.

    Every method may raise StoreUnavailable. A process calls ``tidy`` between its commits.
    """

    writers: int
    """How many commits may run at once."""
    names: NameStore
    series: SeriesStore
    keys: KeyStore
    retention: RetentionStore
    """Where old points are hidden and removed."""

    async def commit(self, group: Group, *, again: bool = False) -> None:
        """Store the group, its ids, points and rejected points, in one transaction. Later queries have its points.

        Raises OutcomeUnknown when it may or may not be in, and StoreError when it is certainly not.
        With ``again`` the group may be in already: then this returns and stores nothing; only Refused and NotStored
        are certain then.
        Raises StaleNames when ``names_version`` is not the store's any more.
        """

    async def find_requests(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """Which of these request ids are stored, with what was answered."""

    async def count_rejected(self) -> int:
        """How many rejected points are kept aside."""

    async def aggregate(self, metric_ids: Sequence[int], window: int, segments: Sequence[Segment]) -> Buckets:
        """Exact summaries by name and window, only those with data; one snapshot."""

    async def distribute(self, metric_ids: Sequence[int], window: int, segments: Sequence[Segment]) -> Distribution:
        """What ``aggregate`` gives, and how the samples are spread over their values; one snapshot."""

    async def under_lock(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` under a lock that only one process holds at a time. ``work`` may use the store."""

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of everything to ``target``, which must not exist, while writes go on."""

    async def ping(self) -> None:
        """Return when the store answers; else raise StoreUnavailable."""

    async def tidy(self, *, idle: bool) -> None:
        """Do the upkeep that is due; never raises. Called between commits."""

    async def close(self) -> None:
        """Release everything. Later calls raise StoreUnavailable."""
