"""Conversation: what comes in, what people command, what is said back."""
