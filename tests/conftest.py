"""What holds for every test: the journals that it leaves behind are paths of their machines."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# A shell without job control lets what it starts in the background ignore Ctrl-C, and the processes that tests start
# would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def opened_stores() -> Iterator[set[Path]]:
    """Where tests open stores; what other processes of theirs open lies in the test's folder."""
    from statemachine.store import Store

    opener, opened = Store.open, set[Path]()

    def noted(where: Any, **options: Any) -> Store:
        store = opener(where, **options)
        opened.add(Path(store.name).absolute())
        return store

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "open", noted)
        yield opened


@pytest.fixture(autouse=True)
def journals_conform(request: pytest.FixtureRequest, opened_stores: set[Path]) -> Iterator[None]:
    """Replay all that the test left in stores, unless it is marked to damage journals."""
    yield
    folder = request.node.funcargs.get("tmp_path")
    places = {*opened_stores, *(Path(folder).rglob("*.db") if folder is not None else ())}
    try:
        if request.node.get_closest_marker("damages_journals") is None:
            for place in sorted(places):
                if place.is_file() and place.stat().st_size:
                    _replay_all(place)
    finally:
        opened_stores.clear()


def _replay_all(place: Path) -> None:
    from statemachine.host.replay import replay_run
    from statemachine.host.view import restore
    from statemachine.store import Store

    with Store.open(place, create=False) as store:
        whole = [run.id for run in store.runs() if not restore(store, store.load(run.id)).erased]
        found = [replay_run(store, run) for run in whole]
    wrong = [f"{run.run}: record {run.deviation.seq}: {run.deviation.why}" for run in found if run.deviation]
    if wrong:
        pytest.fail(f"journals in {place} are no paths of their machines: {'; '.join(wrong)}", pytrace=False)
