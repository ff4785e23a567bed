"""central/web/gate.py: a request that the gate refuses is answered at the pace of all refusals."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from central.access.auth import Key, new_key
from central.access.limit import LocalLimiter
from central.access.refusals import BURST, Refusals
from central.access.uses import KeyUses
from central.errors import ApiError
from central.ingest.answers import Answer
from central.web.gate import Gate
from tests.central.access.auth_help import Scene, with_bad_secret
from tests.central.harness import Clock

COUNT = BURST + 100


class Gated:
    """A gate before an endpoint that answers 200. ``paced`` counts the refusals that had to wait."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.scene.store.keeps_fast_hashes = True
        self.paced = 0
        clock = Clock(1_000.0)
        refusals = Refusals(clock, self._sleep)
        self._handle = Gate(self.scene.auth, LocalLimiter(), KeyUses(self._note), refusals, clock)(
            "query", self._answer
        )

    async def ask(self, key: str | None) -> int:
        """The status for a key."""
        request = make_mocked_request("GET", "/", headers={} if key is None else {"X-API-Key": key})
        try:
            return (await self._handle(request)).status
        except ApiError as error:
            return error.status

    async def _sleep(self, _: float) -> None:
        self.paced += 1

    async def _note(self, _: Any) -> None:
        pass

    async def _answer(self, _: web.Request, __: Key) -> Answer:
        return Answer(200, b"{}", {})


@pytest.fixture
async def gated() -> AsyncIterator[Gated]:
    made = Gated()
    yield made
    made.scene.auth.close()


async def test_good_requests_have_no_pace(gated: Gated) -> None:
    key = await gated.scene.key(rate_limit=10 * COUNT)
    assert {await gated.ask(key) for _ in range(COUNT)} == {200}
    assert gated.paced == 0


@pytest.mark.parametrize("kind", ["no key", "no key of ours", "an unknown key", "a wrong secret"])
async def test_what_has_no_good_key_is_refused_at_a_pace(gated: Gated, kind: str) -> None:
    good = await gated.scene.key()
    keys = {
        "no key": None,
        "no key of ours": "k",
        "an unknown key": new_key().text,
        "a wrong secret": with_bad_secret(good),
    }
    assert {await gated.ask(keys[kind]) for _ in range(COUNT)} == {401}
    assert gated.paced == pytest.approx(COUNT - BURST, abs=1)


async def test_what_is_beyond_its_limit_is_refused_at_a_pace(gated: Gated) -> None:
    key = await gated.scene.key(rate_limit=5)
    answers = [await gated.ask(key) for _ in range(5 + COUNT)]
    assert answers == [200] * 5 + [429] * COUNT
    assert gated.paced == pytest.approx(COUNT - BURST, abs=1)
