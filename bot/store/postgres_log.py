"""What the embedded PostgreSQL says of its end."""


def why_it_ended(log: str) -> str:
    """The last line that says why a server ended, without its time."""
    lines = [line for line in log.splitlines() if "FATAL" in line or "error:" in line]
    return lines[-1].partition("]")[2].strip() or lines[-1] if lines else "it did not say why"
