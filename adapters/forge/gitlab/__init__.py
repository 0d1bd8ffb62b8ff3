"""GitLab: notes on merge requests and issues, and commit statuses for running turns."""
