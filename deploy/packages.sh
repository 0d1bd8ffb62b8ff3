#!/bin/sh
# Installs the system packages that are missing:  deploy/packages.sh up|test|bench
# With apt-get when it may (root, or sudo without a password), else it prints the command and ends.
set -eu
purpose=${1:-up}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=
need() { # PROGRAM PACKAGE: install PACKAGE unless there is PROGRAM
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need qemu-system-x86_64 qemu-system-x86
need qemu-img qemu-utils
need mmdebstrap mmdebstrap
need mke2fs e2fsprogs
need git git
need ssh openssh-client
[ "$(id -u)" = 0 ] || need newuidmap uidmap
if ! [ -x .venv/bin/python ] && ! command -v uv >/dev/null 2>&1 && ! [ -x .tools/uv/bin/uv ]; then
    # Only what gets us uv: a Python that can make an environment with pip in it.
    python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
fi
[ "$purpose" != bench ] || need squid squid
if [ "$purpose" = test ]; then
    [ -x /bin/busybox ] || missing="$missing busybox-static"
    need sshd openssh-server
    need docker-registry docker-registry
    need mkfs.xfs xfsprogs
    need ip iproute2
    need nft nftables
    case $(. /etc/os-release && echo "$ID") in
        ubuntu) ;; # its chromium is a snap; deploy/browser.sh gets one that runs anywhere
        *) need chromium chromium ;;
    esac
fi
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing:$missing (names of Debian's packages). Install them and start again." >&2
    exit 3
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    printf 'Some system packages are missing. Run this and start again:\n\n    sudo %s\n\n' "$install" >&2
    exit 3
fi

# Tests start servers of their own. The packages' must neither start now nor at the next boot: they
# are refused while packages are installed, and disabled before that is lifted.
policy=/usr/sbin/policy-rc.d
refuse_services() {
    [ -e $policy ] && return
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    trap '$as_root rm -f $policy' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
disable() {
    command -v systemctl >/dev/null 2>&1 || return 0
    $as_root systemctl --quiet disable "$@" 2>/dev/null || true
}

echo "Installing:$missing"
run="$as_root env DEBIAN_FRONTEND=noninteractive"
case $missing in *openssh-server* | *docker-registry* | *squid*) refuse_services ;; esac
# The lists are updated only when the packages can't be had with those that are there.
# shellcheck disable=SC2086
$run $install || { $run apt-get update && $run $install; }
case $missing in *openssh-server*) disable ssh.service ssh.socket ;; esac
case $missing in *docker-registry*) disable docker-registry.service ;; esac
case $missing in *squid*) disable squid.service ;; esac
