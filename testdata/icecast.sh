#!/bin/sh
# icecast.sh PORT starts Icecast on 127.0.0.1:PORT in the foreground, source password "hackme". It logs to a folder
# of its own, which goes when it ends.
set -eu
port=$1
here=$(cd "$(dirname "$0")" && pwd)
icecast=$(command -v icecast2 || command -v icecast) || {
	echo "Icecast is not installed (Debian: apt-get install icecast2)" >&2
	exit 1
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
owner=
if [ "$(id -u)" = 0 ]; then # Icecast refuses to run as root
	owner='<changeowner><user>nobody</user><group>nogroup</group></changeowner>'
	chmod 777 "$dir"
fi
sed -e "s|@PORT@|$port|" -e "s|@LOGDIR@|$dir|" -e "s|@OWNER@|$owner|" \
	-e '/@SOCKETS@/d' -e '/@PATHS@/d' "$here/icecast.xml.in" > "$dir/icecast.xml"
"$icecast" -c "$dir/icecast.xml" > "$dir/out" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null || true; wait $pid 2>/dev/null || true; rm -rf "$dir"' EXIT
trap 'exit 0' INT TERM
wait $pid || { cat "$dir/out" "$dir/error.log" >&2; exit 1; }
