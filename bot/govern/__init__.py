"""Govern: who is who, how they prove it, what they may."""
