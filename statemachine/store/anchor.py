"""A small file beside a SQLite database, which tells when the database is not the one that was here before.

A database can be lost and still open cleanly: removed, empty after a crash of the file system, or replaced by an
older copy. Going on would make effects again that are long done. The anchor says which store lies here and how many
records it had at some time, and a database that does not agree with it is refused.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from statemachine.errors import StoreUnusable, disk_refused


@dataclass(frozen=True, slots=True)
class Anchor:
    """What is known of a database from outside of it.

    Attributes:
        store: Which store it is.
        records: How many records it had at least, at ``at``.
        at: When that was written, as ISO 8601 in UTC.
    """

    store: str
    records: int
    at: str


def anchor_of(database: Path) -> Path:
    """Return where the anchor of a database lies."""
    database = database.resolve()
    return database.with_name(f"{database.name}.anchor")


def read_anchor(database: Path) -> Anchor | None:
    """Return the anchor of a database; None when it has none.

    Raises:
        StoreUnusable: What lies there is no anchor.
    """
    file = anchor_of(database)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return Anchor(str(data["store"]), int(data["records"]), str(data["at"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreUnusable(f"{file} cannot be read: {error.strerror}; make it readable") from error
    except (ValueError, LookupError, TypeError) as error:
        raise StoreUnusable(
            f"{file} is damaged, so nobody can tell whether {database} is the database that was here; "
            "if you know that it is, remove that file"
        ) from error


def write_anchor(database: Path, store: str, records: int) -> Anchor:
    """Write the anchor of a database so that a crash leaves the old one or the new one, and return it.

    Raises:
        StoreUnusable: It cannot be written.
    """
    anchor = Anchor(store, records, datetime.now(UTC).isoformat(timespec="seconds"))
    file = anchor_of(database)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as part:
                part.write(json.dumps(asdict(anchor)) + "\n")
                part.flush()
                os.fsync(part.fileno())
            # Whoever may read the database may open it, and that reads this.
            os.chmod(name, database.stat().st_mode & 0o777)
            os.replace(name, file)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        sync_folder(file.parent)
    except OSError as error:
        raise disk_refused(
            error, f"{file} cannot be written: {error.strerror}; make room, or its folder writable"
        ) from error
    return anchor


def refuse_lost(database: Path, anchor: Anchor | None, what: str) -> None:
    """Refuse a database that is not there, or is empty, where the anchor says that there was one.

    Raises:
        StoreUnusable: There is an anchor; the message says what happened and what can be done.
    """
    if anchor is not None:
        _refuse(database, what, f"had {anchor.records} records or more on {anchor.at}")


def refuse_other(database: Path, anchor: Anchor, store: str, records: int) -> None:
    """Refuse a database that is another than the anchor tells of, or an older copy.

    Raises:
        StoreUnusable: It is; the message says what happened and what can be done.
    """
    if store != anchor.store:
        _refuse(database, "is another database", f"was store {anchor.store[:12]}, this is {store[:12]}")
    if records < anchor.records:
        _refuse(
            database,
            "is an older copy",
            f"had {anchor.records} records or more on {anchor.at}, this has {records}",
        )


def _refuse(database: Path, what: str, before: str) -> None:
    raise StoreUnusable(
        f"{database} {what}: the one that was here {before}. Going on could make finished effects again: put back "
        f"the newest copy, with its -wal file if there is one. To begin with what is there, knowing this, "
        f"remove {anchor_of(database)}"
    )


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each so that a crash does not take it away again."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
