"""QEMU: for machines where Cloud Hypervisor or KVM is missing, and for tests."""

from vmpool.drivers.qemu.hypervisor import Qemu

__all__ = ["Qemu"]
