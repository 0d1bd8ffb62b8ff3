"""Cloud Hypervisor as its API shows it, without a machine: for hosts that have none.

A program with the real one's command line, socket, states, answers, refusals and leftovers, as they
were recorded from a real one (main branch shortly after v53, which calls itself 54.0.0). Its guest
speaks the lines of `tests.fakes.tiny_guest`. What the guest keeps lies in the memory and on the
disk that the configuration names, so that a copy, a mapping or an altered file means what it does
for a real machine.
"""
