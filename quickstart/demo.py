"""``make demo``: fills the service of ``make run`` with a week of a web shop.

Each half hour is one batch with an Idempotency-Key of its own. So a second run adds only the time that has passed.
"""

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from central.access.key_file import read_key
from central.client import Client, ClientError, Target
from central.settings import Settings, load_settings
from quickstart.plan import KEY_FILE, beside_python, of_central, words
from quickstart.shop import SLOT_SECONDS, items_at
from runtime.settings import SettingsError

WEEK_SECONDS: Final = 7 * 86_400
BATCH_SECONDS: Final = 1_800
_MARGIN: Final = 600
"""So much later than seven days ago it begins: the service refuses what has become older while it is sent."""
_SPACE: Final = uuid.UUID("6f0c4b5e-2f0b-4c57-9a6b-6f5b9c1f6a0e")


Batch = tuple[str, list[dict[str, Any]]]
"""An Idempotency-Key, and items as the body of a batch has them."""


def batches(now: float) -> Iterator[Batch]:
    """The batches of the week before ``now``, in order of time."""
    first = -(-(int(now) - WEEK_SECONDS + _MARGIN) // BATCH_SECONDS) * BATCH_SECONDS
    for start in range(first, int(now) // BATCH_SECONDS * BATCH_SECONDS, BATCH_SECONDS):
        slots = range(start, start + BATCH_SECONDS, SLOT_SECONDS)
        yield str(uuid.uuid5(_SPACE, str(start))), [item for slot in slots for item in items_at(slot)]


def fill(client: Client, todo: Sequence[Batch], show: Callable[[int], object]) -> int:
    """Send the batches, and call ``show`` with 1 after each. Returns how many items are stored. Raises ClientError."""
    stored = 0
    for key, items in todo:
        stored += client.post("/api/metrics/batch", {"metrics": items}, idempotency_key=key)["accepted"]
        show(1)
    return stored


def target(data_dir: Path, url: str, certificate: Path | None) -> Target:
    """The service of ``make run`` and its key. Raises ClientError if it has never run."""
    path = data_dir / KEY_FILE
    try:
        return Target(url, read_key(path), str(path), certificate)
    except (OSError, ValueError):
        raise ClientError(f"no key at {path}: start the service with 'make run' in another terminal") from None


def main() -> None:
    """Fill the service and say what to look at."""
    try:
        settings = load_settings(os.environ)
        client = Client(target(settings.data_dir, settings.url, settings.tls_cert))
        todo = list(batches(time.time()))
        with click.progressbar(length=len(todo), label="Sending a week of a web shop", file=sys.stderr) as bar:
            stored = fill(client, todo, bar.update)
    except SettingsError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except ClientError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    click.echo(what_to_look_at(stored, settings))


def what_to_look_at(stored: int, settings: Settings) -> str:
    """The text with commands to paste."""
    program = f"{words(of_central(settings))}{beside_python('fiesta-central')}"
    return f"""
{stored:,} items are stored: a week of shop.orders, shop.revenue_eur, shop.requests, shop.checkout_ms,
shop.carts_open and host.cpu_percent. Look at them:

  {settings.url}/ (open it, paste the key of 'make run', choose shop.checkout_ms and p95)

  {program} query shop.orders --operation sum --window 1d --start -7d
  {program} query shop.checkout_ms --operation p50,p95 --group-by endpoint --window 1d --start -7d
"""


if __name__ == "__main__":
    main()
