"""Projects: what sessions work on."""

from fastapi import APIRouter

from bot.govern import projects
from bot.govern.access import Act
from bot.web import adding, reading, shapes
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/projects", tags=["projects"])


@router.get("", response_model=shapes.Projects)
async def list_projects(visitor: Known, services: Provided) -> object:
    """Projects by name."""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        found = await reading.projects(tx)
    return {"projects": await services.rights.visible(visitor.standing, found, key="id")}


@router.post("", status_code=201, response_model=shapes.AddedProject)
async def add_project(project: shapes.NewProject, visitor: Known, services: Provided) -> object:
    """Add a project; its repository is read first, to be sure that it can be."""
    new = projects.NewProject(**project.model_dump())
    said = await adding.add_project(visitor, services, new)
    async with services.database.begin() as tx:
        return {**await reading.project(tx, new.name), "text": said}


@router.get("/{name}", response_model=shapes.Project)
async def show_project(name: str, visitor: Known, services: Provided) -> object:
    """One project."""
    return await adding.find_project(visitor, services, name, Act.SEE)


@router.patch("/{name}", response_model=shapes.Project)
async def change_project(
    name: str, changes: shapes.ProjectChanges, visitor: Known, services: Provided
) -> object:
    """Change what is named of a project; its templates follow by themselves."""
    await adding.change_project(visitor, services, name, changes.model_dump(exclude_unset=True))
    async with services.database.begin() as tx:
        return await reading.project(tx, name)


@router.post("/{name}/repositories", status_code=201, response_model=shapes.Project)
async def add_repository(
    name: str, repository: shapes.NewRepository, visitor: Known, services: Provided
) -> object:
    """Let a project's sessions have another repository; it is read first."""
    new = adding.NewBeside(**repository.model_dump())
    return await adding.add_repository(visitor, services, name, new)


@router.delete("/{name}/repositories/{repository}", response_model=shapes.Told)
async def remove_repository(
    name: str, repository: str, visitor: Known, services: Provided
) -> shapes.Told:
    """Take a repository away that a project has beside its own."""
    said = await adding.remove_repository(visitor, services, name, repository)
    return shapes.Told(text=said)


@router.delete("/{name}", response_model=shapes.Told)
async def remove_project(name: str, visitor: Known, services: Provided) -> shapes.Told:
    """Remove a project; its sessions stay and go on."""
    return shapes.Told(text=await adding.remove_project(visitor, services, name))
