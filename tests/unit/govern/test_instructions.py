"""The directory with what all agents are told: what is read, and what is refused."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from bot.errors import Refused, WrongSettings
from bot.govern import instructions
from bot.govern.instructions import BEGIN, Installed, Instructions, check_text, read

SKILL = "---\nname: release\n---\n"


def put(path: Path, text: str = SKILL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_rules_and_skills_are_read_and_what_else_lies_there_is_left_alone(tmp_path):
    put(tmp_path / "AGENTS.md", "\nRules.\n\n")
    put(tmp_path / "skills/release/SKILL.md")
    put(tmp_path / "skills/release/run.sh").chmod(0o700)
    put(tmp_path / ".git/config")
    found = read(tmp_path)
    assert found.text == "Rules."
    assert {path: one.runs for path, one in found.skills.items()} == {
        "release/SKILL.md": False,
        "release/run.sh": True,
    }


def test_an_empty_directory_has_none_and_no_directory_is_a_wrong_setting(tmp_path):
    assert not read(tmp_path)
    with pytest.raises(WrongSettings, match="no directory"):
        Installed(tmp_path / "nowhere")


def test_the_same_is_packed_to_the_same_and_other_files_to_others(tmp_path):
    put(tmp_path / "skills/release/SKILL.md")
    first = read(tmp_path)
    os.utime(tmp_path / "skills/release/SKILL.md", (1, 1))
    assert read(tmp_path).digest == first.digest
    assert first.with_text("More.").digest != first.digest
    (tmp_path / "skills/release/SKILL.md").chmod(0o755)
    assert read(tmp_path).digest != first.digest


def test_a_project_s_text_stands_below_that_of_all(tmp_path):
    packed = Instructions(text="Of all.").with_text("Of one.\n").packed()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        text = tar.extractfile("AGENTS.md")
        assert text is not None
        assert text.read() == b"Of all.\n\nOf one.\n"


def test_links_are_refused_wherever_they_lie(tmp_path):
    secret = put(tmp_path / "secret", "hidden")
    for name, to in {
        "AGENTS.md": secret,
        "skills": tmp_path,
        "skills/release": tmp_path,
        "skills/release/SKILL.md": secret,
        "skills/release/more": tmp_path,
    }.items():
        directory = tmp_path / name.replace("/", "-")
        put(directory / "skills/release/SKILL.md")
        (directory / name).parent.mkdir(exist_ok=True)
        if (directory / name).exists():
            (directory / name).rename(tmp_path / f"aside-{name.replace('/', '-')}")
        (directory / name).symlink_to(to)
        with pytest.raises(WrongSettings, match=r"is a link|is no directory"):
            read(directory)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    put(tmp_path / "skills/release/SKILL.md")
    os.mkfifo(tmp_path / "skills/release/pipe")
    with pytest.raises(WrongSettings, match="no ordinary file"):
        read(tmp_path)


@pytest.mark.parametrize(
    "path",
    ["Release/SKILL.md", "-rf/SKILL.md", "a--b/SKILL.md", "a/new\nline", "a/.ona", "a/\x1b[31m"],
)
def test_names_that_could_surprise_are_refused(tmp_path, path):
    put(tmp_path / "skills/a/SKILL.md")
    put(tmp_path / "skills" / path)
    with pytest.raises(WrongSettings, match="can't be"):
        read(tmp_path)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    put(tmp_path / "skills/a/SKILL.md")
    (tmp_path / "skills/a" / os.fsdecode(b"\xff")).write_text("")
    with pytest.raises(WrongSettings, match="can't be"):
        read(tmp_path)


def test_a_skill_says_what_it_is_for(tmp_path):
    put(tmp_path / "skills/release/run.sh")
    with pytest.raises(WrongSettings, match=r"SKILL\.md is missing"):
        read(tmp_path)
    put(tmp_path / "skills/release/SKILL.md", "Just words.")
    with pytest.raises(WrongSettings, match="does not begin with"):
        read(tmp_path)


def test_what_is_too_much_is_refused_with_what_is_the_most(tmp_path, monkeypatch):
    put(tmp_path / "AGENTS.md", "x" * (instructions.TEXT_BYTES_MAX + 1))
    with pytest.raises(WrongSettings, match=r"too large.*16,384"):
        read(tmp_path)
    put(tmp_path / "AGENTS.md", "x" * instructions.TEXT_BYTES_MAX)
    for number in range(3):
        put(tmp_path / f"skills/s{number}/SKILL.md", SKILL + "x" * 1000)
    monkeypatch.setattr(instructions, "SKILLS_BYTES_MAX", 2500)
    with pytest.raises(WrongSettings, match="too large"):
        read(tmp_path)
    monkeypatch.setattr(instructions, "SKILLS_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(instructions, "SKILLS_FILES_MAX", 2)
    with pytest.raises(WrongSettings, match="more than 2 files"):
        read(tmp_path)


def test_a_project_s_text_is_bounded_and_has_no_marks_of_ours():
    check_text("x" * instructions.TEXT_BYTES_MAX)
    for text in ("ä" * instructions.TEXT_BYTES_MAX, f"a\n{BEGIN}\n", "a\x00b"):
        with pytest.raises(Refused, match="instructions have"):
            check_text(text)
