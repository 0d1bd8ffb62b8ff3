"""Reminders: their rows, and what becomes of them when they are due.

asking (pure): when? ─▶ reminder_rows ─▶ the clock ─▶ firings ─▶ a post
                                                         └────▶ a prompt (answering) ─▶ answer_rows
"""
