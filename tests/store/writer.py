"""A program that commits steps, ``writer.py DATABASE COMMITS RUNS``, and tries a refused one again."""

from __future__ import annotations

import os
import sys

from statemachine.errors import StoreUnusable
from statemachine.journal import genesis, seal, verify
from statemachine.store import Commit, NewRun, Store, StoredMachine

database, commits, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
machine = StoredMachine("ab" * 32, "renewal", "1", "{}", "machines/renewal")


def step(id: str, head: str, seq: int) -> Commit:
    sealed, _ = seal(id, head, seq, 1.0, [("event", {"note": "x" * 300})])
    return Commit(id, seq, 1, sealed, f"{seq}", "running", "act")


with Store.open(database) as store:
    ids = [f"{os.getpid()}-{n}" for n in range(count)]
    if commits:
        for id in ids:
            assert store.commit([NewRun(machine, step(id, genesis(id, machine.digest), 0), "me", 9.0)]) == [
                None
            ]
    print("ready", flush=True)
    done = 0
    while done < commits:
        stored = [store.load(id) for id in ids]
        try:
            assert not any(store.commit([step(run.id, run.head, run.seq) for run in stored]))
            done += 1
        except StoreUnusable as error:
            print("StoreUnusable:", error, flush=True)
    print("done", flush=True)
    if commits:
        whole = all(verify(store.records(id), machine.digest) is None for id in ids)
        steps = {store.load(id).seq - 1 for id in ids}
        print(*steps, "steps stored, chain", "holds" if whole else "broken")
