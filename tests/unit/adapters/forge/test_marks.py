import uuid

from adapters.forge.marks import STAMP_LENGTH_MAX, Marks


def test_reads_what_it_stamped():
    marks, mark = Marks(b"secret"), str(uuid.uuid4())
    stamped = f"All done.\n\n{marks.stamp(mark)}"
    assert marks.read(stamped) == mark
    assert len(marks.stamp(mark)) <= STAMP_LENGTH_MAX


def test_a_mark_of_another_key_or_another_mark_is_none_of_ours():
    marks, mark = Marks(b"secret"), str(uuid.uuid4())
    assert marks.read(Marks(b"other").stamp(mark)) is None
    assert marks.read(marks.stamp(mark).replace(mark, str(uuid.uuid4()))) is None
    assert marks.read("<!-- ona:x -->") is None


def test_ours_is_found_behind_one_that_is_not():
    marks, mark = Marks(b"secret"), str(uuid.uuid4())
    assert marks.read(Marks(b"other").stamp("abc") + marks.stamp(mark)) == mark
