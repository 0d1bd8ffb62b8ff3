"""What a script in a machine answers: read by us, said by whoever has the machine."""

import pytest

from bot.work.guest import ScriptFailed, Spool


@pytest.mark.parametrize("said", [b"", b"[]", b"{", b"1" * 10_000, b"[" * 200_000, b"\xff"])
def test_what_is_no_answer_is_a_script_that_failed(said):
    with Spool(memory_bytes_max=1 << 20, bytes_max=0) as spool:
        spool.write(said + b"\n")
        with pytest.raises(ScriptFailed, match="answered something else"):
            spool.answer()
