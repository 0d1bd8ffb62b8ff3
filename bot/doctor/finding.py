"""What was found out about one thing, and how it is shown."""

import enum
from collections.abc import Sequence
from dataclasses import asdict, dataclass


class Verdict(enum.StrEnum):
    """What a finding means for whoever wants to run ona here."""

    FINE = "fine"
    """As it should be."""
    LESS = "less"
    """It works, but slower or not for ever; what follows says how."""
    MISSING = "missing"
    """It does not work until this is mended."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found out about one thing."""

    name: str
    verdict: Verdict
    found: str
    follows: str = ""
    """What that means; empty when all is fine."""
    do: str = ""
    """What to do about it; empty when there is nothing to do."""


def render(findings: Sequence[Finding]) -> str:
    """The findings for a terminal: a line each, and below it what follows and what to do."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict:<8} {finding.name:<{width}}  {finding.found}")
        indent = " " * (width + 11)
        lines.extend(f"{indent}{part}" for part in (finding.follows, finding.do) if part)
    return "\n".join([*lines, "", _summary(findings)])


def as_rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """The findings for `--json`."""
    return [{key: str(value) for key, value in asdict(finding).items()} for finding in findings]


def is_fit(findings: Sequence[Finding]) -> bool:
    """Whether ona can run here."""
    return all(finding.verdict is not Verdict.MISSING for finding in findings)


def _summary(findings: Sequence[Finding]) -> str:
    missing = [finding.name for finding in findings if finding.verdict is Verdict.MISSING]
    less = [finding.name for finding in findings if finding.verdict is Verdict.LESS]
    if missing:
        return f"ona can't run here yet: {', '.join(missing)}."
    return f"ona can run here; it could be better: {', '.join(less)}." if less else "All is fine."
