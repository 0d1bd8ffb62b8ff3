"""`python -m bot` and the script `ona`."""

import sys
from collections.abc import Sequence

from bot.errors import OnaError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; an error says what to do and has its exit code."""
    from bot.cli.main import app

    try:
        app(args=arguments, prog_name="ona")
    except OnaError as error:
        parts = (error.happened, error.kept, error.do)
        said = " ".join(f"{part[0].upper()}{part[1:]}." for part in parts if part)
        print(f"ona: {said}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
