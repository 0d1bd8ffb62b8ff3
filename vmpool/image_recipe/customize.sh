# Runs at the end of mmdebstrap, outside the tree ($1) but with its rights over it.
set -eu
root=$1
inside() { chroot "$root" "$@"; }

inside useradd --system --uid 900 --user-group --no-create-home --home-dir /nonexistent \
  --shell /usr/sbin/nologin ona
# sshd runs what we ask for through the login shell; bash would read the agent's ~/.bashrc first.
inside useradd --uid 1000 --user-group --create-home --shell /bin/sh agent
# A password of `!` counts as a locked account for sshd; `*` just matches none.
for user in ona agent root; do inside usermod -p '*' "$user"; done

inside install -d -o agent -g agent /work
inside install -d -m 0755 /var/lib/ona
rm -f "$root"/etc/ssh/ssh_host_*
: > "$root/etc/machine-id"
rm -f "$root/etc/resolv.conf" "$root/var/lib/dbus/machine-id"
: > "$root/etc/resolv.conf"
echo machine > "$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"
# How this host reaches the archive is not how a machine does.
rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap

# What the initrd needs, for the quick half of the build: kernel, modules in loading order, busybox.
version=$(ls "$root/lib/modules")
parts=$root/boot/ona
mkdir -p "$parts/modules"
mv "$root/boot/vmlinuz-$version" "$parts/kernel"
rm -f "$root"/vmlinuz* "$root"/initrd.img*
for module in ext4 overlay virtio_pci virtio_blk virtio_console virtio-rng virtio_net \
  vmw_vsock_virtio_transport; do
  inside modprobe -S "$version" --show-depends "$module"
done > "$parts/order"
number=100
inside awk '$1 == "insmod" && !seen[$2]++ { print $2 }' /boot/ona/order > "$parts/files"
while read -r file; do
  number=$((number + 1))
  name=$(basename "$file")
  case $file in
    *.zst) inside zstd -dcq "$file" ;;
    *.xz) inside xz -dc "$file" ;;
    *.gz) inside gzip -dc "$file" ;;
    *) cat "$root/$file" ;;
  esac > "$parts/modules/$number-${name%%.*}.ko"
done < "$parts/files"
rm "$parts/order" "$parts/files"
cp "$root/bin/busybox" "$parts/busybox"
inside dpkg-query -W -f '${Package}=${Version}\n' > "$parts/manifest"
