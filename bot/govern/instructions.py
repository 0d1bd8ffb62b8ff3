"""What every agent of an installation is told besides: rules, and skills, from a directory.

    AGENTS.md                   the rules, for every repository
    skills/NAME/SKILL.md, …     a skill: what it is for, and files that go with it

The directory is the operator's. What could surprise in a machine is refused here, with the file's
name; what else lies there is left alone.
"""

import hashlib
import io
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bot.errors import OnaError, Refused, WrongSettings
from bot.words.catalogue import gettext as _
from bot.words.catalogue import grouped

log = structlog.get_logger(__name__)

TEXT = "AGENTS.md"
SKILLS = "skills"
SKILL = "SKILL.md"
TEXT_BYTES_MAX = 16 * 1024
"""Of an installation's rules, and of a project's: agents have all of them before every prompt."""
SKILLS_BYTES_MAX = 2 * 1024 * 1024
SKILLS_FILES_MAX = 500
BEGIN, END = "<!-- ona: begin -->", "<!-- ona: end -->"
"""Between them is what we wrote into a file that may have more in it."""
MARK = ".ona"
"""Lies in a skill's directory in a machine that we put there."""
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""As agents want a skill's name."""
_NAME_LENGTH_MAX = 64
_PATH_LENGTH_MAX = 200
_BOUNDS = (
    f"{TEXT} has at most {TEXT_BYTES_MAX:,} bytes, all files of skills together"
    f" {SKILLS_BYTES_MAX:,}"
)


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a skill."""

    data: bytes
    runs: bool = False
    """It is a program."""


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """Rules and skills."""

    text: str = ""
    skills: Mapping[str, File] = field(default_factory=dict)
    """By path: the skill's name, and what follows it."""

    def __bool__(self) -> bool:
        return bool(self.text or self.skills)

    @property
    def digest(self) -> str:
        """The same for the same instructions."""
        return hashlib.sha256(self.packed()).hexdigest()[:16]

    def with_text(self, more: str) -> "Instructions":
        """These, and below their text another one."""
        texts = (one.strip("\n") for one in (self.text, more) if one.strip())
        return Instructions(text="\n\n".join(texts), skills=self.skills)

    def packed(self) -> bytes:
        """A tar of them, the same for the same: a directory `skills`, and the text if any."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            directory = tarfile.TarInfo(SKILLS)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(directory)
            files = {f"{SKILLS}/{path}": one for path, one in sorted(self.skills.items())}
            if self.text:
                files[TEXT] = File(data=f"{self.text}\n".encode())
            for path, one in files.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(one.data), 0o755 if one.runs else 0o644
                tar.addfile(entry, io.BytesIO(one.data))
        return packed.getvalue()


class Installed:
    """Those of the installation, as its directory has them now."""

    def __init__(self, directory: Path | None) -> None:
        """:raises WrongSettings: they can't be used"""
        self._directory = directory
        self._last = read(directory) if directory is not None else Instructions()

    def now(self) -> Instructions:
        """Read again; where that can't be used, the last ones that could."""
        if self._directory is not None:
            try:
                self._last = read(self._directory)
            except OnaError as error:
                log.error("instructions_not_used", why=str(error))
        return self._last


def read(directory: Path) -> Instructions:
    """What lies in a directory. :raises WrongSettings: it can't be used"""
    if not directory.is_dir():
        raise _wrong(f"there is no directory {directory}")
    try:
        return Instructions(text=_text(directory / TEXT), skills=_skills(directory / SKILLS))
    except OSError as error:
        raise _wrong(f"{error.filename} can't be read: {error.strerror}") from error


def check_text(text: str) -> None:
    """:raises Refused: a project can't have this text."""
    if len(text.encode()) > TEXT_BYTES_MAX:
        raise Refused(
            _("instructions have at most {most} bytes", most=grouped(TEXT_BYTES_MAX)),
            do=_("shorten them; agents read all of them before every prompt"),
        )
    if not _can_be(text):
        raise Refused(
            _("instructions have no zero bytes and no marks of ona in them"),
            do=_("take these out"),
        )


def _can_be(text: str) -> bool:
    return not any(one in text for one in ("\x00", BEGIN, END))


def _text(path: Path) -> str:
    if not os.path.lexists(path):
        return ""
    try:
        text = _content(path, TEXT_BYTES_MAX).data.decode()
    except UnicodeDecodeError:
        raise _wrong(f"{path} is no UTF-8") from None
    if not _can_be(text):
        raise _wrong(f"{path} has zero bytes or marks of ona in it")
    return text.strip("\n")


def _skills(directory: Path) -> Mapping[str, File]:
    found: dict[str, File] = {}
    left = SKILLS_BYTES_MAX
    for path in _files(directory):
        if len(found) >= SKILLS_FILES_MAX:
            raise _wrong(f"{directory} has more than {SKILLS_FILES_MAX} files in it")
        one = _content(path, left)
        left -= len(one.data)
        found[path.relative_to(directory).as_posix()] = one
    for name in {path.partition("/")[0] for path in found}:
        skill = found.get(f"{name}/{SKILL}")
        if skill is None or not skill.data.startswith(b"---"):
            raise _wrong(f"{directory / name / SKILL} is missing, or does not begin with `---`")
    return found


def _files(directory: Path) -> Iterator[Path]:
    """All files of all skills, in order."""
    if not os.path.lexists(directory):
        return
    for skill in _listed(directory):
        if len(skill.name) > _NAME_LENGTH_MAX or not _NAME.fullmatch(skill.name):
            raise _wrong(
                f"{_shown(skill)} can't be a skill: names have small letters, digits and"
                f" single dashes, at most {_NAME_LENGTH_MAX}"
            )
        yield from _below(skill, skill)


def _below(skill: Path, directory: Path) -> Iterator[Path]:
    for path in _listed(directory):
        name = str(path.relative_to(skill))
        if not name.isprintable() or len(name) > _PATH_LENGTH_MAX or name == MARK:
            raise _wrong(f"{_shown(path)} can't be the name of a file of a skill")
        if stat.S_ISDIR(path.lstat().st_mode):
            yield from _below(skill, path)
        else:
            yield path


def _listed(directory: Path) -> list[Path]:
    if not stat.S_ISDIR(directory.lstat().st_mode):
        raise _wrong(f"{directory} is no directory")
    return sorted(directory.iterdir())


def _content(path: Path, bytes_max: int) -> File:
    """What a file has in it; a link, a pipe or a device is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(file, "rb") as opened:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise _wrong(f"{path} is no ordinary file")
            data = opened.read(bytes_max + 1)
    except OSError as error:
        why = "is a link" if path.is_symlink() else f"can't be read: {error.strerror}"
        raise _wrong(f"{path} {why}") from error
    if len(data) > bytes_max:
        raise _wrong(f"{path} is too large: {_BOUNDS}")
    return File(data=data, runs=bool(status.st_mode & stat.S_IXUSR))


def _shown(path: Path) -> str:
    return ascii(str(path))


def _wrong(why: str) -> WrongSettings:
    return WrongSettings(why, do="mend the directory that agents.instructions names")
