"""How many examples a property test tries: each says how many in the whole suite, and ``make check`` tries half."""

from typing import Final

from hypothesis import HealthCheck, settings

USUAL: Final = 100
"""Examples of a test that says nothing, in the whole suite."""


def load_profile(*, quick: bool) -> None:
    """Before test modules are imported. How long an example takes depends on what else the machine does."""
    number = USUAL // 2 if quick else USUAL
    settings.register_profile(
        "any machine", max_examples=number, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("any machine")


def examples(number: int) -> int:
    """What a test tries now that tries ``number`` examples in the whole suite."""
    return max(1, number * settings().max_examples // USUAL)
