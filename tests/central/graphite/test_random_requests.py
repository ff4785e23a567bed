"""Random requests to draw, over HTTP and on both stores: 200 or 400, within a bounded memory."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.central.graphite.test_random_targets import NUMBERS, TEXTS, calls
from tests.central.graphite.test_render import ITEMS
from tests.central.harness import Central, Process, process
from tests.examples import examples

MOST_BYTES = 1_000_000_000
"""What docs/graphite.md says that a process may take while it draws."""
PATHS = st.sampled_from(
    ["shop.*", "shop.*.*", "shop.orders.eu", "none.*", "shop.checkout_ms.p95", "seriesByTag('env=prod')", "*.*.p50"]
)
NESTED = st.recursive(PATHS, calls, max_leaves=8)
DEEP = st.builds(
    lambda name, depth, inner: f"{name}({inner}" * depth + ")" * depth,
    st.sampled_from(["sumSeries", "scale", "movingAverage", "timeShift", "alias", "group"]),
    st.integers(1, 200),
    PATHS,
)
HEAVY = st.builds(
    lambda call, path: call.format(path),
    st.sampled_from(
        [
            "timeStack({},'1d',0,100)",
            "hitcount({},'1s')",
            "movingMedian({},10000)",
            "stdev({},9999)",
            "group(" + ",".join(["{0}"] * 500) + ")",
            "summarize({},'1s')",
            "timeShift({},'30y')",
            "exponentialMovingAverage({},1000)",
            "linearRegression({},'19700101','99991231')",
            "aliasSub({},'(.*)','" + "\\1" * 500 + "')",
            "alias({},'" + "n" * 16_000 + "')",
            "applyByNode({},1,'group(" + ",".join(["%.*"] * 300) + ")')",
            "applyByNode({},9,'" + "%" * 2_000 + "')",
            "applyByNode({0},1,'applyByNode(%.*,1,\"applyByNode(%.*,1,%)\")')",
            "useSeriesAbove(alias({0},'applyByNode({0},1,\"%\")'),-1e9,'x','y')",
            "aliasQuery({},'.*','holtWintersForecast(\\0,\"30d\")','%99.99f')",
            "holtWintersConfidenceBands({},3,'10y')",
            "reduceSeries({},'group',1,'orders')",
        ]
    ),
    PATHS,
)
REQUESTS = st.fixed_dictionaries(
    {
        "target": st.lists(st.one_of(NESTED, NESTED, DEEP, HEAVY, NUMBERS, TEXTS), min_size=1, max_size=3),
        "from": st.sampled_from(["-1min", "-1h", "-4d", "-90d", "-10y", "19700101", "tomorrow"]),
        "until": st.sampled_from(["now", "99991231", "tomorrow", "-1s"]),
        "maxDataPoints": st.sampled_from(["1", "2", "100", "11000", "999999999"]),
        "format": st.sampled_from(["json", "json", "csv", "raw"]),
    }
)


@pytest.fixture
async def served(environ: Mapping[str, str], tmp_path: Path) -> AsyncIterator[tuple[Process, Central]]:
    """A process on each kind of store, with some points."""
    async with process(tmp_path, **environ) as (made, central):
        assert (await central.batch(*ITEMS)).status == 201
        yield made, central


@settings(max_examples=examples(120), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(REQUESTS)
async def test_a_random_request_is_drawn_or_refused(served: tuple[Process, Central], asked: dict[str, str]) -> None:
    running, central = served
    reply = await central.ask("POST", "/graphite/render", data=asked)
    assert reply.status in {200, 400}, reply.text
    assert reply.status == 200 or reply.message
    assert running.memory_peak() < MOST_BYTES
