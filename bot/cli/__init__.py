"""The command line: one file per group of commands; imports what it needs when it needs it."""
