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
read -r words < /proc/cmdline
case " $words " in
  *" ona.overlay "*)
    # The image, shared with other machines, below an empty disk of this one's own.
    until [ -b /dev/vdb ]; do sleep 0.02; done
    mount -t ext4 -o ro,noatime /dev/vda /image || die "the image can't be mounted"
    mount -t ext4 -o rw,noatime /dev/vdb /writable || die "the disk can't be mounted"
    mkdir -p /writable/upper /writable/work
    mount -t overlay -o lowerdir=/image,upperdir=/writable/upper,workdir=/writable/work ona /root ||
      die "the disks can't be laid over each other" ;;
  *)
    mount -t ext4 -o rw,noatime /dev/vda /root || die "the disk can't be mounted" ;;
esac
mount --move /dev /root/dev
mount --move /sys /root/sys
mount --move /proc /root/proc
exec switch_root /root /usr/bin/python3 -I -S /usr/lib/ona-guest/vmpool/guest/main.py
