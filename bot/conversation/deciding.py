"""Doing what a message asks for: a prompt, a command, an answer, a thread that joins a session."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from adapters.chat.incoming import Attached, Quoted
from adapters.forge.port import Permission
from bot.automate.reminders import asking
from bot.automate.runs.beginning import Begun
from bot.conversation import (
    answering,
    automating,
    commands,
    reminder_obeying,
    reminding,
    run_obeying,
    threads,
    words,
)
from bot.conversation.meant import meant
from bot.conversation.message import KEY_LENGTH_MAX, Accepted, IncomingMessage, Verdict
from bot.conversation.obeying import obey
from bot.conversation.prompt_checks import check_length, check_options
from bot.conversation.prompting import add_prompt
from bot.conversation.reading_along import Readers, Told
from bot.conversation.reminder_commands import Remind, Reminders
from bot.conversation.run_aiming import aim, briefed
from bot.conversation.saying import post, say
from bot.conversation.unadded import unadded
from bot.errors import NoProject, NotFound, NothingToDo, NotPermitted, Refused
from bot.govern.access import Act, Standing, require
from bot.govern.agents import Agents
from bot.govern.people import standing_of
from bot.govern.projects import check_size
from bot.govern.repositories import address
from bot.govern.rights import Rights, to_see
from bot.store.states import SessionState
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work import destinations, questions
from bot.work.control import Actor
from bot.work.queue import Event, LockedSession, NewPrompt, append_events, lock_session

TOLD_IN_THREAD = frozenset({"status", "queue", "sessions", "help", "unmute"})
"""Commands whose answer is all that comes of them; what the others do is told as it happens."""
READING = frozenset({"status", "queue", "sessions", "help", "mute", "unmute"})
"""Commands that change nothing for anybody else."""
SHOWING = frozenset({"status", "queue", "retry"})
"""Those that say where they are said what was asked elsewhere."""
HINTED = frozenset({"mute"})
"""Commands after which the thread itself is told nothing."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What became of a message."""

    accepted: Accepted
    text: str
    """What the delivery row keeps beside the answer: the words of its prompt."""
    quoted: Sequence[Quoted] = ()
    """What goes with them."""
    files: Sequence[Attached] = ()
    like: UUID | None = None
    """The prompt whose files it has too."""


class Deciding:
    """Decides about messages, each in the transaction of its delivery; holds nothing."""

    def __init__(
        self,
        rights: Rights,
        *,
        prompt_bytes_max: int,
        mention: str,
        sizes: Collection[str],
        agents: Agents,
    ) -> None:
        """See `bot.conversation.inbox.Inbox`."""
        self._rights = rights
        self._prompt_bytes_max = prompt_bytes_max
        self._mention = mention
        self._sizes = sizes
        self._agents = agents

    async def decide(
        self, tx: Transaction, message: IncomingMessage, begun: Begun | None = None
    ) -> Decided:
        """Do what a message asks for.

        :param begun: the run that was begun for it
        :raises TellPerson: it can't be done; nothing was
        :raises NotAsked: a forge has to be asked first, outside of any transaction
        :raises ToBegin: a run has to begin first, outside of any transaction
        """
        who = await self._standing(tx, message.person_id)
        if message.repository:
            await self._rights.check_at(tx, who, message.repository, Permission.WRITE)
        check_length(message.text, self._prompt_bytes_max, kept=_("nothing was queued"))
        message = await aim(tx, message, self._parsed(message))
        parsed = self._parsed(message)
        match parsed:
            case commands.Nothing():
                raise Refused(_("the message is empty"), do=_("say what to do, or `help`"))
            case commands.Aside():
                return decided("command", _("Not for me: nothing was done."))
            case commands.Command() | commands.Answer() | commands.Allow():
                return await self._command(tx, message, who, parsed)
            case commands.Join():
                session = parsed.session or await threads.linked(tx, message, parsed.link)
                return await self._join(tx, message, who, session)
            case Remind() | Reminders() | commands.Runs() | commands.Automations():
                return await self._by_itself(tx, message, who, parsed, begun)
            case commands.Connect():
                raise Refused(
                    _("accounts are connected on the page “Your accounts”, or in a direct message"),
                    do=_("open one of them"),
                )
            case commands.Prompt() if parsed.private:
                return await self._private(tx, message, who, parsed)
            case commands.Prompt():
                return await self._prompt(tx, message, who, parsed)

    def _parsed(self, message: IncomingMessage) -> commands.Parsed:
        return commands.parse(message.text.replace("\x00", "\ufffd"), self._mention)

    async def _standing(self, tx: Transaction, person_id: UUID) -> Standing:
        standing = await standing_of(tx, person_id)
        require(standing, Act.PROMPT)
        return standing

    async def _may(
        self, tx: Transaction, who: Standing, found: threads.Found, need: Permission
    ) -> None:
        """:raises NotPermitted: they may not do that with the session's project"""
        if self._rights.guard and not who.operator:
            project_id = await threads.project_of(tx, found.session_id)
            await self._rights.check(tx, who, project_id, to_see(narrow=found.narrow, need=need))

    async def _command(
        self,
        tx: Transaction,
        message: IncomingMessage,
        who: Standing,
        command: commands.Command | commands.Answer | commands.Allow,
    ) -> Decided:
        found = await threads.find(tx, message)
        if isinstance(command, commands.Allow):
            return await self._allow(tx, message, found, who, command)
        if isinstance(command, commands.Answer):
            return await self._choice(tx, found, who, command)
        if found is not None:
            need = Permission.READ if command.word in READING else Permission.WRITE
            await self._may(tx, who, found, need)
            if command.word in SHOWING:
                threads.check_readers(message, found.short, narrow=found.narrow)
        recent = partial(self._recent, who, message)
        obeyed = await obey(tx, found, _actor(who), command, agents=self._agents, recent=recent)
        told = obeyed.told
        if found is None:
            return decided("command", told, hint=told)
        hinted = command.word in HINTED or (command.word == "sessions" and message.whispers)
        if command.word in TOLD_IN_THREAD and message.told_in_thread and not hinted:
            await say(tx, found.thread_id, f"told:{message.delivery_key}", told)
        if obeyed.key and message.told_in_thread:
            await post(tx, found.thread_id, obeyed.key, told, buttons=obeyed.buttons)
        accepted = Accepted(
            verdict="command",
            text=told,
            session_id=found.session_id,
            session=found.short,
            hint=told if hinted else "",
        )
        if (added := obeyed.added) is not None:
            accepted = replace(
                accepted, verdict="prompt", prompt_id=added.prompt_id, event=added.event
            )
        return Decided(accepted=accepted, text=obeyed.said, quoted=obeyed.quoted, like=obeyed.like)

    async def _by_itself(
        self,
        tx: Transaction,
        message: IncomingMessage,
        who: Standing,
        asked: Remind | Reminders | commands.Runs | commands.Automations,
        begun: Begun | None,
    ) -> Decided:
        """Set a reminder, or do something about reminders, runs and automations that are there."""
        if isinstance(asked, Remind):
            return await self._remind(tx, message, who, asked)
        readers = Readers(message=message, found=await threads.find(tx, message))
        if isinstance(asked, Reminders):
            told = await reminder_obeying.obey(tx, self._rights, who, readers, asked)
        elif isinstance(asked, commands.Runs):
            told = await run_obeying.obey(tx, self._rights, who, readers, asked)
        else:
            asker = automating.Asker(who=who, surface=message.surface, rights=self._rights)
            told = await automating.obey(tx, asker, readers, asked, begun)
        return await _told(tx, readers, told)

    async def _remind(
        self, tx: Transaction, message: IncomingMessage, who: Standing, asked: Remind
    ) -> Decided:
        """Say back what was understood; the reminder waits for its author's yes."""
        if asked.is_unread:
            # Before anything that only a reminder needs, such as its project.
            raise asking.ask_when(asked.whom, asked.words)
        found = await threads.find_or_begin(tx, message)
        if found is None:
            prompt = commands.Prompt(text=asked.words)
            found = await self._open(tx, message, who, prompt)
        await self._may(tx, who, found, Permission.READ)
        project_id = await threads.project_of(tx, found.session_id)
        here = reminding.Here(
            session_id=found.session_id, thread_id=found.thread_id, project_id=project_id
        )
        proposed = await reminding.propose(tx, message, who, asked, here)
        if message.told_in_thread:
            key, buttons = f"reminder:{proposed.short}", proposed.buttons
            await post(tx, found.thread_id, key, proposed.told, buttons=buttons)
        ids: dict[str, Any] = {"session_id": found.session_id, "session": found.short}
        return decided("command", proposed.told, **ids)

    async def _recent(
        self, who: Standing, message: IncomingMessage, tx: Transaction
    ) -> list[dict[str, Any]]:
        """The sessions that were active last, of those that they may see.

        In a repository's conversation, where all its readers see the answer, its own alone that
        all of them could have read.
        """
        recent = await threads.recent(tx, message, who.person_id)
        if home := address(message.repository):
            shared = [row for row in recent if not (row["private_to"] or row["narrow"])]
            recent = [row for row in shared if address(row["repository_url"]) == home]
        levels = await self._rights.levels(tx, who, {row["project_id"] for row in recent})
        return [
            row for row in recent if levels[row["project_id"]].allows(to_see(narrow=row["narrow"]))
        ]

    async def _join(
        self, tx: Transaction, message: IncomingMessage, who: Standing, session: str
    ) -> Decided:
        """Bring the thread into a session; what it was in before goes on without it."""
        before = await threads.find(tx, message)
        if before is not None:
            await self._may(tx, who, before, Permission.WRITE)
        found = await threads.find(tx, replace(message, session=session))
        if found is None:
            raise NotFound(_("there is no session {session}", session=session))
        await self._may(tx, who, found, Permission.WRITE)
        joined = Event(
            kind="thread.joined",
            body={"by": who.person_id, "name": who.name, "surface": message.surface},
        )
        event = await append_events(tx, found.session_id, [joined])
        told = words.joined(session, await threads.title(tx, found.session_id))
        if message.told_in_thread:
            await say(tx, found.thread_id, f"told:{message.delivery_key}", told)
        accepted = Accepted(
            verdict="command",
            text=told,
            session_id=found.session_id,
            session=session,
            event=event,
        )
        return Decided(accepted=accepted, text="")

    async def _allow(
        self,
        tx: Transaction,
        message: IncomingMessage,
        found: threads.Found | None,
        who: Standing,
        asked: commands.Allow,
    ) -> Decided:
        """Let the session reach what its people were asked about, if its author decides that."""
        if found is None or message.read_only:
            raise NothingToDo(_("nobody was asked about a destination here"))
        await self._may(tx, who, found, Permission.WRITE)
        project_id = await threads.project_of(tx, found.session_id)
        if not await self._rights.decides_reach(tx, who, project_id):
            raise NotPermitted(
                _("only who administers the project's repository, or runs ona, decides this"),
                kept=_("nothing was changed"),
                do=_("ask one of them to answer here"),
            )
        told = await destinations.allow(
            tx,
            who,
            found.session_id,
            project_id,
            (asked.host, asked.port),
            surface=message.surface,
        )
        return decided("command", told, session_id=found.session_id, session=found.short)

    async def _prompt(
        self,
        tx: Transaction,
        message: IncomingMessage,
        who: Standing,
        prompt: commands.Prompt,
    ) -> Decided:
        found, actor = None, _actor(who)
        size = prompt.options.get("size")
        if size is not None:
            check_size(size, self._sizes)
        if not (prompt.new or message.new):
            found = await threads.find_or_begin(tx, message)
        need = Permission.READ if message.read_only else Permission.WRITE
        if found is not None:
            await self._may(tx, who, found, need)
            await check_options(tx, found.session_id, found.short, prompt.options, self._agents)
            message = await briefed(tx, message, found)
            await threads.read_on(tx, found.thread_id)
        plain = not prompt.options and prompt.kind == "text" and not prompt.now
        if found is not None and plain and not message.read_only:
            answered = await self._as_answer(tx, found, who, prompt.text)
            if answered is not None:
                return answered
        if found is None and not message.begins:
            raise NothingToDo(_("no session works on this any more"))
        if found is None:
            await self._check_added(tx, message, who, prompt)
            found = await self._open(tx, message, who, prompt)
            await self._may(tx, who, found, need)
        elif size is not None:
            await threads.resize(tx, found.session_id, size)
        session = await lock_session(tx, found.session_id)
        if session is None:
            raise NotFound(
                _("there is no session {session}", session=found.short),
                do=_("`sessions` lists those there are"),
            )
        return await self._enqueue(tx, message, actor, prompt=prompt, found=found, session=session)

    async def _open(
        self,
        tx: Transaction,
        message: IncomingMessage,
        who: Standing,
        prompt: commands.Prompt,
        *,
        parent_id: UUID | None = None,
    ) -> threads.Found:
        """Open a session on what is meant, of the projects that they may see."""
        return await threads.open_session(
            tx,
            message,
            _actor(who),
            prompt,
            self._agents,
            parent_id=parent_id,
            choosing=partial(meant, self._rights, who),
        )

    async def _check_added(
        self, tx: Transaction, message: IncomingMessage, who: Standing, prompt: commands.Prompt
    ) -> None:
        """:raises NoProject: what is meant has none, and they may make one"""
        if not self._rights.guard or message.repository:
            return
        if await unadded(tx, self._rights, who, message, prompt) is not None:
            raise NoProject(_("this repository has no project here"), kept=_("nothing was run"))

    async def _private(
        self, tx: Transaction, message: IncomingMessage, who: Standing, prompt: commands.Prompt
    ) -> Decided:
        """A session of the author's own, from where the thread's session stands."""
        if message.repository:
            raise Refused(
                _("there is nobody here whom I could answer alone"),
                kept=_("nothing was run"),
                do=_("ask in a chat, in a direct message or on the web page"),
            )
        if (size := prompt.options.get("size")) is not None:
            check_size(size, self._sizes)
        whose = replace(message, place=message.beside) if message.beside else message
        before = await threads.find(tx, whose)
        if before is not None:
            await self._may(tx, who, before, Permission.WRITE)
        own = replace(message, session=None)
        if not message.beside:
            own = replace(own, place=f"{message.place}~{message.message_key}"[:KEY_LENGTH_MAX])
        parent_id = before.session_id if before else None
        found = await self._open(tx, own, who, prompt, parent_id=parent_id)
        await self._may(tx, who, found, Permission.WRITE)
        session = await lock_session(tx, found.session_id)
        if session is None:
            raise NotFound(_("there is no session {session}", session=found.short))
        return await self._enqueue(
            tx, own, _actor(who), prompt=prompt, found=found, session=session
        )

    async def _as_answer(
        self, tx: Transaction, found: threads.Found, who: Standing, said: str
    ) -> Decided | None:
        """Hand over an answer; None: it is a prompt, for somebody else is asked.

        :raises Refused: it is none of the choices, or a choice that others have
        """
        session = await lock_session(tx, found.session_id)
        # A running turn may have asked, too: its agent goes on with something else meanwhile.
        if session is None or session.state not in {SessionState.WAITING, SessionState.RUNNING}:
            return None
        question = await questions.open_question(tx, found.session_id)
        if question is None:
            return None
        chosen = question.closed and question.means(said) is not None
        if not (chosen or question.may_answer(who.person_id)):
            return None
        event = await answering.answer(tx, self._rights, who, found.session_id, said)
        return _answered(found, event)

    async def _choice(
        self, tx: Transaction, found: threads.Found | None, who: Standing, chosen: commands.Answer
    ) -> Decided:
        """Hand over a choice of the one question that it was shown with."""
        asked = None
        if found is not None:
            asked = await questions.open_question(tx, found.session_id, chosen.question)
        if found is None or asked is None or not 1 <= chosen.number <= len(asked.choices):
            raise NothingToDo(_("this question is not open any more"))
        await self._may(tx, who, found, Permission.WRITE)
        said = asked.choices[chosen.number - 1]
        event = await answering.answer(
            tx, self._rights, who, found.session_id, said, question_id=asked.id
        )
        return _answered(found, event)

    async def _enqueue(
        self,
        tx: Transaction,
        message: IncomingMessage,
        actor: Actor,
        *,
        prompt: commands.Prompt,
        found: threads.Found,
        session: LockedSession,
    ) -> Decided:
        added = await add_prompt(
            tx,
            session,
            actor,
            NewPrompt(
                said=prompt.text,
                kind=prompt.kind,
                thread_id=found.thread_id,
                joins=True,
                front=prompt.now,
                asker=message.asker,
                language=message.language,
                read_only=message.read_only,
            ),
            surface=message.surface,
            ref=message.ref,
            chosen=found.chosen,
            resembles=prompt.resembles,
        )
        if added.halt is not None and message.told_in_thread:
            await say(tx, found.thread_id, f"halt:{added.halt.id}", words.halted(added.halt.told))
        accepted = Accepted(
            verdict="joined" if added.joined else "prompt",
            text=added.told,
            session_id=session.id,
            session=found.short,
            prompt_id=added.prompt_id,
            event=added.event,
            hint=added.told if prompt.resembles else "",
        )
        return Decided(
            accepted=accepted, text=prompt.text, quoted=message.quoted, files=message.files
        )


async def _told(tx: Transaction, readers: Readers, told: Told) -> Decided:
    """Say what came of a command where it was said, if that has a session, or to its author."""
    found, message = readers.found, readers.message
    if found is None:
        return decided("command", told.text, hint=told.text)
    hint = told.text if told.is_wide and message.whispers else ""
    if message.told_in_thread and not hint:
        key = f"told:{message.delivery_key}"
        await post(tx, found.thread_id, key, told.text, is_marked=told.is_marked)
    ids: dict[str, Any] = {"session_id": found.session_id, "session": found.short}
    return decided("command", told.text, hint=hint, **ids)


def decided(verdict: Verdict, told: str, **more: Any) -> Decided:
    """A verdict that keeps no words."""
    return Decided(accepted=Accepted(verdict=verdict, text=told, **more), text="")


def _answered(found: threads.Found, event: int) -> Decided:
    told = _("Your answer was handed over.")
    ids: dict[str, Any] = {"session_id": found.session_id, "session": found.short}
    return decided("answer", told, event=event, **ids)


def _actor(who: Standing) -> Actor:
    return Actor(id=who.person_id, name=who.name)
