#!/bin/sh
# dist-test.sh builds the packages for this machine, has lintian and rpmlint look at them, and installs, uses and
# removes them: RPM's in an empty folder, Debian's in a clean Debian that is booted with systemd (dist-debian.sh).
#
# For that Debian it has to be root on Debian; debootstrap makes it, once, in /var/cache/icepush-dist, 400 MB that may
# be deleted. Nothing of the machine's own is changed but for what .ci/install installs.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C
dir=$(mktemp -d)
trap 'rm -rf --one-file-system "$dir"' EXIT
trap 'exit 1' INT TERM

die() {
	echo "dist-test: $1" >&2
	exit 1
}

say() {
	echo "dist-test: $1"
}

sh .ci/install zip=zip lintian=lintian rpm=rpm rpmlint=rpmlint debootstrap=debootstrap systemd-nspawn=systemd-container

say "building twice"
for time in 1 2; do
	DIST="$dir/$time" sh deploy/dist.sh "linux/$(go env GOARCH)" >/dev/null
done
cmp "$dir/1/SHA256SUMS" "$dir/2/SHA256SUMS" || die "the second time other bytes come out"
deb=$(echo "$dir"/1/*.deb) rpm=$(echo "$dir"/1/*.rpm) archive=$(echo "$dir"/1/*.tar.gz)

mkdir "$dir/archive"
tar -C "$dir/archive" --strip-components=1 -xzf "$archive"
version=$("$dir/archive/icepush" --version)
say "$version"
case $archive in *"_${version#icepush }_"*) ;; *) die "$archive is called otherwise" ;; esac

if command -v lintian >/dev/null; then
	say "lintian"
	lintian --allow-root --fail-on error "$deb"
fi
if command -v rpmlint >/dev/null; then
	say "rpmlint"
	rpmlint --config deploy/package/rpmlint.toml "$rpm" >"$dir/rpmlint" || die "$(cat "$dir/rpmlint")"
fi
if command -v rpm >/dev/null; then
	say "installing the RPM into an empty folder"
	mkdir "$dir/rpm"
	rpm --root "$dir/rpm" --install --nodeps --noscripts --ignorearch "$rpm" >"$dir/log" 2>&1 || die "$(cat "$dir/log")"
	for file in $(rpm -qlp "$rpm"); do
		[ -e "$dir/rpm$file" ] || die "the RPM does not install $file"
	done
	[ "$("$dir/rpm/usr/bin/icepush" --version)" = "$version" ] || die "what the RPM has installed is not $version"
	[ "$(rpm -qcp "$rpm")" = /etc/icepush/example.env ] || die "the RPM would write over what is in /etc/icepush"
fi

if [ "$(id -u)" != 0 ] || ! grep -qs '^ID=debian$' /etc/os-release || ! command -v debootstrap systemd-nspawn >/dev/null; then
	say "a clean Debian is made by root on Debian: that is left out"
	[ "${CI:-}" != true ]
	exit
fi

# What a Debian has that is installed with nothing chosen, and manual pages. Nothing of it is changed: a copy is.
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
clean=/var/cache/icepush-dist/$suite
if [ ! -d "$clean" ]; then
	say "making a clean Debian $suite"
	apt-get update -qq
	mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Origin: Debian' "Release: $suite" | head -n 1)
	mkdir -p "${clean%/*}"
	rm -rf --one-file-system "$clean.new"
	timeout --foreground 600 debootstrap --variant=minbase --include=systemd,systemd-sysv,procps,man-db \
		"$suite" "$clean.new" "$mirror" >"$dir/log" 2>&1 || die "$(tail -n 20 "$dir/log")"
	mv "$clean.new" "$clean"
fi
cp -a "$clean" "$dir/debian"
mkdir "$dir/debian/dist-test"
cp deploy/dist-debian.sh testdata/demo/*.mp3 "$deb" "$dir/debian/dist-test"
echo "$version" >"$dir/debian/dist-test/version"
# It is behind the end of booting, as the shows are.
cat >"$dir/debian/etc/systemd/system/dist-test.service" <<'END'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=120
Environment=HOME=/root
ExecStart=/bin/sh /dist-test/dist-debian.sh
StandardOutput=append:/dist-test/log
StandardError=append:/dist-test/log
ExecStopPost=/bin/systemctl exit 0
END
mkdir -p "$dir/debian/etc/systemd/system/multi-user.target.wants"
ln -s ../dist-test.service "$dir/debian/etc/systemd/system/multi-user.target.wants"
say "installing, using and removing the package in Debian $suite"
timeout --foreground 180 systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --private-network \
	--directory "$dir/debian" --boot >"$dir/boot" 2>&1 </dev/null || {
	tail -n 20 "$dir/boot" >&2
	die "Debian does not boot here, or does not end"
}
if [ ! -e "$dir/debian/dist-test/good" ]; then
	cat "$dir/debian/dist-test/log" >&2
	die "see the last command above"
fi
grep '^dist-test:' "$dir/debian/dist-test/log"
