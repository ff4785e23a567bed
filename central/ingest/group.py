"""What a group stores for its submissions, and how its commit is retried. The writer and the drain both use this."""

from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType
from typing import Final

from central.compiled import CORE
from central.ingest.names import Known, Names
from central.ingest.submission import Submission
from central.store.base import Group, Refused, RequestId, Row, StaleNames
from protocol.statsd import MetricType

TRIES: Final = 3
_row: Final = tuple.__new__  # Row without its Python-level constructor: 140 ns and not 310


def request_ids(submission: Submission) -> list[RequestId]:
    """The ids under which the store remembers the request; empty if it does not.

    The ids hold the answer only if it differs from the plain one, that is, if items were rejected.
    """
    request = submission.request
    if request is None or not submission.remembers():
        return []
    answer = submission.body() if submission.rejected else None
    return [RequestId(given, request.fingerprint, answer) for given in request.ids]


def add(
    group: Group,
    submission: Submission,
    known: Known,
    remembered: Iterable[RequestId],
    core: ModuleType | None = CORE,
) -> None:
    """Add a submission's rows and its request ids to the group. ``known`` is what ``Names.settle`` returned for it.

    Rows and ids are stored in one transaction. So a request's id is stored if and only if its points are.
    """
    if submission.sent_as is None or known.fits(submission):
        metrics, id_of, submission.renamed = known.metrics, known.series.id_of, []
        group.rows.extend(
            core.rows(submission.items, Row, metrics, known.series.ids, known.series.overflows)
            if core is not None
            else [
                _row(
                    Row,
                    (
                        metrics[name].id,
                        recorded_at,
                        value,
                        weight,
                        low,
                        high,
                        histogram,
                        0 if tags is None else id_of(metrics[name].id, tags),
                    ),
                )
                for name, _, value, recorded_at, weight, low, high, histogram, tags in submission.items
            ]
        )
    else:
        _add_placed(group, submission, submission.sent_as, known)
    group.ids.extend(remembered)


def _add_placed(group: Group, submission: Submission, sent_as: list[MetricType | None], known: Known) -> None:
    """Add each item's row under the name where it belongs. Note that name if it is not the item's own."""
    renamed: dict[str, None] = {}
    for item, its_type in zip(submission.items, sent_as, strict=True):
        place = known.place(item, its_type)
        if place is None:
            raise KeyError(item.name)  # cannot happen: ``settle`` has rejected items without a place
        name, metric = place
        if name != item.name:
            renamed[name] = None
        _, _, value, recorded_at, weight, low, high, histogram, tags = item
        series_id = 0 if tags is None else known.series.id_of(metric.id, tags)
        group.rows.append(_row(Row, (metric.id, recorded_at, value, weight, low, high, histogram, series_id)))
    submission.renamed = list(renamed)


async def try_until_taken(attempt: Callable[[], Awaitable[None]], names: Names) -> None:
    """Run ``attempt``, which looks up ids and names and then commits. Run it again when the store refuses the group.

    The store refuses a group when another process has stored one of its ids or deleted one of its names meanwhile.
    A new look-up then finds the change. Raises Refused after TRIES refusals; nothing is stored then. Raises every
    other error at once.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            await attempt()
            return
        except Refused as error:
            if isinstance(error, StaleNames):
                names.forget_all()
            if not tries_left:
                raise
