"""The forges on which service accounts have accounts."""

from adapters.forge.port import ForgePort
from bot.errors import NotFound
from bot.web.services import Services


def forge_of(services: Services, surface: str) -> ForgePort:
    """The forge of that name. :raises NotFound: it is not connected here"""
    forge = services.rights.forges.get(surface)
    if forge is None:
        raise NotFound(
            f"{surface} is not connected here",
            kept="nothing was changed",
            do="`ona doctor` says what is missing",
        )
    return forge
