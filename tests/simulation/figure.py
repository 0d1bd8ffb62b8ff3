"""A figure of a week as SVG: bars, a stepped line on its own scale, names below."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 960, 280, 40
HOURS = 168


class Figure:
    """Collects shapes; hours from left to right."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shapes: list[str] = []

    def bars(self, values: Sequence[float]) -> None:
        """One bar an hour, with its scale at the left."""
        highest = max(values)
        for hour, value in enumerate(values):
            if value:
                top = _y(value / highest)
                self._shapes.append(
                    f'<rect x="{_x(hour):.1f}" y="{top:.1f}" width="{_x(1) - _x(0) - 0.8:.1f}"'
                    f' height="{_y(0) - top:.1f}" fill="#9db4c0"/>'
                )
        self._text(4, _y(1) + 4, f"{highest:g}", "start")
        self._text(4, _y(0) + 4, "0", "start")

    def steps(self, points: Sequence[tuple[float, int]]) -> None:
        """A stepped line, with its scale at the right."""
        highest = max((count for _, count in points), default=1)
        path = [f"M {_x(0):.1f} {_y(0):.1f}"]
        for hour, count in points:
            path.append(f"H {_x(hour):.1f} V {_y(count / highest):.1f}")
        path.append(f"H {_x(HOURS):.1f}")
        self._shapes.append(
            f'<path d="{" ".join(path)}" fill="none" stroke="#b5451d" stroke-width="1.4"/>'
        )
        self._text(WIDTH - 4, _y(1) + 4, f"{highest} hot", "end")

    def ticks(self, names: Sequence[tuple[float, str]]) -> None:
        """Names below the axis."""
        for hour, name in names:
            self._text(_x(hour), HEIGHT - 10, name, "middle")

    def _text(self, x: float, y: float, said: str, anchor: str) -> None:
        self._shapes.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{said}</text>')

    def write(self, path: Path) -> None:
        """Write the file."""
        shapes = "\n".join(self._shapes)
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            ' font-family="sans-serif" font-size="12">\n'
            f"<title>{escape(self._title)}</title>\n"
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{shapes}\n'
            f'<text x="{MARGIN}" y="16" font-weight="bold">{escape(self._title)}</text>\n</svg>\n',
            encoding="utf-8",
        )


def _x(hour: float) -> float:
    return MARGIN + (WIDTH - 2 * MARGIN) * hour / HOURS


def _y(share: float) -> float:
    return HEIGHT - MARGIN + 8 - (HEIGHT - 2 * MARGIN) * share
