"""Reminders: their rows, and what becomes of them when they are due."""
