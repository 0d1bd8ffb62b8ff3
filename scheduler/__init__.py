"""Time: leader leases and the chores that run on a clock."""
