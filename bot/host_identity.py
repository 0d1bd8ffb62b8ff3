"""Who a host is, over restarts, power cuts and hands that slip."""

import os
from pathlib import Path
from uuid import UUID, uuid4

from bot.errors import Refused


def host_identity(host_dir: Path) -> UUID:
    """The id of the host whose machines lie in `host_dir`; made at first use, and kept.

    :raises Refused: what is kept is none
    """
    path = host_dir / "host-id"
    host_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return UUID(path.read_text().strip())
    except FileNotFoundError:
        pass
    except ValueError as error:
        # Another id would own none of the machines that lie there.
        raise Refused(
            f"{path} does not hold the id of this host",
            do="write the one into it that the table `host` has for this host",
        ) from error
    identity = uuid4()
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(f"{identity}\n")
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    return identity
