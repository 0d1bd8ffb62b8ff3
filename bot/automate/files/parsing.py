"""Files of automations: bytes in, a definition or everything that is wrong with it out; pure.

A file is ours if its `schema:` says so. What lies beside it is left alone.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bot.automate.definition import KINDS, SCHEMA, STEP_KINDS, Definition, PromptStep
from bot.automate.files import checks
from bot.automate.files.expected import expected_of
from bot.automate.files.yaml_tree import (
    FAULTS_MAX,
    FIRST,
    Fault,
    NotYaml,
    Path,
    Spot,
    Tree,
    parse,
    shown,
)
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _

FOLDER = ".ona/automations"
ENDINGS = (".yaml", ".yml")
FILES_MAX = 200
"""In the folder of a repository."""
_SAYS = re.compile(rb"^schema:\s*[\"']?" + re.escape(SCHEMA.encode()) + rb"[\"']?\s*(?:#|$)", re.M)
_PARTS: Mapping[str, Mapping[str, type[BaseModel]]] = {
    "triggers": {key: kind for kind, key in KINDS.items()},
    "steps": {key: kind for kind, key in STEP_KINDS.items()},
}
"""Lists whose entries are told apart by their key."""
_STANDS_IN: Mapping[str, Sequence[BaseModel]] = {
    "triggers": (),
    "steps": (PromptStep(prompt="-"),),
}
"""What is taken for a list of which entries are wrong, so that the rest is looked at too."""


@dataclass(frozen=True, kw_only=True)
class Ours:
    """A file that says what an automation is."""

    path: str
    definition: Definition
    spot: Spot = FIRST
    """Of its name."""


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A file of ours with mistakes."""

    path: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True, kw_only=True)
class LeftAlone:
    """Somebody else's file."""

    path: str
    why: Message


File = Ours | Wrong | LeftAlone


def read(path: str, data: bytes) -> File:
    """What a file says."""
    try:
        tree = parse(data)
    except NotYaml as error:
        if _SAYS.search(data) is None:
            return LeftAlone(path=path, why=_("it does not say `schema: {schema}`", schema=SCHEMA))
        return Wrong(path=path, faults=(error.fault,))
    said = tree.value.get("schema") if isinstance(tree.value, dict) else None
    if said is None:
        return LeftAlone(path=path, why=_("it does not say `schema: {schema}`", schema=SCHEMA))
    if said != SCHEMA:
        return LeftAlone(path=path, why=_("its schema is {schema}", schema=shown(said)))
    found = defined(tree)
    if isinstance(found, Definition):
        return Ours(path=path, definition=found, spot=tree.spot(("name",)))
    return Wrong(path=path, faults=found)


def defined(tree: Tree) -> Definition | tuple[Fault, ...]:
    """The definition in a tree, or everything that is wrong."""
    if not isinstance(tree.value, dict):
        expected = _("keys with their values, such as `name:` and `steps:`")
        return (_fault(tree, (), expected, tree.value),)
    value, faults = {**tree.value}, [*tree.faults]
    value.pop("schema", None)
    for name, kinds in _PARTS.items():
        value[name] = list(_entries(tree, name, kinds, value, faults)) if name in value else None
        if value[name] is None:
            del value[name]
    definition, more = _validated(tree, Definition, value, ())
    faults += more
    if isinstance(definition, Definition):
        faults += [_fault(tree, *problem) for problem in checks.of_whole(definition)]
        if not faults:
            return definition
    return tuple(sorted(faults, key=lambda one: one.spot)[:FAULTS_MAX])


def distinct(found: Iterable[File]) -> tuple[File, ...]:
    """The files, of which the later ones with a name that is taken are wrong."""
    paths: dict[str, str] = {}
    kept: list[File] = []
    for file in sorted(found, key=lambda one: one.path):
        if isinstance(file, Ours) and (first := paths.get(file.definition.name)) is not None:
            expected = _("a name of its own: {path} has this one", path=first)
            fault = Fault(
                spot=file.spot, at=("name",), said=file.definition.name, expected=expected
            )
            kept.append(Wrong(path=file.path, faults=(fault,)))
            continue
        if isinstance(file, Ours):
            paths[file.definition.name] = file.path
        kept.append(file)
    return tuple(kept)


def _entries(
    tree: Tree,
    name: str,
    kinds: Mapping[str, type[BaseModel]],
    value: Mapping[str, Any],
    faults: list[Fault],
) -> Any:
    """The entries of such a list, each read as what its key says."""
    said = value[name]
    if not isinstance(said, list):
        faults.append(_fault(tree, (name,), _("a list: a line with `- ` for each entry"), said))
        return _STANDS_IN[name]
    entries: list[BaseModel] = []
    before = len(faults)
    for place, one in enumerate(said):
        entry, more = _entry(tree, (name, place), kinds, one)
        faults += more
        if entry is not None:
            entries.append(entry)
            found = checks.of_entry(entry, value.get("name"))
            faults += [_fault(tree, (name, place, *path), *rest) for path, *rest in found]
    return entries if len(faults) == before else _STANDS_IN[name]


def _entry(
    tree: Tree, path: Path, kinds: Mapping[str, type[BaseModel]], said: Any
) -> tuple[BaseModel | None, list[Fault]]:
    known = ", ".join(f"`{kind}`" for kind in kinds)
    if not isinstance(said, dict):
        expected = _("one of the keys {keys}, with a colon and its value", keys=known)
        return None, [_fault(tree, path, expected, said, near=_near(said, kinds))]
    named = [key for key in said if key in kinds]
    if len(named) > 1:
        expected = _("one of its kinds in an entry: each begins with `- ` in a line of its own")
        both = " + ".join(named)
        return None, [_fault(tree, (*path, named[1]), expected, both, spot=tree.keys)]
    if not named:
        expected = _("one of the keys {keys}", keys=known)
        first = next(iter(said), "")
        near = next((close for key in said if (close := _near(key, kinds))), "")
        return None, [_fault(tree, (*path, first), expected, first, near=near, spot=tree.keys)]
    return _validated(tree, kinds[named[0]], said, path)


def _validated(
    tree: Tree, model: type[BaseModel], value: Any, path: Path
) -> tuple[Any, list[Fault]]:
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        return None, list(_of_model(tree, model, error, path))


def _of_model(
    tree: Tree, model: type[BaseModel], error: ValidationError, path: Path
) -> Iterator[Fault]:
    for one in error.errors(include_url=False):
        loc: Path = one["loc"]
        if one["type"] == "too_short" and len(one["input"]) >= one["ctx"]["min_length"]:
            # What is in it is wrong, which is said of that.
            continue
        if one["type"] == "missing":
            expected = _("the key `{key}`", key=loc[-1])
            yield replace(_fault(tree, (*path, *loc[:-1]), expected, None), said="")
        elif one["type"] == "extra_forbidden":
            fields = _fields(model, loc[:-1])
            expected = _("one of the keys {keys}", keys=", ".join(f"`{key}`" for key in fields))
            near = _near(loc[-1], fields)
            yield _fault(tree, (*path, *loc), expected, loc[-1], near=near, spot=tree.keys)
        else:
            expected, near = expected_of(one)
            yield _fault(tree, (*path, *loc), expected, one["input"], near=near)


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    """The keys of what stands at a path in what a model describes."""
    for part in path:
        annotation = model.model_fields[part].annotation if isinstance(part, str) else None
        inner = next(_models(annotation), None)
        model = model if inner is None else inner
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models(one)


def _near(said: object, known: Iterable[str]) -> str:
    found = get_close_matches(str(said).casefold(), list(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def _fault(
    tree: Tree,
    path: Path,
    expected: Message,
    said: Any,
    *,
    near: str = "",
    spot: Mapping[Path, Spot] | None = None,
) -> Fault:
    """:param spot: where to look first, if that is not where the value begins"""
    where = (spot or {}).get(path) or tree.spot(path)
    return Fault(spot=where, at=path, said=shown(said), expected=expected, near=near)
