"""Which files are taken along with a prompt: their bytes say what they are."""

import pytest

from adapters.chat.files import (
    BYTES_MAX,
    FILE_BYTES_MAX,
    FILES_MAX,
    FileNotFetched,
    Ref,
    fetch,
    media_type,
)

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


def ref(data: bytes, name: str = "a", *, size: int | None = None) -> Ref:
    async def give(bytes_max: int) -> bytes:
        return data[: bytes_max + 1]

    return Ref(key="k", name=name, size=len(data) if size is None else size, fetch=give)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"words\n\tand more\r\n", "text/plain"),
        ("ünïcödé 🦔".encode(), "text/plain"),
        (b"\x1b[31mred\x1b[0m", "text/plain"),
        (b"", "text/plain"),
        (b"<svg onload=alert(1)>", "text/plain"),
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0 jpeg", "image/jpeg"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"MZ\x90\x00", None),
        (b"text\x00with a NUL", None),
        (b"\xff\xfeU\x00T\x00F\x001\x006", None),
    ],
)
def test_what_a_file_is_its_bytes_say(data, kind):
    assert media_type(data) == kind


async def test_no_more_and_no_larger_files_than_the_limits_are_taken():
    files = await fetch([ref(b"x" * FILE_BYTES_MAX)] * (FILES_MAX + 1))
    assert sum(len(one.data) for one in files) == BYTES_MAX
    assert [bool(one.data) for one in files] == [True] * 3 + [False] * 3
    assert "only 5 files fit" in files[-1].why
    (large,) = await fetch([ref(b"x" * (FILE_BYTES_MAX + 1))])
    assert "larger than" in large.why


async def test_a_file_that_is_larger_than_it_said_is_left_out():
    (one,) = await fetch([ref(b"x" * (2 * FILE_BYTES_MAX), size=10)])
    assert (one.data, "larger than" in one.why) == (b"", True)


async def test_one_that_is_neither_text_nor_an_image_or_not_given_leaves_the_others():
    async def refuse(_: int) -> bytes:
        raise FileNotFetched("not for you")

    refused = Ref(key="k", name="b", size=1, fetch=refuse)
    files = await fetch([ref(b"MZ\x00"), refused, ref(b"words", "c")])
    assert [one.why for one in files] == ["neither text nor an image", "not for you", ""]
    assert files[2].data == b"words"
