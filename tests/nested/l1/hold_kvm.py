"""Keeps one empty KVM machine open for ever.

The first and the last machine of a kernel switch a key that is patched into its code. Emulated,
that has hung; with this one open, no other is the first or the last.
"""

import fcntl
import os
import signal
from pathlib import Path

KVM_CREATE_VM = 0xAE01

kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
machine = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
Path("/run/kvm-is-held").touch()
signal.pause()
