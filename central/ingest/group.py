"""What a group stores of its submissions, and how it is tried again. The writer and the drain follow the same rules."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from central.ingest.names import Known, Names
from central.ingest.submission import Submission
from central.store.base import Group, Refused, RequestId, Row, StaleNames
from protocol.statsd import MetricType

TRIES: Final = 3
_row: Final = tuple.__new__  # Row without its Python-level constructor: 140 ns and not 310


def request_ids(submission: Submission) -> list[RequestId]:
    """What the request is remembered by, none where it is not. Its answer is kept where it is not the plain one."""
    request = submission.request
    if request is None or not submission.remembers():
        return []
    answer = submission.body() if submission.rejected else None
    return [RequestId(given, request.fingerprint, answer) for given in request.ids]


def add(group: Group, submission: Submission, known: Known, remembered: Iterable[RequestId]) -> None:
    """Add a submission's rows and its ids to the group. ``known`` is what ``Names.settle`` returned for it.

    Both go into one transaction: so a request whose id is stored has its points stored, and no other has.
    """
    if submission.sent_as is None or known.fits(submission):
        metrics, submission.renamed = known.metrics, []
        group.rows.extend(
            [
                _row(Row, (metrics[name].id, recorded_at, value, weight, low, high))
                for name, _, value, recorded_at, weight, low, high in submission.items
            ]
        )
    else:
        _add_placed(group, submission, submission.sent_as, known)
    group.ids.extend(remembered)


def _add_placed(group: Group, submission: Submission, sent_as: list[MetricType | None], known: Known) -> None:
    """Add rows under the names where the items belong, and note those that are not their own."""
    renamed: dict[str, None] = {}
    for item, its_type in zip(submission.items, sent_as, strict=True):
        place = known.place(item, its_type)
        if place is None:
            raise KeyError(item.name)  # settle let it pass, so it has one
        name, metric = place
        if name != item.name:
            renamed[name] = None
        _, _, value, recorded_at, weight, low, high = item
        group.rows.append(_row(Row, (metric.id, recorded_at, value, weight, low, high)))
    submission.renamed = list(renamed)


async def try_until_taken(attempt: Callable[[], Awaitable[None]], names: Names) -> None:
    """Run ``attempt``, which looks ids and names up and commits, again where the store refused what it had found.

    Another process has stored one of the ids or deleted one of the names meanwhile, so to look again helps. Raises
    Refused when it was refused TRIES times; nothing is stored then. Every other error is the caller's at once.
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
