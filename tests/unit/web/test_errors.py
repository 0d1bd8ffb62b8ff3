"""An error keeps its class from where it is raised to the command line."""

import httpx2
import pytest

from bot.cli.client import _error
from bot.errors import NotFound, NothingToDo, Refused, TooLarge, TryAgain
from bot.web.answers import as_json, status_of


@pytest.mark.parametrize("kind", [NotFound, NothingToDo, Refused, TooLarge, TryAgain])
def test_what_the_service_raised_is_raised_again_by_its_client(kind):
    error = kind("it happened", kept="this", do="that")
    answer = as_json(status_of(error), error)
    again = _error(httpx2.Response(answer.status_code, content=answer.body))
    assert type(again) is kind
    assert (again.happened, again.kept, again.do) == ("it happened", "this", "that")
