"""The pull request of a delivery: looked up by its branch, and opened where there is none."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from pydantic import SecretStr

from adapters.chat.port import ChatError, Deadline
from adapters.forge.port import NewPullRequest, PullRequest
from bot.govern.policy_text import Delivery
from bot.work import delivering, pull_body
from bot.work.delivery_rows import About, Opened
from bot.work.lease import Lease, OpenTurn
from bot.work.scratch import Scratch
from bot.work.wishes import Wish

if TYPE_CHECKING:
    from bot.work.delivery import DeliveryForge, DeliveryMeans

log = structlog.get_logger(__name__)

FORGE_SECONDS_MAX = 20.0


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Opens pull requests for one turn."""

    means: "DeliveryMeans"
    lease: Lease
    turn: OpenTurn
    about: About
    policy: Delivery
    here: Scratch | None
    """What is delivered; None: nothing but a wish."""
    base: str | None

    async def of(self, branch: str, head: str) -> Opened:
        """The pull request of the branch at this commit; that a forge is away is told."""
        found = self.means.forge_of(self.about.url)
        if found is None or self.base is None:
            return Opened()
        forge, name = found
        try:
            there = await forge.pulls.find(name, branch, Deadline.after(FORGE_SECONDS_MAX))
            step = delivering.request(there, self.policy)
            if step != "open":
                if there is not None and step == "keep":
                    await self._reword(forge, name, there)
                return Opened(pull=there if step == "keep" else None)
            return await self._open(forge, name, branch, head)
        except ChatError as error:
            log.warning("no_pull_request", why=str(error))
            return Opened(why_not=str(error)[:300] or type(error).__name__)

    async def reworded(self, branch: str) -> None:
        """Let the open pull request say what this turn wished, where nothing else is delivered."""
        found = self.means.forge_of(self.about.url)
        if found is None or await self._wish_of_turn() is None:
            return
        forge, name = found
        try:
            there = await forge.pulls.find(name, branch, Deadline.after(FORGE_SECONDS_MAX))
            if there is not None and there.state == "open":
                await self._reword(forge, name, there)
        except ChatError as error:
            log.warning("pull_request_not_reworded", why=str(error))

    async def _reword(self, forge: "DeliveryForge", name: str, there: PullRequest) -> None:
        """:raises ChatError:"""
        wish = await self._wish_of_turn()
        if wish is None or not (wish.title or wish.body):
            return
        title = pull_body.title_of(wish.title) if wish.title else None
        body = None
        if wish.body:
            body = pull_body.wished(wish.body, await self._story(by_us=True))
        self.lease.must_last()
        deadline = Deadline.after(FORGE_SECONDS_MAX)
        await forge.pulls.update(name, there.number, deadline, title=title, body=body)

    async def _wish_of_turn(self) -> Wish | None:
        wish = await self.means.rows.wish(self.lease.session_id, self.about.url)
        return wish if wish is not None and wish.turn_id == self.turn.id else None

    async def _open(self, forge: "DeliveryForge", name: str, branch: str, head: str) -> Opened:
        """Open one as the person if they let us, else as ourselves. :raises ChatError:"""
        token = await forge.token_of(self.about.person_id)
        if token is not None:
            try:
                return await self._create(forge, name, branch, head, by=token)
            except ChatError as error:
                log.info("not_opened_by_person", why=str(error))
        opened = await self._create(forge, name, branch, head, by=None)
        return replace(opened, offer=token is None and forge.keeps_tokens)

    async def _create(
        self, forge: "DeliveryForge", name: str, branch: str, head: str, *, by: SecretStr | None
    ) -> Opened:
        new = await self._new(forge, branch, head, by_us=by is None)
        self.lease.must_last()
        deadline = Deadline.after(FORGE_SECONDS_MAX)
        try:
            pull = await forge.pulls.create(name, new, deadline, by=by)
        except ChatError:
            # It may be there all the same: opened by an earlier holder, or not answered.
            found = await forge.pulls.find(name, branch, Deadline.after(FORGE_SECONDS_MAX))
            if found is None or found.state != "open":
                raise
            pull = found
        return Opened(pull=pull, is_new=True, by_person=by is not None)

    async def _new(
        self, forge: "DeliveryForge", branch: str, head: str, *, by_us: bool
    ) -> NewPullRequest:
        assert self.base is not None
        story = await self._story(by_us=by_us)
        wish = await self.means.rows.wish(self.lease.session_id, self.about.url)
        title = (wish.title if wish else None) or self.about.title or self.turn.text
        body = pull_body.wished(wish.body, story) if wish and wish.body else ""
        template = ""
        for path in pull_body.TEMPLATE_NAMES.get(forge.surface, ()):
            assert self.here is not None
            template = template or await self.here.text(head, path)
        return NewPullRequest(
            head=branch,
            base=self.base,
            title=pull_body.title_of(title),
            body=body or pull_body.body_of(story, template),
            draft=self.policy.draft or bool(wish and wish.draft),
        )

    async def _story(self, *, by_us: bool) -> pull_body.Story:
        words, tools = await self.means.rows.said(self.lease, self.turn)
        pages, short = self.means.pages, self.lease.short
        return pull_body.Story(
            what=words,
            asked=self.turn.text,
            by=self.about.name,
            agent=self.lease.agent,
            short=short,
            tools=tools,
            link=f"{pages}/sessions/{short}" if pages else "",
            by_us=by_us,
        )
