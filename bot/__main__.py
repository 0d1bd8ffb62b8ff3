"""`python -m bot` and the script `ona`."""

import sys
from collections.abc import Sequence

from bot.errors import OnaError, Refused

EXIT_INTERRUPTED = 130
ARGUMENT_LENGTH_MAX = 80
"""Of an argument that can't be read, in what is said about it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; an error says what to do and has its exit code."""
    try:
        from bot.cli.main import app
        from bot.words.sentences import told

        _check_text(sys.argv[1:] if arguments is None else arguments)
        app(args=arguments, prog_name="ona")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except OnaError as error:
        print(f"ona: {told(error)}", file=sys.stderr)
        sys.exit(error.exit_code)


def _check_text(arguments: Sequence[str]) -> None:
    """Bytes that are no text reach Python as lone surrogates, which nothing can store."""
    for argument in arguments:
        if not argument.isascii() and any("\ud800" <= one <= "\udfff" for one in argument):
            shown = argument.encode(errors="surrogateescape").decode(errors="backslashreplace")
            # It may be a secret, where none is taken.
            what = "" if "secrets" in arguments else f": {shown[:ARGUMENT_LENGTH_MAX]}"
            raise Refused(
                f"an argument is not valid UTF-8{what}",
                kept="nothing was done",
                do="write it as UTF-8, or put it into a file of the repository",
            )


if __name__ == "__main__":
    main()
