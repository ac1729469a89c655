#!/bin/sh
# bench.sh measures icepush beside its peers, in one run, and prints the tables of docs/benchmarks.md.
# BENCH_SECONDS is how long the streams play (120).
set -eu
cd "$(dirname "$0")/.."
icepush=$PWD/icepush
seconds=${BENCH_SECONDS:-120}
dir=$(mktemp -d)
port=8765
cleanup() {
	kill $server 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}

echo "## Reading frames"
sh bench/list.sh "$dir/read" 16 240
mb=$(cat "$dir"/read/track*.mp3 | wc -c | awk '{ printf "%d", $1 / 1000000 }')
cat "$dir"/read/track*.mp3 > /dev/null # both find them in memory
echo "| program | MB | s | MB/s | peak memory, MB |"
echo "|---|--:|--:|--:|--:|"
for run in 1 2 3; do
	for tool in "$icepush check" mp3val; do
		begin=$(date +%s%N)
		# shellcheck disable=SC2086
		command time -f '%M' -o "$dir/t" $tool "$dir"/read/track*.mp3 > /dev/null
		end=$(date +%s%N)
		awk -v t="$(basename "${tool%% *}") ($run)" -v mb="$mb" -v ns=$((end - begin)) -v kb="$(cat "$dir/t")" \
			'BEGIN { s = ns / 1e9; printf "| %s | %d | %.3f | %.0f | %.1f |\n", t, mb, s, mb / s, kb / 1024 }'
	done
done

echo
echo "## Streaming for $seconds s to Icecast"
sh bench/list.sh "$dir/list" 12 28
cat > "$dir/ezstream.xml" <<X
<ezstream>
<servers><server><hostname>127.0.0.1</hostname><port>$port</port><password>hackme</password><tls>none</tls></server></servers>
<streams><stream><mountpoint>/ezstream</mountpoint><format>MP3</format></stream></streams>
<intakes><intake><filename>$dir/list/list.m3u</filename></intake></intakes>
</ezstream>
X
chmod 600 "$dir/ezstream.xml"
sh testdata/icecast.sh $port &
server=$!
trap cleanup EXIT
trap 'exit 1' INT TERM
sleep 2
cd "$dir/list" # ezstream takes names from the folder it runs in
command time -f '%U %S %M' -o "$dir/icepush.time" timeout -s INT "$seconds" "$icepush" list.m3u --loop --quiet --to "icecast://127.0.0.1:$port/icepush" &
a=$!
command time -f '%U %S %M' -o "$dir/ezstream.time" timeout -s INT "$seconds" ezstream -c "$dir/ezstream.xml" 2> /dev/null &
b=$!
wait $a $b || true
echo "| program | CPU, s | peak memory, MB |"
echo "|---|--:|--:|"
for tool in icepush ezstream; do
	tail -n 1 "$dir/$tool.time" | awk -v t="$tool" '{ printf "| %s | %.2f | %.1f |\n", t, $1 + $2, $3 / 1024 }'
done
