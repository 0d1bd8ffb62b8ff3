"""Checks files of automations where they lie, without a server."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bot.automate.files.parsing import ENDINGS, read
from bot.automate.files.syncing import plan
from bot.automate.files.yaml_tree import BYTES_MAX
from bot.errors import Refused
from bot.words.catalogue import again


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files that are named, and those of the folders. :raises Refused: there is none"""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(one for one in path.iterdir() if one.name.endswith(ENDINGS))
        elif path.is_file():
            found.append(path)
        else:
            raise Refused(f"there is no file {path}", do="give files, or folders of them")
    if not found:
        raise Refused(
            "there is no file to check", do=f"give files that end in {' or '.join(ENDINGS)}"
        )
    return found


def check_files(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """{path, kind, name, said} of each; see `bot.automate.files.syncing`.

    :raises Refused: unreadable
    """
    checked = plan((), [read(str(path), _bytes(path)) for path in paths])
    return [{**one, "said": [str(again(said)) for said in one["said"]]} for one in checked.files]


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(BYTES_MAX + 1)
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}", do="give another file") from error
