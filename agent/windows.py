"""Windows of the wall clock: where one starts, and how long it stays open."""


def window_start(now: float, interval: int) -> int:
    """The start, in whole seconds, of the window that ``now`` is in: a multiple of ``interval``."""
    return int(now // interval) * interval


def seconds_left(start: int, interval: int, now: float) -> float:
    """Until the window that was opened at ``start`` closes; 0 when it is over.

    A clock set back to before the window's start ends it too: what follows belongs to another window.
    A clock set back within it makes it longer, so that no window is opened twice.
    """
    return max(0.0, start + interval - now) if now >= start else 0.0
