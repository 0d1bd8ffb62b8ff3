"""Which of the host's package sources a guest image is made of."""

from pathlib import Path

import pytest

from vmpool.errors import HostUnfit
from vmpool.image_recipe.sources import (
    Release,
    Source,
    archive_of,
    parse_deb822,
    parse_list,
    read_sources,
    release_of,
    render,
)

BOOKWORM = Release(distribution="debian", codename="bookworm", name="Debian 12")
NOBLE = Release(distribution="ubuntu", codename="noble", name="Ubuntu 24.04")
KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
MAIN = Source(uris=("http://deb.example/debian",), suites=("bookworm",), components=("main",))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://deb.example/debian bookworm main", MAIN),
        ("  deb\thttp://deb.example/debian  bookworm   main  # the archive", MAIN),
        (
            "deb [arch=amd64,arm64 signed-by=/k.gpg] http://x/debian bookworm main contrib",
            Source(
                uris=("http://x/debian",),
                suites=("bookworm",),
                components=("main", "contrib"),
                architectures=("amd64", "arm64"),
                options=(("signed-by", "/k.gpg"),),
            ),
        ),
        (
            "deb [ trusted=yes lang=en ] http://x/debian bookworm main",
            Source(
                uris=("http://x/debian",),
                suites=("bookworm",),
                components=("main",),
                options=(("trusted", "yes"),),
            ),
        ),
    ],
)
def test_a_line_is_read(line: str, expected: Source) -> None:
    assert parse_list(line) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# deb http://deb.example/debian bookworm main",
        "deb-src http://deb.example/debian bookworm main",
        "deb cdrom:[Debian 12 _Bookworm_]/ bookworm main",
        "deb http://flat.example/packages ./",
        "deb",
        "deb [signed-by=/k.gpg]",
        "something else",
    ],
)
def test_a_line_that_is_no_archive_is_skipped(line: str) -> None:
    assert parse_list(line) == []


DEB822 = f"""\
# From the installer
Types: deb deb-src
URIs: http://deb.example/debian
#Suites: commented-out
Suites: bookworm bookworm-updates
# in the middle of a field
Components: main
  contrib
Signed-By: {KEY}

Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main
Enabled: no

types: deb-src
uris: http://source.example/debian
suites: bookworm
components: main

Types: deb
URIs: http://flat.example/
Suites: ./


Types: deb
URIs: http://keyed.example/debian http://second.example/debian
Suites: bookworm
Components: main
Architectures: amd64 i386
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_stanzas_are_read_past_comments_and_disabled_ones() -> None:
    archive, keyed = parse_deb822(DEB822)
    assert archive.suites == ("bookworm", "bookworm-updates")
    assert archive.components == ("main", "contrib")
    assert archive.options == (("signed-by", KEY),)
    assert keyed.uris == ("http://keyed.example/debian", "http://second.example/debian")
    assert keyed.architectures == ("amd64", "i386")
    assert dict(keyed.options)["signed-by"].splitlines()[2:4] == [" .", " abc"]


def test_what_is_rendered_reads_as_what_it_was() -> None:
    kept = archive_of(parse_deb822(DEB822), BOOKWORM, "amd64")
    assert parse_deb822(render(kept)) == kept


@pytest.mark.parametrize(
    ("line", "suites"),
    [
        ("deb http://x/debian bookworm main", ["bookworm"]),
        ("deb http://x/debian-security bookworm-security main", ["bookworm-security"]),
        (f"deb [signed-by={KEY}] http://x/debian bookworm-updates main", ["bookworm-updates"]),
        ("deb http://x/debian bookworm-backports main", []),
        ("deb http://x/debian trixie main", []),
        ("deb http://x/debian stable main", []),
        ("deb [signed-by=/etc/apt/keyrings/docker.asc] https://x/debian bookworm stable", []),
        ("deb https://x/debian bookworm stable", []),
        ("deb [signed-by=/usr/share/keyrings/corp.gpg] https://x/debian bookworm main", []),
        ("deb [arch=arm64] http://x/debian bookworm main", []),
        ("deb [arch=i386,amd64] http://x/debian bookworm main", ["bookworm"]),
        ("deb https://x/apt bookworm-pgdg main", []),
        ("deb https://x/node_20.x nodistro main", []),
    ],
)
def test_only_the_releases_own_archive_is_kept(line: str, suites: list[str]) -> None:
    kept = archive_of([MAIN, *parse_list(line)], BOOKWORM, "amd64")[1:]
    assert [suite for source in kept for suite in source.suites] == suites


def test_of_several_suites_and_components_the_foreign_ones_are_dropped() -> None:
    line = Source(
        uris=("http://x/ubuntu",),
        suites=("noble", "noble-updates", "noble-backports", "noble-proposed"),
        components=("main", "universe", "partner"),
    )
    (kept,) = archive_of([line], NOBLE, "amd64")
    assert kept.suites == ("noble", "noble-updates")
    assert kept.components == ("main", "universe")


def test_a_key_in_the_entry_itself_is_not_known_to_be_the_distributions() -> None:
    with pytest.raises(HostUnfit, match="bookworm main"):
        archive_of(parse_deb822(DEB822)[1:], BOOKWORM, "amd64")


def test_a_host_without_its_archive_is_told_what_to_add() -> None:
    with pytest.raises(HostUnfit, match=r"/etc/apt/sources\.list\.d"):
        archive_of(parse_list("deb http://x/debian bookworm-updates main"), BOOKWORM, "amd64")


def test_both_forms_and_all_files_are_read_and_backups_are_not(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://one/debian bookworm main\n")
    (tmp_path / "sources.list.d/b.list").write_text("deb http://two/debian bookworm main\n")
    (tmp_path / "sources.list.d/a.sources").write_text(DEB822)
    (tmp_path / "sources.list.d/b.list.save").write_text("deb http://no/debian bookworm main\n")
    hosts = [source.uris[0].split("/")[2] for source in read_sources(tmp_path)]
    assert hosts == ["one", "deb.example", "keyed.example", "two"]


def test_a_host_without_any_source_list_has_none(tmp_path: Path) -> None:
    assert read_sources(tmp_path) == []


@pytest.mark.parametrize(
    ("os_release", "distribution", "codename"),
    [
        ('PRETTY_NAME="Debian"\nID=debian\nVERSION_CODENAME=bookworm\n', "debian", "bookworm"),
        ("ID=ubuntu\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble", "ubuntu", "noble"),
        ("ID=linuxmint\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble", "ubuntu", "noble"),
        ("ID=lmde\nVERSION_CODENAME=faye\nDEBIAN_CODENAME='bookworm'", "debian", "bookworm"),
    ],
)
def test_the_release_is_the_one_whose_packages_it_has(
    os_release: str, distribution: str, codename: str
) -> None:
    release = release_of(os_release)
    assert (release.distribution, release.codename) == (distribution, codename)


def test_another_distribution_is_told_so_by_name() -> None:
    with pytest.raises(HostUnfit, match="Fedora Linux 42"):
        release_of('PRETTY_NAME="Fedora Linux 42"\nID=fedora\nVERSION_CODENAME=""\n')
