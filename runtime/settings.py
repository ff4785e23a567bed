"""Settings from the environment and from a TOML file: each field has its own rule, and one message names all faults.

A program's settings are a frozen dataclass. A new setting is one line in it and a section in docs/settings.md:

    tcp_idle: Annotated[int, rules.whole(1, 86_400), "The agent closes a connection that is silent so long."] = 300

The first item after the type is the rule: see runtime.setting_rules. The second is the first sentence of the section; a
test compares them. Naming derives the name in the environment from the field's name. A field that is left out of
``repr`` (``field(default=None, repr=False)``) is a secret. A rule for two settings together goes into the program's own
check.
"""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeVar, get_type_hints

from runtime.setting_rules import Rule, secret_in

WHERE_ALL_ARE: Final = "docs/settings.md lists them all; unset it"


class SettingsError(Exception):
    """The settings cannot be used. The message has one fault per line: the name, the fault, what would be right."""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


S = TypeVar("S", bound=_Dataclass)


@dataclass(frozen=True, slots=True)
class Naming:
    """The names of a program's settings in the environment."""

    prefix: str
    """Comes before the field's name in upper case. A variable with the prefix that is not a setting is a fault."""
    without_prefix: tuple[str, ...] = ()
    """Fields that begin with one of these have no prefix, because other programs read the same variables."""
    of_others: frozenset[str] = frozenset()
    """Variables with the prefix that other programs read."""
    secret_files: bool = False
    """Whether NAME_FILE may name a file with the secret NAME."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as its field declares it."""

    field: str
    variable: str
    file_variable: str | None
    """The variable that names the file of this secret, or None."""
    rule: Rule
    about: str
    """The first sentence of its section in docs/settings.md."""
    default: Any
    secret: bool

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that sets it."""
        return (self.variable,) if self.file_variable is None else (self.variable, self.file_variable)


class _Given(NamedTuple):
    name: str
    """The value as text, as it was given."""
    value: Any


def settings_of(kind: type[_Dataclass], naming: Naming) -> dict[str, Setting]:
    """Each setting of a dataclass, by its field."""
    hints = get_type_hints(kind, include_extras=True)
    settings = {}
    for field in fields(kind):
        rule, about = hints[field.name].__metadata__
        variable = field.name.upper()
        if not field.name.startswith(naming.without_prefix):
            variable = naming.prefix + variable
        secret = not field.repr
        file = f"{variable}_FILE" if secret and naming.secret_files else None
        settings[field.name] = Setting(field.name, variable, file, rule, about, field.default, secret)
    return settings


def load(
    kind: type[S],
    naming: Naming,
    environ: Mapping[str, str],
    *,
    config: Path | None = None,
    check: Callable[[S], Iterable[str]],
) -> S:
    """The settings in ``environ`` and in the TOML file ``config``; those in ``environ`` win. Empty means unset.

    ``check`` returns the faults of settings that are good alone and wrong together. It is called when each is good
    alone. Reads ``config`` and the files of secrets. Raises SettingsError with all faults.
    """
    settings = settings_of(kind, naming)
    faults: list[str] = []
    given = _from_file(settings, config, faults) if config else {}
    given |= _from_environment(settings, naming, environ, faults)
    values = {}
    for field, (name, value) in given.items():
        try:
            values[field] = settings[field].rule(value)
        except ValueError as error:
            faults.append(f"{name} {error}")
    if not faults:
        made = kind(**values)
        faults += check(made)
        if not faults:
            return made
    raise SettingsError("\n".join(sorted(faults)))


def _from_environment(
    settings: Mapping[str, Setting], naming: Naming, environ: Mapping[str, str], faults: list[str]
) -> dict[str, _Given]:
    """The values in the environment, by field. Adds a fault for each variable that cannot be used."""
    given = {}
    for setting in settings.values():
        name, file = setting.variable, setting.file_variable
        if environ.get(name):
            given[setting.field] = _Given(name, environ[name])
        if file is None or not environ.get(file):
            continue
        if environ.get(name):
            faults.append(f"{name} and {file} are both set; leave one of them out")
            continue
        try:
            secret = secret_in(environ[file])
        except ValueError as error:
            faults.append(f"{file} {error}")
        else:
            if secret is not None:
                given[setting.field] = _Given(file, secret)
    faults += _unknown(settings, naming, environ)
    return given


def _unknown(settings: Mapping[str, Setting], naming: Naming, environ: Mapping[str, str]) -> Iterator[str]:
    known = {name for setting in settings.values() for name in setting.variables} | naming.of_others
    # Compare without the prefix that all share, or every name would look similar.
    rests = [name.removeprefix(naming.prefix) for name in known - naming.of_others if name.startswith(naming.prefix)]
    for name, text in environ.items():
        if text and name.startswith(naming.prefix) and name not in known:
            near = get_close_matches(name.removeprefix(naming.prefix).upper(), sorted(rests), n=1)
            advice = f"did you mean {naming.prefix}{near[0]}?" if near else WHERE_ALL_ARE
            yield f"{name} is not a setting; {advice}"


def _from_file(settings: Mapping[str, Setting], config: Path, faults: list[str]) -> dict[str, _Given]:
    """The values in the file, by field. Adds a fault for each key that is not a setting. Raises SettingsError."""
    given = {}
    for key, value in _read_toml(config).items():
        name = f"{key} (in {config})"
        if key in settings:
            given[key] = _Given(name, value)
            continue
        near = get_close_matches(key.lower(), settings, n=1)
        advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(settings))}"
        faults.append(f"{name} is not a setting; {advice}")
    return given


def _read_toml(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text("utf-8-sig"))  # some editors begin a file with a mark
    except OSError as error:
        raise SettingsError(f"the settings file {config} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"the settings file {config} is not TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"the settings file {config} is no file of settings: its values lie too deep") from None
