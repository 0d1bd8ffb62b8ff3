"""`python -m bot` and the script `ona`."""

import sys
from collections.abc import Sequence

from bot.errors import OnaError

EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; an error says what to do and has its exit code."""
    try:
        from bot.cli.main import app
        from bot.words.sentences import told

        app(args=arguments, prog_name="ona")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except OnaError as error:
        print(f"ona: {told(error)}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
