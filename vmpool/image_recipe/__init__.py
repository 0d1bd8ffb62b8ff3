"""How the guest image is made: packages of the host's own release, then our guest program.

recipe        what goes in, and the two digests that name it
sources       the host's package sources, cut down to the distribution's own archive
base          the expensive half: a tree of packages as a tar, made by mmdebstrap
pack          the quick half: tree + guest program → ext4 file system, kernel, initrd
customize.sh  runs in the tree at the end of `base`;  init.sh  is PID 1 of the initrd
"""
