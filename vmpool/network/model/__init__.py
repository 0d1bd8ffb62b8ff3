"""What agents ask of models and what that used, read on its way through the gateway; pure."""
