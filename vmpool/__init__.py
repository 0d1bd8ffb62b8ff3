"""Machines: drivers, images, the guest program, and the one channel into each."""
