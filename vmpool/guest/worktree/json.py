"""JSON, written without the module of that name, which is slow to import under emulation."""


def as_json(value: object) -> str:
    """Text for None, integers, strings, and lists and dictionaries of them; ASCII only.

    :raises TypeError: anything else
    """
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(_escaped(c) for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(as_json(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = sorted((as_json(str(key)), as_json(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    raise TypeError(f"no JSON for {type(value).__name__}")


def _escaped(character: str) -> str:
    if " " <= character < "\x7f" and character not in '"\\':
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
