#!/bin/busybox sh
# PID 1 of the initrd: puts the load onto the root disk, then busybox's init takes over.
export PATH=/bin
die() { echo "nested: no L1: $1"; exec poweroff -f; }
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done
disk() { # SERIAL: the device that QEMU gave this serial
    for each in /sys/block/vd*; do
        serial=
        read -r serial 2>/dev/null < "$each/serial" # fails at the end of a file without newline
        [ "$serial" != "$1" ] || echo "/dev/${each##*/}"
    done
}
looks=0
until [ -b "$(disk scratch)" ] && [ -b "$(disk load)" ] && [ -b "$(disk image)" ] && [ -b "$(disk root)" ]; do
    looks=$((looks + 1))
    [ $looks -lt 1000 ] || die "no disks"
    sleep 0.02
done
mount -t ext4 -o rw,noatime "$(disk root)" /root || die "the root disk can't be mounted"
/bin/busybox tar -x -f "$(disk load)" -C /root || die "the load can't be unpacked"
disk scratch > /root/bed/scratch
disk image > /root/bed/image-disk
mount --move /dev /root/dev
mount --move /sys /root/sys
mount --move /proc /root/proc
exec switch_root /root /bin/busybox init
