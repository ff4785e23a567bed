"""The first admin key. The first process makes it and writes it to a file in the data folder."""

import time
from pathlib import Path
from typing import Final

import structlog

from central.access.auth import ALL_SCOPES, Auth, new_key, parse_key
from central.access.key_file import read_key, write_key
from central.store.admin_keys import is_live
from central.store.base import Store

ADMIN_KEY_FILE: Final = "admin.key"
_log = structlog.get_logger(__name__)


async def ensure_admin_key(auth: Auth, store: Store, data_dir: Path, rate_limit: int) -> None:
    """If there is no valid admin key, make one and write it to ``<data_dir>/admin.key`` (mode 0600).

    If several processes start at once, only one makes it. It writes the file first and stores the key second. After a
    crash between the two, the next start stores the key from the file.
    """
    await store.under_lock(lambda: _ensure_admin_key(auth, store, data_dir, rate_limit))


async def _ensure_admin_key(auth: Auth, store: Store, data_dir: Path, rate_limit: int) -> None:
    rows = await store.keys.list_all()
    if any("admin" in row.scopes and is_live(row, time.time()) for row in rows):
        return
    path = data_dir / ADMIN_KEY_FILE
    try:
        fresh = parse_key(read_key(path))
        if any(row.public_id == fresh.public_id for row in rows):
            raise ValueError("the key in the file was revoked, or has expired")
    except (OSError, ValueError):
        fresh = new_key()
        write_key(path, fresh.text)
    await auth.store_key(fresh, "admin", ALL_SCOPES, rate_limit, int(time.time()))
    _log.info("admin_key_made", file=str(path))
