"""A reminder whose time is in a language that is not read is asked back, and never guessed at."""

from datetime import UTC, datetime

import pytest

from adapters.chat.port import MOMENT
from bot.automate.reminders import asking
from bot.conversation.commands import Prompt, parse
from bot.conversation.reminder_commands import Remind, with_moment
from scheduler.rules import Once
from scheduler.when import Unclear, first_part, last_part

NOW = datetime(2026, 11, 25, 10, 20, tzinfo=UTC)
PICKED = "2030-01-01 09:00 UTC"

UNREAD = {
    "Spanish": [
        "remind me mañana a las 9 revisar el deploy",
        "remind me pasado mañana revisar el deploy",
        "Remind us el viernes a las 16:00 reunión",
        "remind @bo dentro de 20 minutos revisar",
        "remind me a las 9 revisar el deploy",
    ],
    "Italian": [
        "remind #payments domani alle 9 controllare il deploy",
        "remind channel ogni venerdì alle 16 cosa resta",
        "remind me tra 20 minuti controllare",
    ],
    "French": [
        "remind me demain à 9h vérifier le déploiement",
        "remind here tous les vendredis à 16 h bilan",
        "remind me dans 20 minutes vérifier",
        "remind me le 24 décembre à 9h vérifier",
    ],
    "Portuguese": [
        "remind me amanhã às 9 rever o deploy",
        "remind me and @bo sexta-feira às 16h reunião",
    ],
    "Japanese": ["remind me 明日 9時 デプロイを確認", "remind me 12月24日9時にデプロイを確認"],
    "Chinese": ["remind me 明天上午9点 检查部署", "remind here 下周一 9:00 检查部署"],
    "Korean": ["remind me 내일 9시 배포 확인"],
    "Polish": ["remind me jutro o 9 sprawdzić wdrożenie", "remind me za 20 minut sprawdzić"],
    "Russian": ["remind me завтра в 9 проверить деплой"],
    "Dutch": ["remind me overmorgen om 9 uur de deploy bekijken"],
    "German, unread": [
        "remind me sobald es geht nach dem Deploy sehen",
        "erinnere mich demnächst an den Urlaub",
    ],
    "none": [
        "remind me to be kind",
        "remind me to check the deploy",
        "remind me about the deploy",
        "remind me when the build is green",
        "remind me: water",
        "remind @bo what we agreed on",
        "remind #payments how we release",
    ],
}
FOREIGN = [(language, said) for language, each in UNREAD.items() for said in each]


@pytest.mark.parametrize(("language", "said"), FOREIGN)
def test_a_time_that_is_not_read_is_asked_for_and_the_text_kept(language, said):
    asked = parse(f"@ona {said}")
    assert isinstance(asked, Remind)
    assert asked.is_unread
    question = asking.ask_when(asked.whom, asked.words)
    assert asked.words[:20] in question.happened
    assert f"`remind {', '.join(asked.whom)} 2026-12-24 09:00 …`" in question.do
    picked = parse(with_moment(said).replace(MOMENT, PICKED))
    assert isinstance(picked, Remind)
    assert (picked.whom, picked.is_unread, picked.behind) == (asked.whom, False, False)
    reading = first_part(picked.words, now=NOW, zone="Europe/Berlin")
    assert reading.schedule.rule == Once(at=datetime(2030, 1, 1, 9, tzinfo=UTC))
    assert picked.what_of(reading.rest) == picked.what_of(asked.words)


@pytest.mark.parametrize(
    "said", ["remind me", "Remind me!", "remind me and @bo", "remind channel:"]
)
def test_neither_when_nor_what_is_asked_for_in_words_alone(said):
    asked = parse(said)
    assert isinstance(asked, Remind)
    assert (asked.is_unread, asked.words) == (True, "")
    assert asking.ask_when(asked.whom, "").happened == "this says neither when nor what"
    assert with_moment(said) == ""


@pytest.mark.parametrize(
    "said",
    [
        "remind",
        "remind the users in the footer that cookies are used",
        "remind users of the deadline",
        "remind the team mañana a las 9",
        "remind menu of its items",
        "remind hereafter about it",
        "reminders of the refactoring are in the tracker",
        "remind me how the cache works",
        "Remind us what's open in the release",
        "remind me, why was this removed?",
        "erinnere mich, wie der Cache geht",
        "please remind me mañana",
        "fix what reminds me of mañana",
        "new: remind me to be kind",
    ],
)
def test_what_names_nobody_or_asks_something_is_a_prompt(said):
    assert isinstance(parse(said), Prompt)


@pytest.mark.parametrize(
    "said",
    [
        "21:30 mañana llamar a Ana",
        "to llamar a Ana mañana a las 21:30",
        "at 21:30 domani chiamare Ana",
        "21:30 demain appeler Ana",
        "21:30, amanhã ligar",
        "9:00 jutro zadzwonić",
        "21:30 明日 電話",
        "to 电话 明天 21:30",
        "24.12. o 21:00 zadzwonić",
        "24.12.2029 alle 21 chiamare",
        "24/12/2029 à 21h appeler Ana",
        "2029-12-24 às 21 ligar",
        "2029-12-24 21時 電話",
    ],
)
def test_a_time_that_is_read_in_part_is_asked_back(said):
    asked = parse(f"remind me {said}")
    assert isinstance(asked, Remind)
    part = last_part if asked.behind else first_part
    with pytest.raises(Unclear):
        part(asked.words, now=NOW, zone="Europe/Berlin")


@pytest.mark.parametrize(
    "said",
    [
        "tomorrow 9 preparar la reunión de mañana",
        "in 20 minutes llamar a Ana mañana",
        "every day at 9 dire cosa fare domani",
        "tomorrow as 3 of them fail",
        "morgen um 9 an den Termin",
        "to check the deploy at 21:30",
    ],
)
def test_words_of_other_languages_are_no_doubt_where_all_of_the_time_is_read(said):
    asked = parse(f"remind me {said}")
    assert isinstance(asked, Remind)
    part = last_part if asked.behind else first_part
    assert part(asked.words, now=NOW, zone="Europe/Berlin").rest
