"""Named SQL, as its files have it."""

from bot.store.statements import load


def test_a_statement_may_stand_in_another_one(tmp_path):
    path = tmp_path / "some.sql"
    path.write_text(
        "-- name: one\nSELECT 1 AS n\n\n-- name: two\nSELECT '{}' FROM ({one}) AS part\n"
    )
    found = {name: str(statement) for name, statement in load(path).items()}
    assert found == {"one": "SELECT 1 AS n", "two": "SELECT '{}' FROM (SELECT 1 AS n) AS part"}
