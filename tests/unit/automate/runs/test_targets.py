"""What a run works on."""

from uuid import UUID

from bot.automate.definition import Context, Search
from bot.automate.runs.targets import NO_PROJECT, NOT_ADDED, Known, Repository, Target, targets

OWN, API, WEB = (
    Known(id=UUID(int=number), name=name, address=f"github.com/acme/{name}")
    for number, name in enumerate(("home", "api", "web"), 1)
)
ALL = [OWN, API, WEB]


def repository(name: str, **more) -> Repository:
    whole = f"acme/{name}"
    return Repository(name=whole, url=f"https://{name}", address=f"github.com/{whole}", **more)


def test_without_a_context_it_is_the_automation_s_own_project_wherever_something_happened():
    assert targets(Context(), OWN, ALL, [], WEB.address) == [Target(name="home", project_id=OWN.id)]


def test_projects_in_their_order_and_each_once():
    found = targets(Context(projects=("web", "api", "web", "gone")), OWN, ALL, [])
    assert found == [
        Target(name="web", project_id=WEB.id),
        Target(name="api", project_id=API.id),
        Target(name="gone", why=NO_PROJECT),
    ]


def test_a_repository_is_its_project_s_and_counts_once_with_it():
    context = Context(projects=("api",), repositories=("acme/api", "acme/web", "acme/new"))
    listed = [repository("api"), repository("web"), repository("new")]
    assert targets(context, OWN, ALL, listed) == [
        Target(name="api", project_id=API.id),
        Target(name="acme/web", project_id=WEB.id),
        Target(name="acme/new", why=NOT_ADDED),
    ]


def test_one_without_a_project_is_given_one_where_the_context_says_so():
    context = Context(repositories=("acme/new",), add_projects=True)
    (found,) = targets(context, OWN, ALL, [repository("new")])
    assert (found.url, found.why) == ("https://new", "")


def test_what_is_archived_or_empty_is_named_and_left_alone():
    context = Context(search=Search(forge="github", query="org:acme"), add_projects=True)
    listed = [repository("api", why="archived"), repository("new", why="empty")]
    assert [(one.name, one.why) for one in targets(context, OWN, ALL, listed)] == [
        ("acme/api", "the repository is archived"),
        ("acme/new", "the repository is empty"),
    ]


def test_what_happened_in_one_of_them_is_about_that_one_alone():
    context = Context(projects=("api", "web"))
    (found,) = targets(context, OWN, ALL, [], API.address)
    assert found.name == "api"
    # Something elsewhere is about all of them.
    assert len(targets(context, OWN, ALL, [], "github.com/other/x")) == 2
