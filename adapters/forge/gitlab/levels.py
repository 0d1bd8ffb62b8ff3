"""Levels of access at GitLab; apart from what needs its SDK."""

GUEST = 10
"""Below it, somebody is in a group without a right to its projects."""
REPORTER = 20
"""The lowest one that reads a private repository."""
DEVELOPER = 30
"""The lowest one that writes to it."""
MAINTAINER = 40
