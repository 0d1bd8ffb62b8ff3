"""How the guest image is made: packages of the host's own release, then our guest program.

recipe        what goes in, and the two digests that name it
sources       the host's package sources, cut down to the distribution's own archive
base          the expensive half: a tree of packages as a tar, made by mmdebstrap
layers        agents from npm, at the pinned versions in agents/, and the commands that start them
pack          the quick half: tree + guest program + layers → ext4 file system, kernel, initrd
workshop      where in a cache it is worked, and how that is told
customize.sh  runs in the tree at the end of `base`;  init.sh  is PID 1 of the initrd
"""
