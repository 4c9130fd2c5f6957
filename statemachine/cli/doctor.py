"""The command that looks at the installation: doctor."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import typer

from statemachine.cli.terminal import Db, Json, say, say_json, stdout
from statemachine.errors import StateMachineError

_PACKAGES = (
    "transitions",
    "pydantic",
    "cel-expr-python",
    "networkx",
    "graphviz",
    "graphviz-pure",
    "ruamel.yaml",
    "SQLAlchemy",
    "alembic",
    "typer",
    "rich",
    "rfc8785",
    "psutil",
)
_EXTRAS = {
    "svglib": "pdf",
    "prometheus-client": "metrics",
    "opentelemetry-sdk": "metrics",
    "pytest": "repair",
    "coverage": "repair",
    "aiosmtpd": "renewal",
}


def doctor(db: Db = None, as_json: Json = False) -> None:
    """Look at versions, the renderer, the store and a clash of package names; say what to mend.

    Example: statemachine doctor
    """
    stdout()
    report: dict[str, Any] = {"python": platform.python_version(), "platform": platform.platform()}
    problems: list[str] = []
    report["packages"] = {name: _version(name) for name in ("agent-statemachine", *_PACKAGES, *_EXTRAS)}
    for name in _PACKAGES:
        if report["packages"][name] is None:
            problems.append(
                f"{name} is not installed; run `pip install --force-reinstall agent-statemachine`"
            )
    problems += _clash()
    report["renderer"] = _renderer(problems)
    report["store"] = _store(db, problems)
    report["problems"] = problems
    if as_json:
        say_json(report)
    else:
        _tell(report)
    if problems:
        raise typer.Exit(1)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _clash() -> list[str]:
    owners = set(metadata.packages_distributions().get("statemachine", [])) - {"agent-statemachine"}
    return [
        f"{owner} also installs a package called `statemachine`, and the last one installed wins: "
        f"use another virtual environment, or `pip uninstall {owner}` and then "
        "`pip install --force-reinstall agent-statemachine`"
        for owner in sorted(owners)
    ]


def _renderer(problems: list[str]) -> dict[str, Any]:
    from statemachine.diagrams.layout import program

    try:
        return {"program": program()}
    except StateMachineError as error:
        problems.append(str(error))
        return {"program": None}


def _store(db: str | None, problems: list[str]) -> dict[str, Any]:
    from statemachine.host.places import default_db
    from statemachine.store import Store

    place = db or default_db()
    try:
        with Store.open(place, create=False) as store:
            return {"place": place, "pragmas": store.pragmas(), "runs": store.counts()}
    except StateMachineError as error:
        if "there is no database" not in str(error):
            problems.append(str(error))
        return {"place": place, "note": str(error)}


def _tell(report: dict[str, Any]) -> None:
    say(f"python {report['python']} on {report['platform']}")
    for name, version in report["packages"].items():
        extra = f" (only for agent-statemachine[{_EXTRAS[name]}])" if name in _EXTRAS else ""
        say(f"{name:<20} {version or 'not installed' + extra}")
    say(f"{'renderer':<20} {report['renderer']['program'] or 'not found'}")
    store = report["store"]
    say(f"{'store':<20} {store['place']}")
    if "pragmas" in store:
        say(f"{'':<20} " + ", ".join(f"{k}={v}" for k, v in store["pragmas"].items()))
        say(f"{'':<20} " + (", ".join(f"{n} {k}" for k, n in store["runs"].items() if n) or "no run yet"))
    else:
        say(f"{'':<20} {store['note']}")
    say()
    say("\n".join(f"problem: {p}" for p in report["problems"]) or "nothing to mend")
