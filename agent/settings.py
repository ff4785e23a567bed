"""Settings of the agent: FIESTA_AGENT_* over a TOML file; every fault at once, each with what would be right.

TOML keys are the names in lower case. A new setting is a field below and a heading in docs/settings.md.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints
from urllib.parse import urlsplit

from agent import setting_rules as rules
from runtime.addresses import is_loopback

ENV_PREFIX: Final = "FIESTA_AGENT_"


class SettingsError(Exception):
    """The settings cannot be used. The message has one fault a line: the name, the fault, what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator decided: each field with the rule that its value must keep. The key never shows in ``repr``."""

    central_url: Annotated[str, rules.url] = "http://127.0.0.1:8080"
    api_key: Annotated[str | None, rules.text] = field(default=None, repr=False)
    api_key_file: Annotated[Path | None, rules.path] = None
    udp: Annotated[tuple[str, int], rules.address] = ("127.0.0.1", 8125)
    unix: Annotated[Path | None, rules.socket_path] = None
    tcp: Annotated[tuple[str, int] | None, rules.address] = None
    tcp_idle: Annotated[int, rules.whole(1, 86_400)] = 300
    http: Annotated[tuple[str, int], rules.address] = ("127.0.0.1", 9126)
    flush_interval: Annotated[int, rules.divides_a_minute] = 10
    spool_dir: Annotated[Path, rules.path] = Path("data/spool")
    spool_max_bytes: Annotated[int, rules.whole(1 << 20, 1 << 50)] = 1 << 30
    spool_max_files: Annotated[int, rules.whole(10, 10_000_000)] = 100_000
    max_names: Annotated[int, rules.whole(1, 10_000_000)] = 100_000
    prefix: Annotated[str, rules.prefix] = ""
    tags: Annotated[Literal["drop", "append"], rules.one_of("drop", "append")] = "drop"
    gauges: Annotated[Literal["delta", "absolute"], rules.one_of("delta", "absolute")] = "delta"
    ca_file: Annotated[Path | None, rules.path] = None
    allow_plaintext: Annotated[bool, rules.yes_or_no] = False


DEFAULTS: Final[Mapping[str, Any]] = {field.name: field.default for field in fields(Settings)}
"""Of every setting, by name."""


def load_settings(environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """The settings in ``environ`` over those in ``config``; an empty variable counts as unset.

    Raises SettingsError with all faults.
    """
    given: dict[str, Any] = {}
    named: dict[str, str] = {}
    for key, value in (_read(config) if config else {}).items():
        given[key] = value
        named[key] = f"{key} (in {config})"
    for name, text in environ.items():
        if name.startswith(ENV_PREFIX) and text:
            key = name.removeprefix(ENV_PREFIX).lower()
            given[key] = text
            named[key] = name
    settings, faults = _checked(given, named)
    faults = sorted(faults) or _together(settings)
    if faults:
        raise SettingsError("\n".join(faults))
    return settings


def _checked(given: Mapping[str, Any], named: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """What keeps its rule, and the faults of the rest, each of which starts with how ``named`` calls it."""
    known = _rules()
    good: dict[str, Any] = {}
    faults = []
    for key, value in given.items():
        if key not in known:
            faults.append(_unknown(key, named[key], sorted(known)))
            continue
        try:
            good[key] = known[key](value)
        except ValueError as error:
            faults.append(f"{named[key]} {error}")
    return Settings(**good), faults


def _rules() -> dict[str, Callable[[Any], Any]]:
    hints = get_type_hints(Settings, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def _unknown(key: str, name: str, known: list[str]) -> str:
    near = get_close_matches(key.lower(), known, n=1)
    # As the user would write it: in the environment's way or the file's.
    environment = name.startswith(ENV_PREFIX)
    written = ENV_PREFIX + near[0].upper() if near and environment else "".join(near)
    others = "docs/settings.md lists them all; unset it" if environment else f"there are {', '.join(known)}"
    return f"{name} is not a setting; " + (f"did you mean {written}?" if near else others)


def _together(settings: Settings) -> list[str]:
    """Faults of settings that are right alone and wrong together."""
    url, parts = settings.central_url, urlsplit(settings.central_url)
    faults = []
    if settings.api_key is not None and settings.api_key_file is not None:
        faults.append(f"{ENV_PREFIX}API_KEY and {ENV_PREFIX}API_KEY_FILE are both set; leave one of them out")
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not settings.allow_plaintext:
        faults.append(
            f"{ENV_PREFIX}CENTRAL_URL is {url}, and the key would travel in the clear; use https://, "
            f"or set {ENV_PREFIX}ALLOW_PLAINTEXT=true where the network is trusted"
        )
    if settings.ca_file is not None and parts.scheme == "http":
        faults.append(f"{ENV_PREFIX}CA_FILE is set, but {ENV_PREFIX}CENTRAL_URL is plain http; use https:// or drop it")
    return faults


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text("utf-8-sig"))  # some editors begin a file with a mark
    except OSError as error:
        raise SettingsError(f"the settings file {config} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"the settings file {config} is not TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"the settings file {config} is no file of settings: its values lie too deep") from None
