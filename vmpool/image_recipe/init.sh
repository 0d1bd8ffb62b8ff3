#!/bin/busybox sh
export PATH=/bin
die() { echo "ona: no guest: $1"; exec poweroff -f; }
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done
looks=0
until [ -b /dev/vda ]; do
  looks=$((looks + 1))
  [ $looks -lt 500 ] || die "no disk"
  sleep 0.02
done
mount -t ext4 -o rw,noatime /dev/vda /root || die "the disk can't be mounted"
mount --move /dev /root/dev
mount --move /sys /root/sys
mount --move /proc /root/proc
exec switch_root /root /usr/bin/python3 -I -S /usr/lib/ona-guest/vmpool/guest/main.py
