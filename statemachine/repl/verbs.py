"""The verbs of the prompt: one table that parsing, help and completion read."""

from __future__ import annotations

from statemachine.repl import asking, moving, scripting, showing
from statemachine.repl.session import Verb

VERBS = (
    Verb("step", "s", "[N]", "Take one transition; make the call that it takes.", "step", moving.step, again=True),
    Verb("next", "n", "[N]", "Go on to the next call.", "next 3", moving.go_next, again=True),
    Verb("continue", "c", "", "Go on to a breakpoint, the end, or a wait.", "continue", moving.proceed, again=True),
    Verb(
        "until", "u", "STATE | EVENT", "Go on until a state is entered or an event is taken.",
        "until failed.timeout", moving.until, ("state", "event"), again=True,
    ),
    Verb(
        "break", "b", "[STATE | on EVENT | call TOOL] [if EXPRESSION]",
        "Stop in a state, after an event, before a call, or when something becomes true.",
        "break diagnose if attempts.retry > 2", showing.add_break, ("state", "break"),
    ),
    Verb("tbreak", "t", "as `break`", "Stop there once.", "tbreak call apply", showing.add_tbreak, ("state", "break")),
    Verb("delete", "d", "[N]", "Remove a breakpoint, or all.", "delete 2", showing.delete, ("point",), also=("clear",)),
    Verb(
        "info", "i", "states | breaks | limits | tools | fields | runs",
        "Tell of the machine and how much of it is used, or of the store's runs.", "info limits", showing.info, ("info",),
    ),
    Verb("where", "w", "[N]", "Tell the path: order, time, attempts; loops are summarised.", "where", asking.where, also=("bt",)),
    Verb(
        "why", "y", "[not STATE]", "Tell why the run is here, or is not in a state: each transition and its guard.",
        "why not complete", asking.why, ("not", "state"),
    ),
    Verb("guards", "g", "", "Tell what every guard of the state gives now.", "guards", asking.guards),
    Verb("events", "e", "", "Tell what can be sent here, and what each would do.", "events", asking.events),
    Verb(
        "print", "p", "[EXPRESSION]", "Tell a value, in the language of guards; without one all fields.",
        "print size(tried) > 3", asking.show, ("field",),
    ),
    Verb(
        "display", "v", "[EXPRESSION]", "Tell a value after each stop.", "display attempts.retry",
        asking.display, ("field",),
    ),
    Verb("undisplay", "", "[N]", "Tell it no longer.", "undisplay 1", asking.undisplay),
    Verb(
        "set", "m", "FIELD VALUE", "Write a field by hand; the run is marked as edited.", "set patience 0.5",
        moving.put, ("context",),
    ),
    Verb(
        "fire", "f", "EVENT [NAME=VALUE …]", "Raise an event as if it came from outside; `cancelled` cancels.",
        'fire answered text="restart it"', moving.fire, ("sent",), also=("send",),
    ),
    Verb(
        "amend", "", "NAME=VALUE …", "Change what the operator gave; what is derived from it is no longer known.",
        "amend words=10", moving.amend, ("owned",),
    ),
    Verb(
        "fail", "x", "CLASS [MESSAGE]", "Let the call that is about to be made fail so, without making it.",
        "fail timeout", moving.fail, ("failure",),
    ),
    Verb(
        "resolve", "", "happened [OUTPUT] | not-happened | undo", "Decide on a call in doubt.", "resolve not-happened",
        moving.resolve, ("resolve",),
    ),
    Verb("approve", "", "NAME [REASON]", "Approve the call that the run asks for, as NAME of the policy.", "approve ann", moving.approve),
    Verb("deny", "", "NAME [REASON]", "Deny it; with this input that is final for the run.", "deny ann too dear", moving.deny),
    Verb("undo", "", "", "Roll the run back: undo its writes, the newest first, step by step.", "undo", moving.undo),
    Verb("back", "r", "[N]", "Go back N steps; nothing is called.", "back 3", moving.back, again=True),
    Verb("goto", "j", "SEQ | end", "Go to a record, or back to the present.", "goto 14", moving.goto, ("end",), also=("jump",)),
    Verb(
        "replay", "a", "[SEQ]", "Play the recording on, up to a record or the present; from its start when there.",
        "replay", moving.replay,
    ),
    Verb(
        "fork", "k", "[SEQ] [--repeat-writes]", "Go on from here, or from a record, as a new run.", "fork 14",
        moving.fork,
    ),
    Verb("open", "", "ID", "Leave this run, and open another one of the store.", "open 3f2a", moving.open_other, ("run",)),
    Verb("diff", "=", "A [B]", "Tell what changed in the context between two records.", "diff 6 18", asking.diff),
    Verb("journal", "o", "[N]", "Tell the last records.", "journal 5", asking.journal),
    Verb("calls", "", "[N]", "Tell the calls that were made.", "calls", asking.calls),
    Verb(
        "diagram", "", "[FILE]", "Draw the run's way, or write a picture of it.", "diagram run.svg",
        showing.diagram, ("file",),
    ),
    Verb(
        "list", "l", "[STATE]", "Show the machine's source with an arrow.", "list retry", showing.source, ("state",)
    ),
    Verb("explain", "", "", "Tell what the run did, and what to do now.", "explain", asking.explain),
    Verb("save", "", "FILE", "Write the lines of this session to a file.", "save session.txt", scripting.save, ("file",)),
    Verb("source", "", "FILE", "Do the lines of a file.", "source session.txt", scripting.run_file, ("file",)),
    Verb("help", "h", "[VERB]", "Tell of all verbs, or of one with an example.", "help break", scripting.help_, ("verb",)),
    Verb("quit", "q", "", "Leave; the run stays resumable.", "quit", scripting.quit_, also=("exit",)),
)  # fmt: skip
