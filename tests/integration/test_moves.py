"""Every pair of states, allowed and refused, in the databases that tests get.

Whatever our statements do to a row while the tests run is held to the tables of moves by this.
"""

import itertools

import psycopg
import pytest

from tests.support.moves import MOVES

ROWS = """
    CREATE TEMPORARY TABLE moved (state text);
    CREATE TRIGGER check_move BEFORE UPDATE ON moved FOR EACH ROW
      WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_move({listed})
"""
LISTED = """
    SELECT encode(tgargs, 'escape') FROM pg_trigger
     WHERE tgname = 'check_move' AND tgrelid = CAST(%s AS regclass)
"""


@pytest.mark.parametrize("table", MOVES)
def test_every_pair_of_states_is_allowed_or_refused(database_url, table):
    moves = MOVES[table]
    with psycopg.connect(database_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        (found,) = connection.execute(LISTED, (table,)).fetchone()
        listed = found.removesuffix("\\000")
        connection.execute(ROWS.format(listed=f"'{listed}'").encode())
        for current, to in itertools.permutations(moves, 2):
            connection.execute("TRUNCATE moved")
            connection.execute("INSERT INTO moved VALUES (%s)", (current.value,))
            if to in moves[current]:
                connection.execute("UPDATE moved SET state = %s", (to.value,))
                continue
            with pytest.raises(psycopg.errors.CheckViolation, match=f"{current} → {to} is no move"):
                connection.execute("UPDATE moved SET state = %s", (to.value,))
