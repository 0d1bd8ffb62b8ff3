"""What a repository's own files say of its set-up, and what that takes: pure."""
