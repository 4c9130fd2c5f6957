"""The abstract machine in the languages of model checkers, with the properties to check beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from statemachine.machine.definition import Definition

Language = Literal["prism", "tla", "promela"]


def exported(definition: Definition, language: Language) -> Mapping[str, str]:
    """Return the files of a machine in a language: each name with its text, the model first.

    Guards, answers and events from outside are left open in all of them, and run limits are left out: what
    they show holds of the counters alone.
    """
    from statemachine.check.export import prism, promela, tla

    writers: Mapping[Language, Callable[[Definition], Mapping[str, str]]] = {
        "prism": prism.write,
        "tla": tla.write,
        "promela": promela.write,
    }
    return writers[language](definition)
