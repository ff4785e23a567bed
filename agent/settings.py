"""Settings of the agent: FIESTA_AGENT_* variables, and a TOML file whose keys are the fields. The variables win.

runtime.settings says how to add a setting.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from agent import setting_rules as own
from protocol.statsd_tags import Pair, TagMode, TagRules
from runtime import setting_rules as rules
from runtime.addresses import is_loopback, is_same_socket
from runtime.settings import Naming, load

NAMING: Final = Naming("FIESTA_AGENT_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The operator's settings. ``repr`` does not show the key."""

    central_url: Annotated[str, own.url, "The address of the service."] = "http://127.0.0.1:8080"
    api_key: Annotated[str | None, rules.text, "The key, with scope `ingest`."] = field(default=None, repr=False)
    api_key_file: Annotated[Path | None, rules.path, "A file that holds the key."] = None
    udp: Annotated[
        tuple[str, int],
        rules.address("127.0.0.1:8125"),
        "The address where the agent receives StatsD lines over UDP, `host:port`.",
    ] = ("127.0.0.1", 8125)
    unix: Annotated[
        Path | None,
        own.socket_path,
        "The path of a unix datagram socket where the agent also receives lines.",
    ] = None
    unix_stream: Annotated[
        Path | None,
        own.socket_path,
        "The path of a unix stream socket where the agent also receives lines, and DogStatsD's frames.",
    ] = None
    tcp: Annotated[
        tuple[str, int] | None,
        rules.address("127.0.0.1:8125"),
        "The address where the agent also receives lines over TCP, `host:port`.",
    ] = None
    tcp_idle: Annotated[
        int,
        rules.whole(1, 86_400),
        "The agent closes a TCP connection that sends nothing for this many seconds.",
    ] = 300
    http: Annotated[
        tuple[str, int],
        rules.address("127.0.0.1:9126"),
        "The address of the agent's `/metrics`, `/health` and `/status`.",
    ] = ("127.0.0.1", 9126)
    mirror: Annotated[
        tuple[str, int] | None,
        own.mirror,
        "Where the agent hands every datagram on, byte for byte, such as `udp://127.0.0.1:8126`.",
    ] = None
    threads: Annotated[
        int,
        rules.whole(1, 64),
        "How many threads read and count UDP, each from a socket of its own. More than 1 needs the compiled core.",
    ] = 1
    flush_interval: Annotated[int, own.divides_minute, "The length of a window in seconds."] = 10
    spool_dir: Annotated[Path, rules.path, "The folder of batches that are not sent yet."] = Path("data/spool")
    spool_max_bytes: Annotated[int, rules.whole(1 << 20, 1 << 50), "The most bytes that the spool may hold."] = 1 << 30
    spool_max_files: Annotated[int, rules.whole(10, 10_000_000), "The most files that the spool may hold."] = 100_000
    max_names: Annotated[
        int, rules.whole(1, 10_000_000), "The most names in a window, and the most series with tags beside them."
    ] = 100_000
    prefix: Annotated[
        str,
        own.prefix,
        "The agent puts this before every name, with a dot between, such as the name of the host or team.",
    ] = ""
    tags: Annotated[
        TagMode,
        rules.one_of("keep", "drop", "append"),
        "What the agent does with tags: `keep` them, `drop` them, or `append` them to the name.",
    ] = "keep"
    host_tags: Annotated[
        tuple[Pair, ...],
        own.host_tags,
        "Tags that the agent adds to everything, such as `env:prod,host:web-1`. If a line has the same key, the line's "
        "value counts.",
    ] = ()
    gauges: Annotated[
        str,
        own.gauge_signs,
        "What `g:+1|g` means: a `delta` from the last value (StatsD), or an `absolute` value (DogStatsD).",
    ] = "delta"
    ca_file: Annotated[
        Path | None, rules.path, "A PEM file of the authority that signed the service's certificate."
    ] = None
    allow_plaintext: Annotated[
        bool, rules.yes_or_no, "`true`: the agent sends the key over plain HTTP to another host."
    ] = False
    log_level: Annotated[
        str, rules.one_of("info", "warning"), "What the log has: `info` is everything, `warning` only what needs you."
    ] = "info"

    @property
    def tag_rules(self) -> TagRules:
        """What becomes of tags."""
        return TagRules(self.tags, self.host_tags)


def load_settings(environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """The settings in ``environ`` and ``config``; those in ``environ`` win. Raises SettingsError with all faults."""
    return load(Settings, NAMING, environ, config=config, check=_together)


def _together(settings: Settings) -> Iterator[str]:
    """Faults of settings that are good alone and wrong together."""
    url, parsed = settings.central_url, urlsplit(settings.central_url)
    if settings.api_key is not None and settings.api_key_file is not None:
        yield "FIESTA_AGENT_API_KEY and FIESTA_AGENT_API_KEY_FILE are both set; leave one of them out"
    if parsed.scheme == "http" and not is_loopback(parsed.hostname or "") and not settings.allow_plaintext:
        yield (
            f"FIESTA_AGENT_CENTRAL_URL is {url}, and the key would travel in the clear; use https://, "
            "or set FIESTA_AGENT_ALLOW_PLAINTEXT=true where the network is trusted"
        )
    if settings.ca_file is not None and parsed.scheme == "http":
        yield "FIESTA_AGENT_CA_FILE is set, but FIESTA_AGENT_CENTRAL_URL is plain http; use https:// or drop it"
    if settings.mirror is not None and is_same_socket(settings.mirror, settings.udp):
        yield "FIESTA_AGENT_MIRROR is the agent's own address FIESTA_AGENT_UDP; name the other daemon's, or drop it"
