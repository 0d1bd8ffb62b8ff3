"""Giving the agent of a turn the instructions that are not its repository's.

    the installation's directory, the project's text ─▶ tar ─▶ files below the agent's home

They lie where the agent's program itself looks for what holds for every repository, never in a work
tree. What people or agents wrote there stays: our text is between marks, and our skills are the
directories that have a mark of ours in them.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text

from bot.govern.instructions import BEGIN, END, MARK, SKILLS, TEXT, Installed
from bot.store.database import Database
from bot.work.lease import Lease
from bot.work.materials import Materials
from bot.work.queue import hold

_KNOWN = text(
    """
    SELECT project.instructions, session.instructed
      FROM session JOIN project ON project.id = session.project_id WHERE session.id = :session
    """
)
_NOTE = text("UPDATE session SET instructed = :digest WHERE id = :session")
PUT = r"""
set -eu
umask 022
given=$HOME/.ona/given
rm -rf -- "$given"
mkdir -p -- "$given"
tar --extract --no-same-owner --file=- --directory="$given"
script=$1
shift
$(command -v ona-inside || true) /bin/sh -c "$script" place "$given" "$@"
rm -rf -- "$given"
"""
"""In the machine; what follows may run in its dev container, whose home is another one."""
PLACE = rf"""
set -eu
umask 022
given=$1
shift
while [ $# -gt 0 ]; do
  file=$HOME/$1
  if [ -n "$1" ] && {{ [ -f "$given/{TEXT}" ] || [ -e "$file" ]; }}; then
    mkdir -p -- "${{file%/*}}"
    touch -- "$file"
    if grep -qxF -- '{END}' "$file"; then
      sed '/^{BEGIN}$/,/^{END}$/d' "$file" > "$file.rest"
    else
      cat -- "$file" > "$file.rest"
    fi
    if [ -f "$given/{TEXT}" ]; then
      {{ echo '{BEGIN}'; cat -- "$given/{TEXT}"; echo '{END}'; cat -- "$file.rest"; }} > "$file.new"
      mv -f -- "$file.new" "$file"
      rm -f -- "$file.rest"
    elif [ -s "$file.rest" ]; then
      mv -f -- "$file.rest" "$file"
    else
      rm -f -- "$file" "$file.rest"
    fi
  fi
  if [ -n "$2" ]; then
    skills=$HOME/$2
    for one in "$skills"/*; do
      [ -L "$one" ] || [ ! -f "$one/{MARK}" ] || rm -rf -- "$one"
    done
    for one in "$given/{SKILLS}"/*; do
      ours=$skills/${{one##*/}}
      [ -d "$one" ] && [ ! -e "$ours" ] && [ ! -L "$ours" ] || continue
      mkdir -p -- "$ours"
      : > "$ours/{MARK}"
      cp -R -- "$one/." "$ours/"
    done
  fi
  shift 2
  given=/nowhere
done
"""
"""The places of the turn's agent first; those of others, which the session had before, are
cleared. A directory gets its mark before anything else, so that it is ours if this is cut off."""


@dataclass(frozen=True, kw_only=True)
class ToldAt:
    """Where an agent looks, below its home directory."""

    text: str | None = None
    skills: str | None = None


class Instructing:
    """Gives agents of one host their instructions."""

    def __init__(
        self, database: Database, installed: Installed, places: Mapping[str, ToldAt]
    ) -> None:
        """`places` of all agents by name; who is not among them gets none."""
        self._database = database
        self._installed = installed
        self._places = places

    async def give(self, lease: Lease, materials: Materials, agent: str) -> None:
        """Let the agent find the instructions of now, and nothing of those of before. Idempotent.

        :raises ConnectionError: the way into the machine is lost
        :raises JobRefused: the machine has no room for them
        :raises LeaseLost:
        """
        place = self._places.get(agent)
        if place is None:
            return
        installed = await asyncio.to_thread(self._installed.now)
        async with self._database.begin() as tx:
            known = (await tx.execute(_KNOWN, {"session": lease.session_id})).one()
            given = installed.with_text(known.instructions)
            if not given and known.instructed is None:
                return
            if given.digest != known.instructed:
                await hold(tx, lease.key)
                # Before they are there: what is noted is taken away again.
                await tx.execute(_NOTE, {"session": lease.session_id, "digest": given.digest})
        argv = ["/bin/sh", "-c", PUT, "put", PLACE, *self._words(place)]
        await materials.instruct(argv, given.packed())

    def _words(self, first: ToldAt) -> list[str]:
        others = [one for one in self._places.values() if one != first]
        return [path or "" for one in (first, *others) for path in (one.text, one.skills)]
