"""The pull request of a delivery: looked up by its branch, and opened where there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog
from pydantic import SecretStr

from adapters.chat.port import ChatError, Deadline
from adapters.forge.port import NewPullRequest, PullRequest
from bot.govern.policy_text import Delivery
from bot.work import delivering, pull_body, pull_marks
from bot.work.delivery_means import DeliveryForge, DeliveryMeans
from bot.work.delivery_rows import About, Opened
from bot.work.lease import Lease, OpenTurn
from bot.work.pull_body import Words
from bot.work.scratch import TARGET, Scratch
from bot.work.wishes import Wish

log = structlog.get_logger(__name__)

FORGE_SECONDS_MAX = 20.0


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Opens pull requests for one turn."""

    means: DeliveryMeans
    lease: Lease
    turn: OpenTurn
    about: About
    policy: Delivery
    here: Scratch | None
    """What is delivered; None: nothing but a wish."""
    base: str | None
    linked: bool = False
    """The session has other repositories besides this one."""

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
                    there = await self._reword(forge, name, there)
                return Opened(pull=there if step == "keep" else None)
            return await self._open(forge, name, branch, head)
        except ChatError as error:
            log.warning("no_pull_request", why=str(error))
            return Opened(why_not=str(error)[:300] or type(error).__name__)

    async def reworded(self, branch: str) -> None:
        """Let the open pull request say what this turn wished, where nothing else is delivered."""
        found = self.means.forge_of(self.about.url)
        wish = await self._wish()
        if found is None or wish is None or wish.turn_id != self.turn.id:
            return
        forge, name = found
        try:
            there = await forge.pulls.find(name, branch, Deadline.after(FORGE_SECONDS_MAX))
            if there is not None and there.state == "open":
                await self._reword(forge, name, there)
        except ChatError as error:
            log.warning("pull_request_not_reworded", why=str(error))

    async def _reword(self, forge: DeliveryForge, name: str, there: PullRequest) -> PullRequest:
        """Renew what it says, as far as that is ours. :raises ChatError:"""
        rows, lease, turn = self.means.rows, self.lease, self.turn
        earlier = await rows.earlier(lease, turn, there.url)
        story = replace(await self._story(by_us=True), earlier=earlier)
        wish, since = await self._wish(), None
        wished = wish.draft if wish is not None and wish.draft_turn_id == turn.id else None
        draft = delivering.turned(there, wished, self.policy)
        if wish is not None and wish.turn_id != turn.id:
            if wish.turn_id is not None:
                since = [*await rows.earlier(lease, turn, there.url, after=wish.turn_id), story]
            wish = None
        words = pull_body.again(
            Words(title=there.title, body=there.body),
            story,
            wish=Words(title=wish.title, body=wish.body) if wish else Words(),
            changed=self.here is not None,
            since=since,
        )
        if words == Words() and draft is None:
            return there
        lease.must_last()
        deadline = Deadline.after(FORGE_SECONDS_MAX)
        said = {"title": words.title, "body": words.body}
        return await forge.pulls.update(name, there, deadline, **said, draft=draft)

    async def _wish(self) -> Wish | None:
        return await self.means.rows.wish(self.lease.session_id, self.about.url)

    async def _open(self, forge: DeliveryForge, name: str, branch: str, head: str) -> Opened:
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
        self, forge: DeliveryForge, name: str, branch: str, head: str, *, by: SecretStr | None
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
        self, forge: DeliveryForge, branch: str, head: str, *, by_us: bool
    ) -> NewPullRequest:
        assert self.base is not None
        story = await self._story(by_us=by_us)
        wish = await self._wish()
        title = pull_body.title_of(
            (wish.title if wish else None) or self.about.title or self.about.told(self.turn.text)
        )
        body = pull_body.wished(wish.body, story) if wish and wish.body else ""
        template = ""
        for path in pull_body.TEMPLATE_NAMES.get(forge.surface, ()):
            assert self.here is not None
            template = template or await self.here.text(TARGET, path)
        return NewPullRequest(
            head=branch,
            base=self.base,
            title=title,
            body=pull_marks.sealed(body or pull_body.body_of(story, template), title),
            draft=self.policy.draft or bool(wish and wish.draft),
        )

    async def _story(self, *, by_us: bool) -> pull_body.Story:
        did = await self.means.rows.did(self.lease, self.turn, self.about.name)
        pages, short = self.means.pages, self.lease.short
        return pull_body.Story(
            **vars(did),
            agent=self.lease.agent,
            short=short,
            linked=self.linked,
            link=f"{pages}/sessions/{short}" if pages else "",
            by_us=by_us,
        )


@dataclass(frozen=True, kw_only=True)
class _Found:
    forge: DeliveryForge
    name: str
    pull: PullRequest


async def link(means: DeliveryMeans, lease: Lease, branches: Mapping[str, str]) -> None:
    """Let the open pull requests of a session's repositories name each other.

    :param branches: of the session, by the address of their repository
    """
    try:
        found = [one for url in branches if (one := await _open_at(means, url, branches[url]))]
        for one in found:
            urls = [other.pull.url for other in found if other is not one]
            body = pull_body.linked(one.pull.body, urls)
            if body.split() == one.pull.body.split():
                continue
            lease.must_last()
            deadline = Deadline.after(FORGE_SECONDS_MAX)
            await one.forge.pulls.update(one.name, one.pull, deadline, body=body)
    except ChatError as error:
        log.warning("pull_requests_not_linked", why=str(error))


async def _open_at(means: DeliveryMeans, url: str, branch: str) -> _Found | None:
    """:raises ChatError:"""
    found = means.forge_of(url)
    if found is None:
        return None
    forge, name = found
    pull = await forge.pulls.find(name, branch, Deadline.after(FORGE_SECONDS_MAX))
    if pull is None or pull.state != "open":
        return None
    return _Found(forge=forge, name=name, pull=pull)
