"""What speaks to the outside: chat surfaces, agents, forges, the vault.

Ports live beside their implementations.
"""
