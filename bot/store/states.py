"""The states of a session, a prompt, a turn, a question and a grant, and the moves between them.

A session:

    idle ──enqueue──▶ queued ──claim──▶ running ──finish──▶ idle | queued
                        ▲ ▲                │  │
                        │ └──hand back─────┘  ├──ask──▶ waiting ──answer, expire──▶ queued
                        │                     └──stop─▶ held
                      resume                              │
                        └──────────────────────────◀──────┤
                                        idle ◀──clear─────┘

- `queued` and `running` rows are what workers claim: `running` again once its lease has run out.
- `held` keeps its prompts: they wait for Resume or Clear, whoever stopped it.
- `deleting`, from any of them, is the end: the row goes when nothing of the session is left.
- `waiting` keeps its turn open: the answer queues the session and the same turn goes on.

A grant:

    issuing ──record──▶ issued ──its issuer refuses it──▶ revoked
       │ └───────────────┼──found by its name, refused───────▲
       └─────────────────┴──its time passed──▶ ended

- `issuing` is written before its issuer is asked: whatever happens, a row tells of it.
- `issuing` and `issued` ones whose turn no lease holds are what the sweep of `bot.govern` ends.

The statements that move rows keep to these tables; a database of the tests refuses any other move.
"""

import enum
from collections.abc import Mapping


class SessionState(enum.StrEnum):
    """What a session does; stored, because workers claim by it."""

    IDLE = "idle"
    """Nothing is open; the machine may rest."""
    QUEUED = "queued"
    """A prompt or an answered turn waits for a worker."""
    RUNNING = "running"
    """A worker holds the lease and runs a turn."""
    WAITING = "waiting"
    """A turn asked a person and rests until the answer or its time limit."""
    HELD = "held"
    """Stopped by a person; open prompts are kept and nothing runs."""
    DELETING = "deleting"
    """A person deleted it; it is gone when its machine is, and a tombstone stays."""


SESSION_MOVES: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.IDLE: frozenset({SessionState.QUEUED, SessionState.DELETING}),
    SessionState.QUEUED: frozenset(
        {SessionState.RUNNING, SessionState.IDLE, SessionState.HELD, SessionState.DELETING}
    ),
    SessionState.RUNNING: frozenset(
        {
            SessionState.IDLE,
            SessionState.QUEUED,
            SessionState.WAITING,
            SessionState.HELD,
            SessionState.DELETING,
        }
    ),
    SessionState.WAITING: frozenset({SessionState.QUEUED, SessionState.DELETING}),
    SessionState.HELD: frozenset({SessionState.QUEUED, SessionState.IDLE, SessionState.DELETING}),
    SessionState.DELETING: frozenset(),
}


class PromptState(enum.StrEnum):
    """What became of one message for the agent."""

    QUEUED = "queued"
    """Accepted; its turn has not started."""
    RUNNING = "running"
    """Its turn has started."""
    DONE = "done"
    """Its turn has an outcome."""
    CANCELLED = "cancelled"
    """Taken out of the queue by a person before its turn started."""


PROMPT_MOVES: Mapping[PromptState, frozenset[PromptState]] = {
    PromptState.QUEUED: frozenset({PromptState.RUNNING, PromptState.CANCELLED}),
    PromptState.RUNNING: frozenset({PromptState.DONE}),
    PromptState.DONE: frozenset(),
    PromptState.CANCELLED: frozenset(),
}


class TurnState(enum.StrEnum):
    """Where a turn is, and how it ended."""

    RUNNING = "running"
    """Its job may have been started, or asks a person; it is never blindly started again."""
    SUCCEEDED = "succeeded"
    """The agent finished; for a command: exit status 0."""
    FAILED = "failed"
    """The agent or its command reported failure."""
    STOPPED = "stopped"
    """A person ended it: stop, or another prompt by `now:`."""
    TIMED_OUT = "timed_out"
    """It reached the turn's time limit."""
    INTERRUPTED = "interrupted"
    """Its machine is gone; it was not run again and a person decides."""
    BUDGET = "budget"
    """A request to a model was refused: no budget bore what it might have cost."""


OUTCOMES = frozenset(
    {
        TurnState.SUCCEEDED,
        TurnState.FAILED,
        TurnState.STOPPED,
        TurnState.TIMED_OUT,
        TurnState.INTERRUPTED,
        TurnState.BUDGET,
    }
)

TURN_MOVES: Mapping[TurnState, frozenset[TurnState]] = {
    TurnState.RUNNING: OUTCOMES,
    **dict.fromkeys(OUTCOMES, frozenset[TurnState]()),
}


class QuestionState(enum.StrEnum):
    """What became of something a turn asked a person."""

    OPEN = "open"
    """Nobody has answered yet."""
    ANSWERED = "answered"
    """Somebody who may has answered."""
    EXPIRED = "expired"
    """Its time limit passed; the turn goes on without an answer."""
    WITHDRAWN = "withdrawn"
    """The turn ended before an answer came."""


QUESTION_MOVES: Mapping[QuestionState, frozenset[QuestionState]] = {
    QuestionState.OPEN: frozenset(
        {QuestionState.ANSWERED, QuestionState.EXPIRED, QuestionState.WITHDRAWN}
    ),
    QuestionState.ANSWERED: frozenset(),
    QuestionState.EXPIRED: frozenset(),
    QuestionState.WITHDRAWN: frozenset(),
}


class ReplyState(enum.StrEnum):
    """Where a reply is on its way to its thread."""

    PENDING = "pending"
    """Not posted, or posted in an older wording."""
    SENDING = "sending"
    """A sender holds it until a deadline; only after that may another look it up."""
    SENT = "sent"
    """The thread shows this wording."""
    FAILED = "failed"
    """The surface refused it for good; the reason is kept beside it."""


REPLY_MOVES: Mapping[ReplyState, frozenset[ReplyState]] = {
    ReplyState.PENDING: frozenset({ReplyState.SENDING}),
    ReplyState.SENDING: frozenset({ReplyState.PENDING, ReplyState.SENT, ReplyState.FAILED}),
    ReplyState.SENT: frozenset({ReplyState.PENDING}),
    ReplyState.FAILED: frozenset({ReplyState.PENDING}),
}


class ChargeState(enum.StrEnum):
    """What is known of the cost of a request to a model."""

    RESERVED = "reserved"
    """It is under way; its worst case is set aside."""
    SETTLED = "settled"
    """The provider has told what it used."""
    ESTIMATED = "estimated"
    """It was cut, or nobody was there at its end."""


CHARGE_MOVES: Mapping[ChargeState, frozenset[ChargeState]] = {
    ChargeState.RESERVED: frozenset({ChargeState.SETTLED, ChargeState.ESTIMATED}),
    ChargeState.SETTLED: frozenset(),
    ChargeState.ESTIMATED: frozenset(),
}


class GrantState(enum.StrEnum):
    """Whether a short-lived credential of a turn may still work."""

    ISSUING = "issuing"
    """Its issuer is asked, or was when a process ended; it may exist."""
    ISSUED = "issued"
    """It works, and what ends it is written down."""
    REVOKED = "revoked"
    """Its issuer refuses it."""
    ENDED = "ended"
    """Its time has passed, or nobody has it any more and it was never outside our memory."""


GRANT_MOVES: Mapping[GrantState, frozenset[GrantState]] = {
    GrantState.ISSUING: frozenset({GrantState.ISSUED, GrantState.REVOKED, GrantState.ENDED}),
    GrantState.ISSUED: frozenset({GrantState.REVOKED, GrantState.ENDED}),
    GrantState.REVOKED: frozenset(),
    GrantState.ENDED: frozenset(),
}


class ScheduleState(enum.StrEnum):
    """Whether a schedule can become due."""

    ACTIVE = "active"
    """It is due when its rule says so."""
    PAUSED = "paused"
    """Somebody, or what it is for, stopped it; the reason is kept beside it."""
    ENDED = "ended"
    """It is never due again."""


SCHEDULE_MOVES: Mapping[ScheduleState, frozenset[ScheduleState]] = {
    ScheduleState.ACTIVE: frozenset({ScheduleState.PAUSED, ScheduleState.ENDED}),
    ScheduleState.PAUSED: frozenset({ScheduleState.ACTIVE, ScheduleState.ENDED}),
    ScheduleState.ENDED: frozenset({ScheduleState.ACTIVE}),
}
"""One that has ended is active again when it is given another time."""


class FiringState(enum.StrEnum):
    """What became of a due moment."""

    DUE = "due"
    """Nothing was done for it yet."""
    DONE = "done"
    """What it was for is on its way, by rows of the same transaction."""
    SKIPPED = "skipped"
    """Nothing is done for it, by a rule that its reason names."""
    FAILED = "failed"
    """It can't be done; the reason is kept beside it, and told."""


FIRING_MOVES: Mapping[FiringState, frozenset[FiringState]] = {
    FiringState.DUE: frozenset({FiringState.DONE, FiringState.SKIPPED, FiringState.FAILED}),
    FiringState.DONE: frozenset(),
    FiringState.SKIPPED: frozenset(),
    FiringState.FAILED: frozenset(),
}


class AutomationState(enum.StrEnum):
    """Whether an automation does anything by itself."""

    PROPOSED = "proposed"
    """Its file is there, and nobody has approved what it says."""
    ACTIVE = "active"
    """Its triggers count."""
    PAUSED = "paused"
    """A person or its failures stopped it; the reason is kept beside it."""
    REMOVED = "removed"
    """Its file is gone or somebody deleted it; its runs are kept."""


AUTOMATION_MOVES: Mapping[AutomationState, frozenset[AutomationState]] = {
    AutomationState.PROPOSED: frozenset({AutomationState.ACTIVE, AutomationState.REMOVED}),
    AutomationState.ACTIVE: frozenset({AutomationState.PAUSED, AutomationState.REMOVED}),
    AutomationState.PAUSED: frozenset({AutomationState.ACTIVE, AutomationState.REMOVED}),
    AutomationState.REMOVED: frozenset(),
}


class TargetState(enum.StrEnum):
    """How far one target of a run is."""

    WAITING = "waiting"
    """Its turn has not come."""
    RUNNING = "running"
    """Its session works through the steps."""
    DONE = "done"
    """Every step succeeded."""
    FAILED = "failed"
    """A step failed, or nothing could be begun; the reason is kept beside it."""
    SKIPPED = "skipped"
    """Nothing is done for it, by a rule that its reason names."""
    STOPPED = "stopped"
    """A person or a limit of the run ended it."""


_AGAIN = frozenset({TargetState.WAITING})
TARGET_MOVES: Mapping[TargetState, frozenset[TargetState]] = {
    TargetState.WAITING: frozenset(
        {TargetState.RUNNING, TargetState.FAILED, TargetState.SKIPPED, TargetState.STOPPED}
    ),
    TargetState.RUNNING: frozenset({TargetState.DONE, TargetState.FAILED, TargetState.STOPPED}),
    TargetState.DONE: _AGAIN,
    TargetState.FAILED: _AGAIN,
    TargetState.SKIPPED: _AGAIN,
    TargetState.STOPPED: _AGAIN,
}
"""Each that is over can be run again, in a session of its own."""
