"""Metric names: what central accepts and how the agent cleans what applications send (PRD 4.3.1)."""

import re
from typing import Final

from protocol.limits import MAX_NAME_LENGTH

_NAME: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_NAME_LENGTH}}}").fullmatch
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9._-]")

NAME_RULE: Final = f"must be 1 to {MAX_NAME_LENGTH} characters of A-Z, a-z, 0-9, '.', '_' and '-'"


def is_name(text: str) -> bool:
    """Whether central accepts ``text`` as the name of a metric; case matters."""
    return _NAME(text) is not None


def clean_name(text: str) -> str:
    """The name with ``/`` replaced by ``-`` and any other foreign character by ``_``. Its length does not change."""
    return _FOREIGN.sub("_", text.replace("/", "-"))
