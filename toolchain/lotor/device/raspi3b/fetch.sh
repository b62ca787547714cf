#!/bin/sh
# Fetch what the board raspi3b boots: Debian's kernel for arm64 and its device tree of a Raspberry Pi 3
# Model B, into kernel/ beside this file. apt does it, with lists and architecture of its own, so that
# neither the machine's packages nor its architectures change; apt checks the signatures.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work" kernel.new' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial"
: >"$work/status"
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: a kernel can be fetched on Debian only" >&2; exit 1; }
done

with_apt() {
    command=$1
    shift
    "$command" -q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root \
        -o Dir::State="$work" -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" \
        -o Dir::Cache="$work" "$@"
}

with_apt apt-get update
package=$(with_apt apt-cache depends --important linux-image-arm64 |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*-arm64\)$/\1/p')
[ -n "$package" ] || { echo "apt knows no package linux-image-arm64: are its sources Debian's?" >&2; exit 1; }
(cd "$work" && with_apt apt-get download "$package")
mkdir "$work/files"
dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -x -C "$work/files" --wildcards \
    './boot/vmlinuz-*' './usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb'
rm -rf kernel.new kernel
mkdir kernel.new
mv "$work"/files/boot/vmlinuz-* kernel.new/vmlinuz
mv "$work"/files/usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb kernel.new/
basename "$work/$package"_*.deb .deb >kernel.new/version
mv kernel.new kernel
