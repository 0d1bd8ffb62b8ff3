"""Adding a project for somebody who asks over the web, by page or API."""

from bot.govern import projects
from bot.govern.access import Act
from bot.govern.projects import NewProject
from bot.web.services import Services
from bot.web.visitor import Visitor
from bot.work.remote import remote


async def add_project(visitor: Visitor, services: Services, new: NewProject) -> None:
    """Add a project once its repository could be read.

    :raises TellPerson: they may not, it can't be read, or its name can't be used
    """
    visitor.require(Act.PROJECTS)
    projects.check(new)
    if remote(new.repository_url).path is not None:
        visitor.require(Act.HOST_FILES)
    await services.check_repository(new.repository_url)
    async with services.database.begin() as tx:
        await projects.add_project(tx, new)
