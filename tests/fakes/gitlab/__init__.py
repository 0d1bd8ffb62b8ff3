"""A GitLab that speaks the real protocols, with people in it.

    async with FakeGitLab() as gitlab:
        ann, ona = gitlab.person("ann"), gitlab.person("ona-bot", is_bot=True)
        project = gitlab.project("acme/api", {ann: DEVELOPER, ona: MAINTAINER})
        request = ann.opens(project)

        client = gitlab_sdk.Gitlab(gitlab.url, private_token=ona.token, keep_base_url=True)
        note = ann.says(request, "/ona fix it")

Paths, payloads, status codes and the rules behind them are those of the documentation and of
GitLab's source: which lines of a note are quick actions, that a commit status can't be begun twice,
that a note changes its merge request's time at most once a minute and an award never does, that a
note which may not be internal is made for everybody. What is not known, and a guess here, is that a
signing token of webhooks is `whsec_` and the key in base64, as its specification has it.

There are no groups, no diff notes, no pipelines beside the statuses, and no GraphQL.
"""

from tests.fakes.gitlab.bad import Bad
from tests.fakes.gitlab.server import FakeGitLab
from tests.fakes.gitlab.world import DEVELOPER, GUEST, MAINTAINER, OWNER, REPORTER

__all__ = ["DEVELOPER", "GUEST", "MAINTAINER", "OWNER", "REPORTER", "Bad", "FakeGitLab"]
