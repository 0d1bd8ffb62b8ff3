"""Words of times that are not read, known only in order not to guess; pure.

"21:30 mañana" has a time of day that is read and a day that is not: read without that word it would
be today. The words here say nothing of when; they say that what was read is not all of it.
"""

import re

_DAYS = (
    *("mañana", "pasado mañana", "hoy", "esta noche", "lunes", "martes", "miércoles", "jueves"),
    *("viernes", "sábado", "domingo", "domani", "dopodomani", "oggi", "stasera", "lunedì"),
    *("martedì", "mercoledì", "giovedì", "venerdì", "sabato", "domenica", "demain", "ce soir"),
    *("aujourd'hui", "aujourd\u2019hui", "lundi", "mardi", "mercredi", "jeudi", "vendredi"),
    *("samedi", "dimanche", "amanhã", "depois de amanhã", "hoje", "segunda-feira", "terça-feira"),
    *("quarta-feira", "quinta-feira", "sexta-feira", "segunda", "terça", "quarta", "quinta"),
    *("sexta", "vandaag", "overmorgen", "maandag", "dinsdag", "woensdag", "donderdag", "vrijdag"),
    *("zaterdag", "zondag", "jutro", "pojutrze", "dziś", "dzisiaj", "poniedziałek", "wtorek"),
    *("środa", "środę", "czwartek", "piątek", "sobota", "sobotę", "niedziela", "niedzielę"),
    *("завтра", "послезавтра", "сегодня", "понедельник", "вторник", "среду", "четверг"),
    *("пятницу", "субботу", "воскресенье", "imorgon", "i morgen", "huomenna"),
)
_DAYS_WITHOUT_SPACES = (
    *("明日", "明後日", "今日", "今夜", "来週", "毎日", "毎週", "曜日", "明天", "后天", "後天"),
    *(
        "今天",
        "今晚",
        "下周",
        "下週",
        "星期",
        "周一",
        "周二",
        "周三",
        "周四",
        "周五",
        "내일",
        "모레",
    ),
    *("오늘", "다음 주", "요일"),
)
_DAY = re.compile(
    rf"(?<!\w)(?:{'|'.join(_DAYS)})(?!\w)|{'|'.join(_DAYS_WITHOUT_SPACES)}", re.IGNORECASE
)
_HOUR = re.compile(
    r"[\s,]*(?:(?:a\s+las?|alle|à|às|o|om|kl\.?|klokken|в|um)\s*(?:godz\.?\s*)?\d"
    r"|all['\u2019]\s*\d|\d{1,2}\s*(?:h\b|時|点|點|시))",
    re.IGNORECASE,
)

_WEEKDAY = (
    r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?s?"
    r"|(?:mon|diens|donners|frei|sams|sonn)tags?|mittwochs?|sonnabends?"
    r"|weekdays?|weekends?|werktags?|werktagen|wochenenden?"
)
_COUNT = r"(?:\d+|an?|one|two|three|four|eine[rm]?|zwei|drei|vier)"
_SPAN = r"(?:day|week|month|year|fortnight|tag|woche|monat|jahr)(?:s|en?|n)?"
_MORE = re.compile(
    rf"(?:except|excluding|außer|ausser|until|till|bis|between|zwischen)\b"
    rf"|(?:but|or|oder|and|und)\s+(?:not\b|nicht\b|so\b|tomorrow\b|morgen\b|\d|(?:{_WEEKDAY})\b)"
    rf"|(?:on|am|an)\s+(?:{_WEEKDAY})\b"
    rf"|(?:in|from)\s+{_COUNT}\s+{_SPAN}\b"
    r"|ish\b|weeks?\b|from\s+now\b"
    r"|(?:fifteen|twenty|thirty|forty|fifty|dreißig|[0-5][05])\b",
    re.IGNORECASE,
)
_MORE_OF_DAY = re.compile(
    r"(?:(?:at|by|um|so|before|after)\s+)*(?:(?:about|around|gegen|ca\.?|circa)\s+\d"
    r"|(?:lunch|eod|cob|eow|close\s+of|first\s+thing|end\s+of\b|ende\b|(?:morn|even)ings"
    r"|afternoons|nights)\b)"
    r"|(?:at|by|before|after)\s+close\b",
    re.IGNORECASE,
)
"""What only some time of day may follow."""


def goes_on(words: str, *, is_assumed: bool) -> bool:
    """Whether what stands behind a time may be more of it.

    :param is_assumed: no time of day was read
    """
    return _MORE.match(words) is not None or (is_assumed and _MORE_OF_DAY.match(words) is not None)


def names_day(words: str) -> bool:
    """Whether a day may be said in them."""
    return _DAY.search(words) is not None


def begins_with_hour(words: str) -> bool:
    """Whether they begin with what may be a time of day."""
    return _HOUR.match(words) is not None
