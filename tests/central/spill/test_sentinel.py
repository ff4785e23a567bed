"""The spill on a Redis that fails over, also by TLS: what it acknowledged is on the server that takes over."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from central.redis_link import RedisDown, RedisLink
from central.spill.record import decode
from central.spill.spill import Spill, SpillInDoubt, SpillRefused
from central.tls_client import ClientTls
from tests.central.harness import Central, running
from tests.central.spill.test_spill import group
from tests.patience import PATIENCE, a_moment
from tests.redis_tier import Tier, redis_tier

WRITERS = 4


@pytest.fixture
async def tier(tmp_path: Path, tls: ClientTls | None) -> AsyncIterator[Tier]:
    async with redis_tier(tmp_path, tls=tls) as made:
        yield made


@asynccontextmanager
async def spilling(tier: Tier, replicas: int | None = None, seconds: float = 1) -> AsyncIterator[Spill]:
    made = Spill(RedisLink(tier.address, seconds=seconds), max_bytes=1 << 30, replicas=replicas)
    yield made
    await made.close()


async def write(spill: Spill, kept: set[bytes], over: asyncio.Event) -> None:
    """Put groups until it is over; those that were acknowledged are kept."""
    while not over.is_set():
        made = group()
        try:
            await spill.put(made)
            kept.add(made.id)
        except (SpillRefused, SpillInDoubt):
            await asyncio.sleep(0)


async def test_a_fail_over_to_a_replica_that_lagged_loses_nothing(tier: Tier) -> None:
    kept: set[bytes] = set()
    over = asyncio.Event()
    async with spilling(tier) as spill:
        writing = [asyncio.create_task(write(spill, kept, over)) for _ in range(WRITERS)]
        while len(kept) < 100:
            await tier.primary.client.ping()
        tier.replica.pause()
        taken = spill.counts.in_doubt
        async with asyncio.timeout(PATIENCE):
            # The primary goes on, and the replica gets nothing. The first group in doubt may close the spill.
            while spill.counts.in_doubt == taken:
                await a_moment()
        await tier.primary.kill()
        tier.replica.go_on()
        await tier.until_primary(tier.replica)
        over.set()
        await asyncio.gather(*writing)
        with pytest.raises(SpillRefused, match="an entry must be on 1"):  # nobody follows the new primary
            await until_known(spill)
        found: set[bytes] = set()
        after = b""
        while entries := await spill.read(after):
            after = entries[-1].id
            found |= {decode(entry.content).id for entry in entries}
        assert kept - found == set()
        await tier.primary.start()
        await tier.follow(tier.primary, tier.replica)
        await until_taken(spill)


async def until_taken(spill: Spill) -> None:
    """Put groups until one is taken: the spill may be closed for a moment after the replica is back."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await spill.put(group())
                return
            except (SpillInDoubt, SpillRefused):
                await asyncio.sleep(0)


async def until_known(spill: Spill) -> None:
    """Put groups until the link has found the new primary, which says why it takes none."""
    while True:
        try:
            await spill.put(group())
        except SpillInDoubt:
            continue
        except SpillRefused as error:
            if "an entry must be" in str(error):
                raise
        await asyncio.sleep(0)


async def test_0_replicas_are_enough_if_somebody_says_so(tier: Tier) -> None:
    await tier.replica.kill()
    async with spilling(tier, replicas=0, seconds=20) as spill:
        await spill.put(group())
    async with spilling(tier, replicas=2, seconds=20) as spill:
        with pytest.raises(SpillRefused, match="an entry must be on 2"):
            await spill.put(group())


async def test_a_paused_replica_closes_the_spill_until_it_confirms_a_write(tier: Tier) -> None:
    """The primary counts such a replica as well for some seconds more."""
    async with spilling(tier) as spill:
        await until_taken(spill)
        tier.replica.pause()
        with pytest.raises((SpillInDoubt, SpillRefused)):
            await spill.put(group())
        for _ in range(2):
            await spill.refresh()
            assert spill.fault is not None
        tier.replica.go_on()
        async with asyncio.timeout(PATIENCE):
            while spill.fault is not None:
                await spill.refresh()
                await a_moment()
        await until_taken(spill)


async def until_redis_is_ok(central: Central) -> None:
    """Return once ``/ready`` says so. The rate limits wait for Redis for 50 ms only."""
    async with asyncio.timeout(PATIENCE):
        while (await central.ask("GET", "/ready")).json["dependencies"]["redis"] != "ok":
            await a_moment()


async def test_a_service_finds_its_redis_by_the_sentinels(tier: Tier, tmp_path: Path) -> None:
    async with running(tmp_path / "data", tier.environ) as central:
        assert (await central.counter("a")).status == 201
        await until_redis_is_ok(central)
        await tier.fail_over()
        await tier.follow(tier.primary, tier.replica)
        await until_redis_is_ok(central)
        async with asyncio.timeout(PATIENCE):
            while await central.meter("fiesta_spill_closed"):  # its next check finds that the new primary is durable
                await a_moment()


async def test_a_sentinel_that_is_gone_or_hangs_costs_one_call(tier: Tier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hangs:  # it accepts nobody
        away = (("127.0.0.1", 1), hangs.getsockname())
        link = RedisLink(replace(tier.address, sentinels=(*away, *tier.address.sentinels)), seconds=1)
        with pytest.raises(RedisDown, match="no answer within 1 s"):
            await link.run(lambda client: client.ping())
        assert await link.run(lambda client: client.ping(), seconds=20)
        await link.close()
