"""What the interface answers instead of doing it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False)
class Refused(Exception):
    """An answer that is not 2xx: a status, a code and words, as the interface has them."""

    status: int
    code: int
    message: str
    more: dict = field(default_factory=dict)

    def body(self) -> dict:
        return {"message": self.message, "code": self.code, **self.more}


def unauthorized() -> Refused:
    return Refused(401, 0, "401: Unauthorized")


def no_route() -> Refused:
    return Refused(404, 0, "404: Not Found")


def unknown(what: str) -> Refused:
    codes = {
        "Channel": 10003,
        "Guild": 10004,
        "Member": 10007,
        "Message": 10008,
        "User": 10013,
        "Emoji": 10014,
        "Webhook": 10015,
        "interaction": 10062,
    }
    return Refused(404, codes[what], f"Unknown {what}")


def missing_access() -> Refused:
    return Refused(403, 50001, "Missing Access")


def missing_permissions() -> Refused:
    return Refused(403, 50013, "Missing Permissions")


def too_often(retry_seconds: float) -> Refused:
    more = {"retry_after": round(retry_seconds, 3), "global": False}
    return Refused(429, 0, "The resource is being rate limited.", more)


def archived() -> Refused:
    return Refused(400, 50083, "Thread is archived")


def locked() -> Refused:
    return Refused(403, 160005, "Thread is locked")


def empty() -> Refused:
    return Refused(400, 50006, "Cannot send an empty message")


def form(path: str, code: str, words: str) -> Refused:
    """50035: the field at `path` (dots between) is wrong."""
    errors: dict = {"_errors": [{"code": code, "message": words}]}
    for step in reversed(path.split(".") if path else []):
        errors = {step: errors}
    return Refused(400, 50035, "Invalid Form Body", {"errors": errors})


def too_long(path: str, length_max: int) -> Refused:
    words = f"Must be {length_max} or fewer in length."
    return form(path, "BASE_TYPE_MAX_LENGTH", words)


def bounded(path: str, value: str | None, least: int, most: int) -> None:
    """Refuse a text that is too short or too long."""
    if value is not None and not least <= len(value) <= most:
        words = f"Must be between {least} and {most} in length."
        raise form(path, "BASE_TYPE_BAD_LENGTH", words)
