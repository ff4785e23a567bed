"""What has grown in the open window and the one before."""

from agent.telemetry.snapshot import RecentGrowth


def test_growth_covers_the_open_window_and_the_one_before() -> None:
    growth = RecentGrowth()
    assert growth.grown({"a": 3, "b": 0}) == {"a": 3}
    growth.turn({"a": 3})
    assert growth.grown({"a": 3}) == {"a": 3}
    growth.turn({"a": 3})
    assert growth.grown({"a": 3}) == {}
    assert growth.grown({"a": 5, "b": 1}) == {"a": 2, "b": 1}
    growth.turn({"a": 5})
    growth.turn({"a": 5})
    assert growth.grown({"a": 5}) == {}
