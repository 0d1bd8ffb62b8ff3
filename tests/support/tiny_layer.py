"""A layer that is small enough for every test: one package with one script."""

import json
from collections.abc import Mapping

from tests.fakes.npm_registry import VERSION, Registry
from vmpool.image_recipe.layers import Command, Layer

GREETING = "#!/bin/sh\necho hello from a layer\n"


def tiny_layer(
    registry: Registry,
    name: str = "greeter",
    *,
    needs: tuple[str, ...] = (),
    optional: bool = False,
) -> Layer:
    """Publish the package, and pin it as it is now."""
    digest = registry.add(name, {"bin/greet": GREETING, "bin/greet.map": "{}", "LICENSE": "free"})
    return pinned({name: digest}, name, needs=needs, optional=optional)


def pinned(
    hashes: Mapping[str, str], name: str, *, needs: tuple[str, ...] = (), optional: bool = False
) -> Layer:
    """A layer of these packages, known by one of them."""
    kind = "optionalDependencies" if optional else "dependencies"
    package = {"name": f"layer-{name}", "private": True, kind: dict.fromkeys(hashes, VERSION)}
    entries = {
        f"node_modules/{each}": {
            "version": VERSION, "integrity": digest, **({"optional": True} if optional else {})
        }
        for each, digest in hashes.items()
    }  # fmt: skip
    lock = {"lockfileVersion": 3, "requires": True, "packages": {"": package, **entries}}
    return Layer(
        name=name,
        cpu="x64",
        version=VERSION,
        package=json.dumps(package).encode(),
        lock=json.dumps(lock).encode(),
        commands=(Command(name=name, file=f"{name}/bin/greet"),),
        needs=needs,
        files=(f"{name}/bin/greet",),
        left_out=("*.map",),
    )
