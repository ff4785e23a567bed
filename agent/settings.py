"""Settings of the agent: FIESTA_AGENT_* over a TOML file; every fault at once, each with what would be right.

TOML keys are the names in lower case. A new setting is a field below and a heading in docs/settings.md.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationError, model_validator

from agent import setting_rules as rules

ENV_PREFIX: Final = "FIESTA_AGENT_"


class SettingsError(Exception):
    """The settings cannot be used. The message has one fault a line: the name, the fault, what would be right."""


class Settings(BaseModel):
    """What an operator decided. The key never shows in ``repr``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    central_url: Annotated[str, BeforeValidator(rules.url)] = "http://127.0.0.1:8080"
    api_key: SecretStr | None = None
    api_key_file: Annotated[Path | None, BeforeValidator(rules.path)] = None
    udp: Annotated[tuple[str, int], BeforeValidator(rules.address)] = ("127.0.0.1", 8125)
    unix: Annotated[Path | None, BeforeValidator(rules.socket_path)] = None
    tcp: Annotated[tuple[str, int] | None, BeforeValidator(rules.address)] = None
    tcp_idle: Annotated[int, BeforeValidator(rules.whole(1, 86_400))] = 300
    http: Annotated[tuple[str, int], BeforeValidator(rules.address)] = ("127.0.0.1", 9126)
    flush_interval: Annotated[int, BeforeValidator(rules.divides_a_minute)] = 10
    spool_dir: Annotated[Path, BeforeValidator(rules.path)] = Path("data/spool")
    spool_max_bytes: Annotated[int, BeforeValidator(rules.whole(1 << 20, 1 << 50))] = 1 << 30
    spool_max_files: Annotated[int, BeforeValidator(rules.whole(10, 10_000_000))] = 100_000
    max_names: Annotated[int, BeforeValidator(rules.whole(1, 10_000_000))] = 100_000
    prefix: Annotated[str, BeforeValidator(rules.prefix)] = ""
    tags: Annotated[Literal["drop", "append"], BeforeValidator(rules.one_of("drop", "append"))] = "drop"
    gauges: Annotated[Literal["delta", "absolute"], BeforeValidator(rules.one_of("delta", "absolute"))] = "delta"
    ca_file: Annotated[Path | None, BeforeValidator(rules.path)] = None
    allow_plaintext: Annotated[bool, BeforeValidator(rules.yes_or_no)] = False

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Faults of settings that are right alone and wrong together."""
        parts = urlsplit(self.central_url)
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("API_KEY and API_KEY_FILE are both set; leave one of them out")
        if parts.scheme == "http" and not rules.is_loopback(parts.hostname or "") and not self.allow_plaintext:
            raise ValueError(
                f"CENTRAL_URL is {self.central_url}, and the key would travel in the clear; use https://, or set "
                "ALLOW_PLAINTEXT=true where the network is trusted"
            )
        if self.ca_file is not None and parts.scheme == "http":
            raise ValueError("CA_FILE is set, but CENTRAL_URL is plain http; use https:// or leave CA_FILE out")
        return self


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
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        faults = [_fault(dict(detail), named) for detail in error.errors(include_url=False, include_input=False)]
        raise SettingsError("\n".join(sorted(faults))) from None


def _fault(detail: dict[str, Any], named: Mapping[str, str]) -> str:
    if not detail["loc"]:
        return str(detail["ctx"]["error"])
    key = str(detail["loc"][0])
    name = named.get(key, key)
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(key, Settings.model_fields, n=1)
        known = ", ".join(sorted(Settings.model_fields))
        # As the user would write it: in the environment's way or the file's.
        written = ENV_PREFIX + near[0].upper() if near and name.startswith(ENV_PREFIX) else "".join(near)
        return f"{name} is not a setting; " + (f"did you mean {written}?" if near else f"there are {known}")
    if detail["type"] == "value_error":
        return f"{name} {detail['ctx']['error']}"
    return f"{name} must be text"


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {config} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"the settings file {config} is not TOML: {error}") from None
