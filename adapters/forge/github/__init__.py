"""GitHub, as an app on github.com or on an Enterprise Server: its threads, checks and hooks."""
