#!/bin/sh
# Everything between init and the login: file systems, network, KVM.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t tmpfs -o mode=0755 run /run
mkdir -p /run/sshd /dev/pts /dev/shm
mount -t devpts -o ptmxmode=0666,mode=0620,gid=5 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
# What tests write goes to a file system that copies by reference, as a host's should.
mkfs.xfs -q -f -m reflink=1 "$(cat /bed/scratch)"
mount -t xfs -o noatime "$(cat /bed/scratch)" /tmp
chmod 1777 /tmp
mkdir /bed/image
mount -t ext4 -o ro "$(cat /bed/image-disk)" /bed/image
hostname l1
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
modprobe tun
modprobe kvm-amd
# As udev's rules have them on a host.
groupadd --system --force kvm
chgrp kvm /dev/kvm
chmod 660 /dev/kvm
chmod 666 /dev/net/tun
echo "nested: L1 is set up"
