"""`python -m bot` and the script `ona`."""

import sys
from collections.abc import Sequence

from bot.errors import OnaError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; an error says what to do and has its exit code."""
    from bot.cli.main import app
    from bot.conversation.words import told

    try:
        app(args=arguments, prog_name="ona")
    except OnaError as error:
        print(f"ona: {told(error)}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
