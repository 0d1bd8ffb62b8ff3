"""The end of a log, as it can be read."""

from adapters.forge.checking import LOG_BYTES_MAX, READ_BYTES_MAX, end_of, readable


def test_colours_and_what_rewrites_lines_are_left_out():
    assert readable(b"\x1b[31mred\x1b[0m\r\nnext\x1b[2K\n\n") == "red\nnext"
    assert readable("\x1b]0;title\x07words") == "words"


def test_of_a_long_log_the_end_is_kept_from_a_line_on():
    lines = "\n".join(f"line {number} ü" for number in range(10_000))
    end = readable(lines)
    assert len(end.encode()) <= LOG_BYTES_MAX
    assert end.endswith("line 9999 ü")
    assert end.startswith("line ")


def test_a_short_log_is_whole_and_bytes_that_are_no_text_are_replaced():
    assert readable(b"a\xffb") == "a\ufffdb"


def test_only_the_end_of_what_comes_is_kept_and_endless_logs_are_given_up():
    assert end_of([b"a" * 100_000, b"the end"]).endswith(b"the end")
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1 << 20
            yield b"x" * (1 << 20)

    assert len(end_of(endless())) <= 4 * LOG_BYTES_MAX
    assert read <= READ_BYTES_MAX + (1 << 21)
