"""Fields of items that not every service knows. An item is complete and true without them.

The service lists what it takes in the Metrics-Accepts header of each answer; a service without the header takes none.
The spool has batches in their full form. What the service does not take is left out when a batch is sent.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from agent.spool.batch import Batch
from protocol.limits import HISTOGRAMS, TAGS

_TEXT: Final = r'"(?:[^"\\]|\\.)*+"'
_TEXTS: Final[Mapping[str, re.Pattern[str]]] = {
    HISTOGRAMS: re.compile(r',"histogram":"[A-Za-z0-9_-]*+"'),
    TAGS: re.compile(rf',"tags":\{{(?:{_TEXT}[:,]?)*+\}}'),
}
"""The service's word -> the field in the text that protocol.item writes. Nothing else looks like it: a quote within the
text of tags has a backslash before it."""


class OptionalFields:
    """What the service takes. Until an answer says so, it takes nothing: an old service would refuse these items."""

    def __init__(self) -> None:
        self._taken: frozenset[str] = frozenset()

    def learn(self, header: str | None) -> None:
        """Take over the Metrics-Accepts header of an answer that is the service's own. None when there is none."""
        self._taken = frozenset(word.strip() for word in (header or "").split(","))

    def forms(self, batch: Batch) -> Iterator[Batch]:
        """The forms of a batch, all with its id and each different: first the one that the service takes.

        The service refuses an id that came with other bytes. That happens when the answer to an earlier attempt was
        lost, and the service was replaced by a newer or an older one since. Then the batch was stored in another form.
        """
        tried: set[tuple[str, ...]] = set()
        for left_out in (_TEXTS.keys() - self._taken, _TEXTS, ()):
            form = _without(batch, left_out)
            if form.items not in tried:
                tried.add(form.items)
                yield form


def _without(batch: Batch, words: Iterable[str]) -> Batch:
    items = batch.items
    for word in words:
        items = tuple(_TEXTS[word].sub("", item) for item in items)
    return batch._replace(items=items)
