"""The guest images of a host: one that every machine boots from, one that dev containers need."""

import structlog

from bot.config import Settings
from vmpool.driver import Image
from vmpool.image import ensure_image

log = structlog.get_logger(__name__)


class CachedImage:
    """The guest image: looked up at first use; a chore looks again, and may build a newer one."""

    def __init__(self, settings: Settings, *, engine: bool = False) -> None:
        self._cache = settings.image_cache
        self._agents = settings.agents_installed
        self._engine = engine
        self._image: Image | None = None

    async def __call__(self) -> Image:
        """The one that is known, else the newest."""
        return self._image or await self.renewed()

    @property
    def is_used(self) -> bool:
        """Whether anybody asked for it yet."""
        return self._image is not None

    async def renewed(self) -> Image:
        """The newest; machines are made of the one before while it is built."""
        self._image = await ensure_image(
            self._cache, progress=_log_progress, agents=self._agents, engine=self._engine
        )
        return self._image


def _log_progress(step: str) -> None:
    log.info("image", step=step)
