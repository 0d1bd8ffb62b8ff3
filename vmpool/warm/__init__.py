"""The machines that wait to be handed out: how many, which, made and given."""
