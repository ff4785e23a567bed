"""The agent and three other StatsD daemons, each a process with private folders and ports of loopback that are free."""

import csv
import json
import os
import pwd
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from loadtest.servers import Server, free_port, free_udp_port

NODE: Final = Path(__file__).parent / "node"
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Daemon(Protocol):
    """A daemon that runs. ``counted`` is how much it says it has counted since its start, as far as it has flushed."""

    name: str
    port: int
    pid: int

    def counted(self) -> float: ...


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, also those that ended, from the kernel's clock of it."""
    return time.clock_gettime((~pid << 3) | 2)  # the kernel's CPUCLOCK_SCHED of a process


def resident_bytes(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE


@contextmanager
def running(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Iterator[int]:
    """Run a process until the block ends. Gives its pid. The process writes its output to ``log``."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        yield process.pid
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {log.read_text()[-500:]}")
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Agent:
    """Ours, with every feature on, before a central service that stores what it sends."""

    name = "agent"

    def __init__(self, port: int, pid: int, url: str) -> None:
        self.port, self.pid, self._url = port, pid, url

    def counted(self) -> float:
        """Lines counted so far. Each line has one value."""
        status = _get_json(f"{self._url}/status")
        return float(status["received"] - sum(status["dropped"].values()))

    def kernel_drops(self) -> int:
        """Datagrams that the kernel dropped."""
        return sum(one["kernel_drops"] or 0 for one in _get_json(f"{self._url}/status")["sockets"])


@contextmanager
def agent(folder: Path, central: Server, flush_seconds: int) -> Iterator[Agent]:
    port, http = free_udp_port(), free_port()
    environment = os.environ | {
        "FIESTA_AGENT_UDP": f"127.0.0.1:{port}",
        "FIESTA_AGENT_HTTP": f"127.0.0.1:{http}",
        "FIESTA_AGENT_SPOOL_DIR": str(folder / "spool"),
        "FIESTA_AGENT_CENTRAL_URL": central.url,
        "FIESTA_AGENT_API_KEY": central.key,
        "FIESTA_AGENT_FLUSH_INTERVAL": str(flush_seconds),
    }
    with running([sys.executable, "-m", "agent", "run"], folder / "agent.log", environment) as pid:
        yield Agent(port, pid, f"http://127.0.0.1:{http}")


class Collectd:
    name = "collectd"

    def __init__(self, port: int, pid: int, folder: Path) -> None:
        self.port, self.pid, self._folder = port, pid, folder

    def counted(self) -> float:
        """collectd writes counters as totals, and of timings the number per flush."""
        total = 0.0
        for path in self._folder.rglob("statsd/*"):
            with path.open(newline="") as rows:
                values = [float(row[1]) for row in csv.reader(rows) if row[0] != "epoch"]
            if path.name.startswith("derive-"):
                total += values[-1]
            elif "-count-" in path.name:
                total += sum(values)
        return total


COLLECTD_CONF: Final = """\
Hostname "bench"
FQDNLookup false
BaseDir "{folder}"
PIDFile "{folder}/pid"
PluginDir "/usr/lib/collectd"
TypesDB "/usr/share/collectd/types.db"
Interval {flush}
LoadPlugin statsd
LoadPlugin csv
<Plugin statsd>
  Host "127.0.0.1"
  Port "{port}"
  TimerSum true
  TimerCount true
  TimerLower true
  TimerUpper true
</Plugin>
<Plugin csv>
  DataDir "{folder}/csv"
  StoreRates false
</Plugin>
"""


@contextmanager
def collectd(folder: Path, flush_seconds: int) -> Iterator[Collectd]:
    port, conf = free_udp_port(), folder / "collectd.conf"
    conf.write_text(COLLECTD_CONF.format(folder=folder, port=port, flush=flush_seconds))
    command = ["/usr/sbin/collectd", "-f", "-C", str(conf)]
    with running(command, folder / "collectd.log") as pid:
        yield Collectd(port, pid, folder / "csv")


class Netdata:
    name = "netdata"

    def __init__(self, port: int, pid: int, url: str) -> None:
        self.port, self.pid, self._url = port, pid, url

    def counted(self) -> float:
        """Each metric's chart has a line with the number of events per second."""
        total = 0.0
        for chart, facts in _get_json(f"{self._url}/api/v1/charts")["charts"].items():
            if chart.endswith(("_counter", "_timer")):
                what = "counter" if chart.endswith("_counter") else "events"
                asked = f"chart={quote(chart)}&dimensions={what}&format=array&after=-1800&options=null2zero"
                total += sum(_get_json(f"{self._url}/api/v1/data?{asked}")) * facts["update_every"]
        return total


_NETDATA_CONF: Final = """\
[global]
    hostname = bench
    run as user = {user}
[directories]
    {folders}
[db]
    mode = ram
    retention = 3600
[web]
    bind to = 127.0.0.1:{http}
    web server threads = 1
[plugins]
    {without}
[ml]
    enabled = no
[health]
    enabled = no
[registry]
    enabled = no
[cloud]
    enabled = no
[logs]
    error = stderr
    access = none
    debug = none
"""
_FOLDERS: Final = ("config", "stock config", "cache", "lib", "log", "web", "plugins", "home")
_PLUGINS: Final = ("timex", "idlejitter", "tc", "diskspace", "proc", "cgroups", "checks", "slabinfo")
_PLUGINS_TOO: Final = ("enable running new plugins", "netdata monitoring")
_NETDATA_STATSD: Final = """\
[statsd]
    update every (flushInterval) = {flush}
    default port = {port}
    bind to = udp:127.0.0.1:{port}
    add dimension for number of events received = yes
"""


def netdata_conf(folder: Path, http: int) -> str:
    """Settings of a netdata that keeps its files in ``folder`` and collects nothing of this host.

    You append its section [statsd].
    """
    return _NETDATA_CONF.format(
        user=pwd.getpwuid(os.getuid()).pw_name,
        folders="\n    ".join(f"{name} = {folder}" for name in _FOLDERS),
        without="\n    ".join(f"{name} = no" for name in (*_PLUGINS, *_PLUGINS_TOO)),
        http=http,
    )


@contextmanager
def netdata(folder: Path, flush_seconds: int) -> Iterator[Netdata]:
    port, http, conf = free_udp_port(), free_port(), folder / "netdata.conf"
    conf.write_text(netdata_conf(folder, http) + _NETDATA_STATSD.format(port=port, flush=flush_seconds))
    command = ["/usr/sbin/netdata", "-D", "-c", str(conf), "-P", str(folder / "netdata.pid")]
    with running(command, folder / "netdata.log") as pid:
        yield Netdata(port, pid, f"http://127.0.0.1:{http}")


class NodeStatsd:
    name = "statsd"

    def __init__(self, port: int, pid: int, log: Path) -> None:
        self.port, self.pid, self._log = port, pid, log

    def counted(self) -> float:
        """The sum over all flushes. Its backend, loadtest/node/counts.js, writes how much each flush had."""
        return sum(sum(json.loads(line)) for line in self._log.read_text().splitlines() if line.startswith("["))


@contextmanager
def statsd(folder: Path, flush_seconds: int) -> Iterator[NodeStatsd]:
    port, conf, log = free_udp_port(), folder / "statsd.js", folder / "statsd.log"
    settings = {
        "address": "127.0.0.1",
        "port": port,
        "mgmt_address": "127.0.0.1",
        "mgmt_port": free_port(),
        "flushInterval": flush_seconds * 1000,
        "backends": [str(NODE / "counts.js")],
    }
    conf.write_text(json.dumps(settings))
    with running(["node", str(NODE / "node_modules/statsd/stats.js"), str(conf)], log) as pid:
        yield NodeStatsd(port, pid, log)


class Bare:
    """The yardstick, which is no daemon: it reads datagrams and does nothing with them."""

    name = "bare"

    def __init__(self, port: int, pid: int, file: Path) -> None:
        self.port, self.pid, self._file = port, pid, file

    def counted(self) -> float:
        """Datagrams that the kernel dropped."""
        return float(int.from_bytes(self._file.read_bytes(), sys.byteorder))


@contextmanager
def bare(folder: Path) -> Iterator[Bare]:
    port, file = free_udp_port(), folder / "count"
    with running([sys.executable, "-m", "loadtest.bare_receive", str(port), str(file)], folder / "log") as pid:
        yield Bare(port, pid, file)


def _get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)
