"""A project's notes by API and command line, and pictures on the session's page."""

import io

from bot.store.ids import new_id
from bot.work import memory
from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 16


async def test_notes_are_written_listed_shown_and_removed_from_the_terminal(
    ona,  # noqa: F811
    site,
    monkeypatch,
):
    monkeypatch.setattr("sys.stdin", io.StringIO("Run `make check`.\n"))
    done = await ona("memory", "set", "demo", "tests/run")
    assert (done.code, done.out) == (0, "Note tests/run of project demo is written.\n")
    listed = await ona("memory", "list", "demo")
    assert "tests/run" in listed.out
    assert "Ann" in listed.out
    assert (await ona("memory", "show", "demo", "tests/run")).out == "Run `make check`.\n"
    assert (await ona("memory", "remove", "demo", "tests/run")).code == 0
    gone = await ona("memory", "show", "demo", "tests/run")
    assert (gone.code, "no note “tests/run”" in gone.err) == (2, True)
    kinds = await site.rows("SELECT kind, place FROM audit_event WHERE kind LIKE 'memory.%'")
    assert kinds == [("memory.set", "demo/tests/run"), ("memory.removed", "demo/tests/run")]


async def test_a_note_that_can_not_be_is_refused_in_words(site):
    async with site.client() as client:
        at = "/api/v1/projects/demo/memory"
        bad = await client.put(f"{at}/No", json={"text": "x"})
        assert (bad.status_code, "no name of a note" in bad.text) == (422, True)
        large = {"text": "ä" * memory.NOTE_BYTES_MAX}
        assert (await client.put(f"{at}/n", json=large)).status_code == 413
        assert (await client.put(f"{at}/n", json={"text": " "})).status_code == 422
        assert (await client.get("/api/v1/projects/none/memory")).status_code == 404
        assert (await client.get(at)).json() == {"notes": []}


async def test_a_picture_is_shown_on_its_sessions_page_once_it_is_posted(site):
    short = (await site.ask("!true"))["session"]
    work = await site.begin()
    picture = new_id()
    add = (
        "INSERT INTO picture (id, session_id, turn_id, media_type, data, posted_at)"
        " SELECT :id, session_id, id, 'image/png', :data, NULL FROM turn RETURNING id"
    )
    await site.rows(add, id=picture, data=PNG)
    body = {"picture": str(picture), "session": short, "text": "The <b>page</b>"}
    await work.emit("picture", **body)
    at = f"/sessions/{short}/pictures/{picture}"
    async with site.client() as client:
        assert (await client.get(at)).status_code == 404
        await site.rows("UPDATE picture SET posted_at = now() RETURNING id")
        found = await client.get(at)
        assert (found.content, found.headers["content-type"]) == (PNG, "image/png")
        assert found.headers["x-content-type-options"] == "nosniff"
        page = (await client.get(f"/sessions/{short}")).text
        other = (await site.ask("!true", new=True))["session"]
        assert (await client.get(at.replace(short, other))).status_code == 404
    assert f'src="{at}"' in page
    assert "<b>page" not in page
