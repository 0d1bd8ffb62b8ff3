"""Runs of automations, on one repository or a fleet of them: begun, gone on with, counted."""
