"""Words of times in languages that are not read, known only in order not to guess; pure.

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


def names_day(words: str) -> bool:
    """Whether a day may be said in them."""
    return _DAY.search(words) is not None


def begins_with_hour(words: str) -> bool:
    """Whether they begin with what may be a time of day."""
    return _HOUR.match(words) is not None
