"""What can go wrong with a machine, grouped by who acts.

MachineError
├── MachineBusy          retry: somebody else is at it, or it is not there yet
│   └── NoRoom           retry: every machine that may run does, and is in use
│       └── NoSignature      retry: nobody signs certificates now, so nobody gets in
├── MachineHung          retry, or give it up: its hypervisor lives and does not answer
├── PortClosed           tell the person: nothing listens there
├── NoMachine            tell the person: there is none to visit (`vmpool.visits`)
├── MachineLost          tell the person: it is gone; the session goes on from its checkpoint
├── RestRefused          tell the person: what lies on disk can't be resumed; the checkpoint can
├── HostFull             tell the operator: no disk or memory left; what ran still runs
├── HostUnfit            tell the operator: a program or a right is missing on this host
│   └── NoSlot               the same: no network slot can be had (`vmpool.network.slots`)
├── JobRefused           bug, or a job that is not there any more: its `code` says which
└── StaleToken           bug or a lost lease: a newer holder was here; drop the result
"""

import errno

from vmpool.storable import sentence

_NOT_NOW = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""What the kernel says to whoever has, or of a host that has, too much open or in memory."""


class MachineError(Exception):
    """A machine did not do what was asked; the text is one sentence for a person.

    Its guest may have a say in that: whatever it says, the end of a machine can be written down.
    """

    def __init__(self, why: str = "") -> None:
        super().__init__(sentence(why))


class MachineBusy(MachineError):
    """Not now: the channel is taken or the guest is not up yet; asking again is safe."""


class NoRoom(MachineBusy):
    """As many machines run as may, and every one is in use."""


class NoSignature(NoRoom):
    """Whoever signs the certificates of logins does not; the machine is as it was."""


class MachineHung(MachineError):
    """Its hypervisor lives and does not answer; whoever needs what it holds ends it."""


class PortClosed(MachineError):
    """Nothing in the machine listens on that port."""


class MachineLost(MachineError):
    """The machine ended or stopped answering for good; only its checkpoint is left."""


class RestRefused(MachineError):
    """The files of a rest are missing, short or altered; nothing was started from them."""


class HostFull(MachineError):
    """The host has no room for this; the machine is in the state it had before."""


class HostUnfit(MachineError):
    """The host lacks a program, a device or a right; the text names it and the remedy."""


def is_of_host(error: Exception) -> bool:
    """Whether an error tells of this host, for a while maybe, and nothing of any machine on it."""
    return isinstance(error, HostUnfit) or (isinstance(error, OSError) and error.errno in _NOT_NOW)


class JobRefused(MachineError):
    """The guest can't do that: unknown job or question, malformed, no room; `code` says which."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class StaleToken(MachineError):
    """The guest has seen a higher lease token: whoever asks has lost the lease."""
