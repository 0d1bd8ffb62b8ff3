"""Drivers: one file or family of files per hypervisor, all behind `vmpool.driver.Driver`."""
