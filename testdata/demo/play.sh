#!/bin/sh
# play.sh puts the demo on the air: an Icecast on this machine, and icepush playing into it, until Ctrl-C.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
port=${PORT:-8000}
sh testdata/icecast.sh "$port" &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM
sleep 1 # until Icecast listens
printf '\n  Open http://localhost:%s/demo.mp3 in a browser or a player. Ctrl-C ends the demo.\n\n' "$port"
ICEPUSH_PASSWORD=hackme ./icepush testdata/demo/demo.m3u --loop --server "http://localhost:$port" --mount /demo.mp3 --name 'icepush demo'
