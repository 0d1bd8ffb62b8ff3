"""Agents: the coding programs in the machine, and the harnesses that speak to them."""
