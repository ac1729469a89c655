#!/bin/sh
# dist.sh [PLATFORM...] builds what is given out, for these platforms or for all: archives, packages for Debian and
# RPM, and their checksums, into dist/ (DIST). Who builds a commit twice has the same bytes twice.
#
# MAINTAINER='Name <address>' is whom the packages name. It needs Go, git, GNU tar and zip. The version is that of the commit (git tag v1.2.3), as icepush --version tells it.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C TZ=UTC CGO_ENABLED=0
unset GOOS GOARCH GOARM GOAMD64 GOARM64
out=${DIST:-dist}
export MAINTAINER="${MAINTAINER:-the icepush authors <icepush@localhost>}"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' INT TERM

die() {
	echo "dist: $1" >&2
	exit 1
}

# build FILE [VARIABLE=VALUE...] builds icepush.
build() {
	file=$1
	shift
	env "$@" go build -buildvcs=true -trimpath -ldflags=-s -o "$file" .
}

# licences tells those of all that is linked into the program, whatever the platform.
licences() {
	for system in linux darwin windows; do
		GOOS=$system go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' .
	done | sort -u >"$stage/modules"
	echo "go $(go env GOVERSION) $(go env GOROOT)" >>"$stage/modules"
	while read -r module release dir; do
		printf '\n\n==== %s %s\n' "$module" "$release"
		found=
		for file in "$dir"/LICENSE* "$dir"/LICENCE* "$dir"/COPYING* "$dir"/NOTICE*; do
			[ -f "$file" ] || continue
			found=yes
			echo
			cat "$file"
		done
		[ -n "$found" ] || die "$module has no licence"
	done <"$stage/modules"
}

# archive NAME makes an archive of the folder $stage/NAME.
archive() {
	find "$stage/$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	case $1 in
	*windows*) (cd "$stage" && find "$1" -type f | sort | zip -q -X -9 -@ "$out/$1.zip") ;;
	*) tar -C "$stage" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -c "$1" |
		gzip -n -9 >"$out/$1.tar.gz" ;;
	esac
}

[ $# -gt 0 ] || set -- linux/amd64 linux/arm64 linux/armv7 darwin/amd64 darwin/arm64 windows/amd64
for program in git tar zip; do
	command -v $program >/dev/null || die "$program is not installed"
done
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) || die "it takes its version from git: a clone is needed"
export SOURCE_DATE_EPOCH
build "$stage/icepush"
version=$("$stage/icepush" --version)
version=${version#icepush }
[ "$version" != devel ] || die "it takes its version from git, and Go has not found it"
case $version in *+dirty) echo "dist: there are changes that are not committed" >&2 ;; esac
# What is before a release is told from it by a tilde there.
VERSION=$(echo "$version" | sed 's/-/~/; s/-/./g')
export VERSION

# What is the same for all platforms.
mkdir "$stage/common" "$stage/common/completions"
"$stage/icepush" gen man >"$stage/common/icepush.1"
"$stage/icepush" gen bash >"$stage/common/completions/icepush.bash"
"$stage/icepush" gen zsh >"$stage/common/completions/_icepush"
"$stage/icepush" gen fish >"$stage/common/completions/icepush.fish"
cp -R LICENSE README.md CHANGELOG.md docs "$stage/common"
licences >"$stage/common/LICENSES-of-others.txt"

# And for packages.
mkdir "$stage/package"
gzip -n -9 <"$stage/common/icepush.1" >"$stage/package/icepush.1.gz"
gzip -n -9 <CHANGELOG.md >"$stage/package/changelog.gz"
gzip -n -9 >"$stage/package/changelog.Debian.gz" <<END
icepush ($VERSION-1) unstable; urgency=medium

  * See changelog.gz.

 -- $MAINTAINER  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
cat LICENSE - >"$stage/package/copyright" <<END

The program contains others' work under their own licences, which LICENSES-of-others.txt beside this has in full. One
of them, the Apache License 2.0, is in /usr/share/common-licenses/Apache-2.0 as well.
END
cp -R deploy/systemd deploy/package "$stage/package"
go build -modfile=deploy/nfpm.mod -o "$stage/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm

mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/icepush[_-]* "$out/SHA256SUMS"
for platform; do
	system=${platform%/*} machine=${platform#*/}
	name=icepush_${version}_${system}_$machine
	mkdir "$stage/$name"
	cp -R "$stage/common/." "$stage/$name"
	exe=icepush
	[ "$system" != windows ] || exe=icepush.exe
	case $machine in
	armv7) set_machine='GOARCH=arm GOARM=7' ;;
	*) set_machine=GOARCH=$machine ;;
	esac
	# shellcheck disable=SC2086
	build "$stage/$name/$exe" GOOS="$system" $set_machine
	[ "$system" != linux ] || cp -R deploy/systemd "$stage/$name"
	archive "$name"
	[ "$system" = linux ] || continue
	cp "$stage/$name/icepush" "$stage/package/icepush"
	ARCH=$machine
	[ "$machine" != armv7 ] || ARCH=arm7
	export ARCH
	for packager in deb rpm; do
		(cd "$stage" && ./nfpm package --config package/package/nfpm.yaml --packager $packager --target "$out" >"$stage/nfpm.log" 2>&1) || {
			cat "$stage/nfpm.log" >&2
			die "nfpm fails"
		}
	done
done
(cd "$out" && sha256sum icepush[_-]* >SHA256SUMS)
ls -l "$out"
