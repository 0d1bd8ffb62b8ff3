"""What stands in a thread is in the audit: where, when, and the digest of its words."""

import hashlib

from sqlalchemy import text


async def posted(office):
    async with office.database.begin() as tx:
        rows = await tx.execute(
            text(
                "SELECT event.place, event.body, thread.session_id = event.session_id"
                "   AS own, reply.id AS reply, reply.posted_ref"
                "  FROM audit_event AS event"
                "  JOIN reply ON reply.id = CAST(event.body ->> 'reply' AS uuid)"
                "  JOIN thread ON thread.id = reply.thread_id"
                " WHERE event.kind = 'reply.posted' ORDER BY event.number"
            )
        )
        return rows.all()


async def test_each_last_wording_is_audited_once_by_its_digest(office, sending):
    key = await office.reply("first words", final=True)
    await sending().once()
    await sending().once()
    await office.reply("second words é", key=key, final=True)
    await sending().once()
    found = await posted(office)
    digests = [
        hashlib.sha256(words.encode()).hexdigest() for words in ("first words", "second words é")
    ]
    assert [row.body["sha256"] for row in found] == digests
    assert [(row.place, row.own) for row in found] == [("acct/t", True)] * 2
    assert {row.body["ref"] for row in found} == {found[0].posted_ref}
    assert "first words" not in str(found[0].body)


async def test_what_is_still_edited_is_not(office, sending):
    await office.reply("working", final=False)
    await sending().once()
    assert await posted(office) == []
