"""SIGHUP: what can change changes, the log names what cannot, and a bad file changes nothing."""

import signal
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import MaybeCore
from agent.ledger import Ledger
from agent.reload import CHANGEABLE, changed, difference, in_words
from agent.settings import Settings, load_settings
from protocol.statsd import KEEP
from protocol.statsd_tags import TagRules
from runtime.systemd import Notifier
from tests.agent.cores import each_core
from tests.agent.fakes import KEY, RealCentral
from tests.agent.process import AgentProcess, an_agent

OLD = Settings()
OTHER_KEY = "gf_abcdefghijkl_9876543210987654321098765432109876543210987"


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ({}, "nothing has changed"),
        ({"prefix": "web", "tags": "drop"}, "changed: prefix, tags"),
        ({"api_key": "secret"}, "changed: api_key"),
        ({"tcp": ("127.0.0.1", 1)}, "nothing has changed; after a restart only: tcp"),
        (
            {"prefix": "web", "max_names": 5, "unix": Path("a"), "tcp_idle": 5, "flush_interval": 5},
            "changed: max_names, prefix; after a restart only: unix, tcp_idle, flush_interval",
        ),
    ],
)
def test_the_difference_names_settings_and_no_values(new: dict[str, Any], text: str) -> None:
    assert in_words(difference(OLD, replace(OLD, **new)), other_key=False) == text


def test_a_key_that_was_replaced_in_its_file_is_told() -> None:
    assert in_words(difference(OLD, OLD), other_key=True) == "changed: the key in the file"
    one = replace(OLD, api_key="a")
    assert in_words(difference(OLD, one), other_key=True) == "changed: api_key"


def test_what_cannot_change_stays_until_the_restart() -> None:
    new = load_settings({"FIESTA_AGENT_PREFIX": "web", "FIESTA_AGENT_MAX_NAMES": "5", "FIESTA_AGENT_SPOOL_DIR": "x"})
    held = changed(OLD, new)
    assert (held.prefix, held.max_names, held.spool_dir) == ("web.", 5, OLD.spool_dir)
    assert difference(held, new) == ((), ("spool_dir",))
    assert {each.name for each in fields(Settings)} >= CHANGEABLE


@each_core
def test_lines_get_the_names_that_held_when_they_came(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(prefix="old."), ledger, core)
    aggregator.feed(b"a:1|c\na:2|ms|#env:prod\nd:5|g")
    aggregator.name_by("new.", TagRules("append"))
    aggregator.feed(b"a:1|c\na:2|ms|#env:prod\nd:+1|g")
    aggregator.name_by("", KEEP)
    aggregator.feed(b"a:1|c")
    found = {(entry.item.name, entry.item.tags or "") for entry in aggregator.close(0).items}
    assert found == {
        *(("old.a", ""), ("old.a", "env:prod"), ("old.d", "")),
        *(("new.a", ""), ("new.a.env.prod", ""), ("new.d", ""), ("a", "")),
    }
    assert (ledger.received, ledger.in_window, ledger.dropped.total()) == (7, 0, 0)


@each_core
def test_a_window_has_room_for_as_many_names_as_held_when_they_came(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(max_names=1), ledger, core)
    aggregator.feed(b"a:1|c\nb:1|c\nc:1|c")
    aggregator.bound(3)
    aggregator.feed(b"d:1|g\ne:1|s\nf:1|c\na:1|c|#t:3")
    aggregator.settle()
    assert (aggregator.live_names(), ledger.dropped["names_over_cap"]) == (3, 3)
    aggregator.bound(1)
    aggregator.feed(b"a:1|c\nx:1|c")
    aggregator.settle()
    assert (aggregator.live_names(), ledger.dropped["names_over_cap"]) == (3, 4)
    assert len(list(aggregator.close(0).items)) == 4
    aggregator.feed(b"b:1|c\nc:1|c")
    aggregator.settle()
    assert (aggregator.live_names(), ledger.dropped["names_over_cap"]) == (1, 5)


def test_systemd_hears_that_a_reload_began_and_ended() -> None:
    said: list[bytes] = []
    notify = Notifier({"NOTIFY_SOCKET": "/x"}, 1, lambda _, message: said.append(message))
    notify.reloading()
    notify.ready()
    first, *rest = said[0].decode().splitlines()
    assert first == "RELOADING=1"
    assert rest[0].startswith("MONOTONIC_USEC=")
    assert said[1] == b"READY=1"


async def reloaded(agent: AgentProcess, event: str) -> str:
    """What the log says about a reload."""
    agent.process.send_signal(signal.SIGHUP)
    await agent.until(event)
    return str([entry for entry in agent.log if entry["event"] == event][-1]["message"])


async def test_a_running_agent_takes_a_new_prefix_and_a_new_key(tmp_path: Path) -> None:
    config, key = tmp_path / "agent.toml", tmp_path / "key"
    config.write_text('prefix = "old"\n')
    key.write_text(KEY)
    async with (
        RealCentral().serving() as central,
        an_agent(tmp_path / "spool", central, config=config, API_KEY="", API_KEY_FILE=str(key)) as agent,
    ):
        agent.send(["a:1|c"])
        await central.until(lambda: central.total("old.a") == 1)
        config.write_text('prefix = "new"\nmax_names = 2\nspool_max_files = 11\ntcp_idle = 9\n')
        message = await reloaded(agent, "reloaded")
        assert message == "changed: spool_max_files, max_names, prefix; after a restart only: tcp_idle"
        agent.send(["a:1|c"])
        await central.until(lambda: central.total("new.a") == 1)
        agent.send(["a:1|c\nb:1|c\nc:1|c"])
        await central.until(lambda: central.total("new.b") == 1)
        assert (await agent.status())["dropped"] == {"names_over_cap": 1}

        for text, fault in (
            ('prefix = "a b"\n', "prefix (in "),
            ("prefix = \n", "is not TOML"),
            ("max_names = 0\n", "max_names (in "),
            ('colour = "red"\n', "is not a setting"),
        ):
            config.write_text(text)
            agent.log.clear()
            message = await reloaded(agent, "reload_failed")
            assert message.startswith("nothing has changed: ")
            assert fault in message
        key.write_text("two words")
        config.write_text('prefix = "third"\n')
        agent.log.clear()
        assert "must hold one key" in await reloaded(agent, "reload_failed")
        agent.send(["b:1|c"])
        await central.until(lambda: central.total("new.b") == 1)
        assert (await agent.status())["dropped"] == {"names_over_cap": 1}


async def test_another_key_goes_with_the_next_batch(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(f'api_key = "{OTHER_KEY}"\n')
    async with (
        RealCentral().serving() as central,
        an_agent(tmp_path / "spool", central, config=config, API_KEY="") as agent,
    ):
        agent.send(["a:1|c"])
        await agent.until("hold")
        config.write_text(f'api_key = "{KEY}"\n')
        assert await reloaded(agent, "reloaded") == "changed: api_key"
        assert KEY not in str(agent.log)


async def test_the_level_of_the_log_changes_at_once(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text("")
    async with RealCentral().serving() as central, an_agent(tmp_path / "spool", central, config=config) as agent:
        config.write_text('log_level = "loud"\n')
        assert "must be info or warning" in await reloaded(agent, "reload_failed")
        config.write_text('log_level = "warning"\n')
        assert await reloaded(agent, "reloaded") == "changed: log_level"
        assert await agent.end(signal.SIGTERM) == 0
        assert agent.log[-1]["event"] == "reloaded"
