"""What names an image, and what a host must have before one is built."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from vmpool.errors import HostUnfit
from vmpool.image_recipe.initrd import make_initrd
from vmpool.image_recipe.programs import demand_programs
from vmpool.image_recipe.recipe import ENGINE, Recipe, recipe_of_host

MANIFEST = "bash=5.2\npython3=3.11\n"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host's /etc, and a guest program beside it."""
    (tmp_path / "etc/apt").mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    sources = "deb http://deb.example/debian bookworm main\n"
    (tmp_path / "etc/apt/sources.list").write_text(sources)
    (tmp_path / "guest/tools").mkdir(parents=True)
    (tmp_path / "guest/main.py").write_text("print('hello')\n")
    return tmp_path


def recipe_of(host: Path, *, engine: bool = False) -> Recipe:
    return recipe_of_host(etc=host / "etc", program=host / "guest", engine=engine)


def test_the_same_host_gives_the_same_names(host: Path) -> None:
    one, other = recipe_of(host), recipe_of(host)
    assert one.base_key == other.base_key
    assert one.image_digest(MANIFEST) == other.image_digest(MANIFEST)


def test_another_guest_program_is_another_image_of_the_same_packages(host: Path) -> None:
    before = recipe_of(host)
    (host / "guest/main.py").write_text("print('hello again')\n")
    after = recipe_of(host)
    assert after.base_key == before.base_key
    assert after.image_digest(MANIFEST) != before.image_digest(MANIFEST)


def test_what_lies_beside_the_guest_program_does_not_count(host: Path) -> None:
    before = recipe_of(host).image_digest(MANIFEST)
    (host / "guest/README.md").write_text("words")
    (host / "guest/tools/send.py").write_text("sent by the host when it is needed")
    assert recipe_of(host).image_digest(MANIFEST) == before


def test_a_renamed_file_is_another_image(host: Path) -> None:
    before = recipe_of(host).image_digest(MANIFEST)
    os.rename(host / "guest/main.py", host / "guest/other.py")
    assert recipe_of(host).image_digest(MANIFEST) != before


def test_newer_packages_are_another_image(host: Path) -> None:
    recipe = recipe_of(host)
    assert recipe.image_digest(MANIFEST) != recipe.image_digest(MANIFEST.replace("5.2", "5.3"))


def test_other_packages_sources_or_releases_are_another_base(host: Path) -> None:
    recipe = recipe_of(host)
    keys = {
        recipe.base_key,
        replace(recipe, packages=(*recipe.packages, "nodejs")).base_key,
        replace(recipe, sources=recipe.sources.replace("example", "elsewhere")).base_key,
        replace(recipe, release=replace(recipe.release, codename="trixie")).base_key,
    }
    assert len(keys) == 4


def test_an_engine_for_dev_containers_is_in_an_image_of_its_own(host: Path) -> None:
    bare, engine = recipe_of(host), recipe_of(host, engine=True)
    assert {*engine.packages} - {*bare.packages} == {*ENGINE}
    assert bare.layers == ()
    assert [layer.name for layer in engine.layers] == ["node", "devcontainers"]
    assert engine.base_key != bare.base_key


def test_third_party_sources_change_nothing(host: Path) -> None:
    before = recipe_of(host).base_key
    with (host / "etc/apt/sources.list").open("a") as file:
        file.write("deb https://third.example/apt stable main\n")
    assert recipe_of(host).base_key == before


def test_ubuntu_gets_its_own_kernel(host: Path) -> None:
    (host / "etc/os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    sources = "deb http://deb.example/ubuntu noble main\n"
    (host / "etc/apt/sources.list").write_text(sources)
    assert "linux-image-virtual" in recipe_of(host).packages


def test_a_host_that_is_no_debian_is_refused(host: Path) -> None:
    (host / "etc/os-release").unlink()
    with pytest.raises(HostUnfit, match="Debian or Ubuntu"):
        recipe_of(host)


def test_missing_programs_are_named_with_their_packages() -> None:
    with pytest.raises(HostUnfit, match=r"no-such-thing is missing.*apt-get install its-package"):
        demand_programs({"sh": "dash", "no-such-thing": "its-package"})


def test_the_initrd_loads_modules_in_order_and_ends_properly(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    for name in ("102-virtio_blk.ko", "101-virtio.ko"):
        (tmp_path / "modules" / name).write_bytes(name.encode())
    (tmp_path / "file").write_bytes(b"#!")
    archive = make_initrd(
        busybox=tmp_path / "file", modules=tmp_path / "modules", init=tmp_path / "file"
    )
    assert archive.startswith(b"070701")
    assert archive.index(b"modules/101-") < archive.index(b"modules/102-")
    assert archive.rstrip(b"\0").endswith(b"TRAILER!!!")
