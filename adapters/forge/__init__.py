"""Code hosts: the conversation on pull requests and issues, and who may do what there."""
