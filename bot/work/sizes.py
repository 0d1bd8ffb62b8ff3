"""Machine sizes: what their names mean on this installation."""

from collections.abc import Mapping
from dataclasses import dataclass

from vmpool.driver import Image, MachineSpec


@dataclass(frozen=True, kw_only=True)
class MachineSize:
    """How big a machine is."""

    vcpus: int
    memory_mib: int
    disk_gib: int

    def spec(self, image: Image) -> MachineSpec:
        """A machine of this size."""
        return MachineSpec(
            image=image,
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            disk_gib=self.disk_gib,
        )


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes by name, and the one where nobody asks for one."""

    by_name: Mapping[str, MachineSize]
    default: str

    def chosen(self, *asked: str | None) -> tuple[str, MachineSize]:
        """The first of `asked` that there is; a size that was taken away counts as not asked."""
        for name in asked:
            if name is not None and name in self.by_name:
                return name, self.by_name[name]
        return self.default, self.by_name[self.default]
