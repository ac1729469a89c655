#!/bin/sh
# make.sh makes every fixture in mp3/, tags/, aac/, ogg/ and playlist/ anew, byte
# for byte the same each time. It needs sox, lame, twolame, ffmpeg, vorbis-tools,
# opus-tools, flac, speex and python3 (3.9 or newer); README.md names the versions
# that made the files in the repository.
#
# Files it does not make, such as *.golden, stay as they are.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1
umask 022

for tool in sox lame twolame ffmpeg oggenc opusenc flac speexenc python3; do
	command -v "$tool" >/dev/null || { echo "make.sh: $tool is missing" >&2; exit 1; }
done

# noise NAME RATE CHANNELS START LENGTH TONE
# Noise with two tones in it. START picks another piece of the same noise, so no
# two files and no two frames hold the same sound. -R fixes the random numbers.
noise() {
	sox -R -D -n -r "$2" -b 16 -c "$3" "$tmp/$1.wav" \
		synth 4 pinknoise brownnoise synth sine mix "$6" sine mix "$(($6 * 3 / 2))" \
		tremolo 7 60 trim "$4" "$5" gain -n -3
}

# l3 NAME RATE CHANNELS START LENGTH TONE LAME-OPTIONS...  makes $tmp/NAME.mp3
l3() {
	noise "$1" "$2" "$3" "$4" "$5" "$6"
	name=$1 rate=$2
	shift 6
	lame --silent "$@" --resample "$((rate / 1000)).$(printf %03d "$((rate % 1000))")" \
		"$tmp/$name.wav" "$tmp/$name.mp3"
}

# l2 NAME RATE CHANNELS START LENGTH TONE TWOLAME-OPTIONS...  makes $tmp/NAME.mp2
l2() {
	noise "$1" "$2" "$3" "$4" "$5" "$6"
	name=$1
	shift 6
	twolame --quiet "$@" "$tmp/$name.wav" "$tmp/$name.mp2"
}

# ff OPTIONS...  ffmpeg that writes neither its version nor anything random, and
# counts alike on every processor
ff() {
	ffmpeg -nostdin -loglevel error -y -cpuflags 0 "$@"
}

# aac NAME RATE CHANNELS START LENGTH TONE BITRATE  makes $tmp/NAME.aac
aac() {
	noise "$1" "$2" "$3" "$4" "$5" "$6"
	ff -i "$tmp/$1.wav" -c:a aac -b:a "$7" -flags +bitexact -fflags +bitexact -f adts "$tmp/$1.aac"
}

# vorbis NAME RATE CHANNELS START LENGTH TONE OGGENC-OPTIONS...  makes $tmp/NAME.ogg
vorbis() {
	noise "$1" "$2" "$3" "$4" "$5" "$6"
	name=$1
	shift 6
	oggenc -Q --utf8 "$@" -o "$tmp/$name.ogg" "$tmp/$name.wav"
}

# pages NAME RATE START LENGTH TONE SERIAL ARTIST TITLE  makes $tmp/NAME.ogg, mono, with
# pages of about 0.1 s. oggenc has no option for that.
pages() {
	noise "$1" "$2" 1 "$3" "$4" "$5"
	ff -i "$tmp/$1.wav" -c:a libvorbis -q:a 0 -flags +bitexact -fflags +bitexact \
		-serial_offset "$6" -page_duration 100000 \
		-metadata artist="$7" -metadata title="$8" "$tmp/$1.ogg"
}

mkdir -p "$here/mp3" "$here/tags" "$here/aac" "$here/ogg" "$here/playlist/folder" "$here/playlist/sub dir"

# --- mp3: straight from the encoders ---------------------------------------

# MPEG-1 Layer III
l3 cbr128-44100-joint        44100 2 0.0 0.40 440 -m j -b 128
l3 vbr-44100-joint           44100 2 0.1 0.40 330 -m j -V 6
l3 cbr-noinfo-44100-stereo   44100 2 0.2 0.40 550 -m s -b 112 -t
l3 abr-48000                 48000 2 0.3 0.45 392 -m j --abr 96
l3 mono-32000                32000 1 0.4 0.60 262 -m m -b 48
l3 dual-44100                44100 2 0.5 0.35 294 -m d -b 96
l3 crc-44100                 44100 2 0.6 0.35 349 -m s -b 96 -p
l3 freeformat-44100          44100 2 0.7 0.20 523 -m s --freeformat -b 400
l3 tiny-44100-joint          44100 2 1.9 0.20 277 -m j -b 32 -t
# MPEG-2 and MPEG-2.5 Layer III
l3 mpeg2-vbr-22050-joint     22050 2 0.8 0.60 440 -m j -V 6
l3 mpeg2-24000-mono          24000 1 0.9 0.60 330 -m m -b 64
l3 mpeg2-16000-stereo        16000 2 1.0 0.70 262 -m s -b 48
l3 mpeg25-11025-joint        11025 2 1.1 0.80 247 -m j -b 32
l3 mpeg25-8000-mono          8000  1 1.2 0.80 220 -m m -b 8 -t
l3 mpeg25-vbr-12000-stereo   12000 2 1.3 0.70 233 -m s -V 6
# Layer II
l2 layer2-44100-stereo       44100 2 1.4 0.35 415 -m stereo -b 128 --padding
l2 layer2-crc-48000-mono     48000 1 1.5 0.50 311 -m mono -b 64 --protect
l2 layer2-vbr-44100-stereo   44100 2 1.6 0.25 466 -m stereo -v -V 0
l2 layer2-mpeg2-22050-stereo 22050 2 1.7 0.60 370 -m stereo -b 64 --padding

for f in "$tmp"/*.mp3 "$tmp"/*.mp2; do
	cp "$f" "$here/mp3/"
	rm "$f"
done

# --- mp3: put together from frames -----------------------------------------

l3 parts      44100 1 2.0 0.40 440 -m m -b 64 --nores
l3 parts-xing 44100 1 2.0 0.40 440 -m m -V 6
l3 parts-vbr  44100 2 2.2 0.40 494 -m j -V 6 -t
l3 parts-44   44100 2 2.4 0.35 392 -m j -b 64 -t --nores
l3 parts-22   22050 2 2.6 0.50 349 -m j -b 48 -t --nores
python3 "$here/maketags.py" mp3 "$tmp" "$here/mp3"

# --- tags -------------------------------------------------------------------

l3 song 44100 2 3.0 0.40 330 -m j -b 64 --nores
python3 "$here/maketags.py" tags "$tmp" "$here/tags"

# --- aac --------------------------------------------------------------------

aac lc-44100-stereo 44100 2 0.0 0.40 440 96k
aac lc-22050-mono   22050 1 0.1 0.60 330 32k
for name in lc-44100-stereo lc-22050-mono; do
	cp "$tmp/$name.aac" "$here/aac/"
done

aac parts-48 48000 2 0.2 0.45 392 80k
aac parts-32 32000 1 0.3 0.50 262 48k
aac parts-44 44100 1 0.4 0.40 349 64k
python3 "$here/aac/makeaac.py" "$tmp" "$here/aac"

# --- ogg --------------------------------------------------------------------

# straight from the encoders
vorbis vorbis-44100-stereo 44100 2 0.0 0.60 440 -q 0 -s 1 -a 'Ольга Вєтрова' -t 'Тиха вода ☕'
vorbis vorbis-22050-mono   22050 1 0.1 0.60 330 -q 0 -s 2 -a 'Café Müller' -t 'Señor Ærø übt'
# -k puts an Ogg Skeleton stream beside it
vorbis vorbis-skeleton     22050 1 0.2 0.90 294 -q 4 -s 3 -k -a Nordlys -t 'With a Skeleton'
for name in vorbis-44100-stereo vorbis-22050-mono vorbis-skeleton; do
	cp "$tmp/$name.ogg" "$here/ogg/"
done

noise opus-stereo    48000 2 0.3 0.60 392
noise opus-60ms-mono 16000 1 0.4 0.80 262
opusenc --quiet --padding 0 --serial 16 --bitrate 64 --max-delay 100 \
	--artist 'Anna Å.' --title 'Ørsted ❄' "$tmp/opus-stereo.wav" "$here/ogg/opus-stereo.opus"
opusenc --quiet --padding 0 --serial 17 --bitrate 24 --framesize 60 --max-delay 200 \
	--artist Nordlys --title 'Sixty Milliseconds' "$tmp/opus-60ms-mono.wav" "$here/ogg/opus-60ms-mono.opus"

noise flac-in-ogg 16000 1 0.5 0.40 349
sox -D -v 0.05 "$tmp/flac-in-ogg.wav" "$tmp/quiet.wav"
flac --silent --force --ogg --serial-number=24 --blocksize=576 --no-padding --no-seektable \
	-T 'ARTIST=Duo Farol' -T 'TITLE=Três Ondas' -o "$here/ogg/flac-in-ogg.oga" "$tmp/quiet.wav"

noise multiplex 22050 1 0.6 0.50 415
ff -f lavfi -i testsrc=size=64x48:rate=10:duration=0.5 -i "$tmp/multiplex.wav" -map 0 -map 1 \
	-c:v libtheora -q:v 3 -pix_fmt yuv420p -c:a libvorbis -b:a 32k \
	-flags +bitexact -fflags +bitexact -serial_offset 32 -page_duration 200000 \
	-metadata artist=Nordlys -metadata title='With a Picture' "$here/ogg/multiplex.ogg"

# put together from pages
vorbis id3   11025 1 1.1 0.50 247 -q -1 -s 7 -a 'Duo Farol' -t 'This is the Vorbis comment'
vorbis cover  8000 1 1.2 0.50 220 -q -1 -s 8 -a 'Duo Farol' -t 'Zwei Küsten' \
	-c "METADATA_BLOCK_PICTURE=$(python3 "$here/ogg/makeogg.py" picture)"
pages one   11025 0.7 0.50 370 4 'Part One' 'Left ←'
pages two   11025 0.8 0.40 466 5 'Part Two' 'Right →'
pages again 11025 0.9 0.45 311 4 'Part Three' 'The Same Serial'
pages rate  22050 1.0 0.50 277 6 'Part Zero' 'Twice the Rate'
pages pages 22050 1.3 0.60 233 9 Nordlys 'Small Pages'
noise speex 16000 1 1.4 1.00 294
speexenc --wideband --quality 10 --author Nordlys --title 'Spoken – not sung' \
	"$tmp/speex.wav" "$tmp/speex.spx" >/dev/null 2>&1
python3 "$here/ogg/makeogg.py" files "$tmp" "$here/ogg"

# --- playlists --------------------------------------------------------------
# All file names keep to what a Go module archive allows: letters (so no curly
# quotes) and some ASCII signs. All songs but those of mixed-formats.m3u are
# 44100 Hz stereo MPEG-1 Layer III.

cd "$here/playlist"
small=$here/mp3/tiny-44100-joint.mp3
for name in 'folder/Track 1.mp3' 'folder/track 2.mp3' 'folder/track 10.mp3' \
	'folder/.hidden.mp3' 'sub dir/inner.mp3' 'sub dir/#1 hit.mp3' \
	'sub dir/cœur brisé.mp3' '#5.mp3'; do
	cp "$small" "$name"
done
echo 'Not audio. A folder walk must pass this file over.' >folder/cover.txt

cat >plain.m3u <<'END'
# no header, so no #EXTM3U; blank lines and comments are passed over

../mp3/cbr128-44100-joint.mp3
../mp3/vbr-44100-joint.mp3

../tags/id3v1.mp3
../mp3/cbr128-44100-joint.mp3
END

cat >extended.m3u <<'END'
#EXTM3U
#PLAYLIST:Harbour evening
#EXTINF:1,The Quiet Harbour - Low Tide
../mp3/cbr128-44100-joint.mp3
#EXTINF:-1,Nordlys - Length not known
../mp3/cbr-noinfo-44100-stereo.mp3
#EXTINF:0.418,Nordlys - Decimals
../mp3/vbr-44100-joint.mp3
#EXTINF:1 tvg-id="h1" group-title="Rock, Pop",Duo Farol - Attributes - and a second dash
../mp3/crc-44100.mp3
#EXTINF:-1 logo="a,b=c" radio="true",Title without an artist
../mp3/dual-44100.mp3
#EXTINF:2
../mp3/tiny-44100-joint.mp3
#EXTINF:,No number
# a comment between the two
../tags/id3v22-pic.mp3
../tags/id3v24-utf8-multi.mp3
#EXTINF:9,Nothing follows
END

# U+FEFF first, CRLF line ends, UTF-8 name and title
{
	printf '\357\273\277#EXTM3U\r\n'
	printf '#EXTINF:1,Ольга Вєтрова – Тиха вода\r\n'
	printf 'sub dir/cœur brisé.mp3\r\n'
	printf '\r\n'
	printf '#EXTINF:1,Sigrún – 海の音\r\n'
	printf '../mp3/vbr-44100-joint.mp3\r\n'
} >bom-crlf.m3u8

# Windows-1252: \234 = oe ligature, \351 = e acute, \223 \224 = double curly
# quotes, \222 = curly apostrophe, \226 = en dash, \200 = euro, \205 = ellipsis
{
	printf '#EXTM3U\n'
	printf '#EXTINF:1,Chlo\351 \226 \223L\222heure bleue\224\n'
	printf 'sub dir/c\234ur bris\351.mp3\n'
	printf '#EXTINF:1,Caf\351 M\374ller \226 5 \200\205\n'
	printf '../tags/id3v11-latin1.mp3\n'
} >latin1.m3u

printf '%s\r' '#EXTM3U' '#EXTINF:1,Old Mac - One' '../mp3/cbr128-44100-joint.mp3' \
	'#EXTINF:1,Old Mac - Two' 'folder/track 2.mp3' >cr-only.m3u

# "#5.mp3" in the first column is a comment although such a file is there; the
# same file with ./ in front is an entry.
cat >hash-names.m3u <<'END'
#EXTM3U
#5.mp3
./#5.mp3
#EXTINF:1,Band #9 - Song #1
sub dir/#1 hit.mp3
END

# trailing blanks and tabs, a line of blanks, no line end after the last entry
{
	printf '../mp3/cbr128-44100-joint.mp3  \n'
	printf 'folder/track 2.mp3\t \n'
	printf '   \n'
	printf 'sub dir/inner.mp3'
} >spaces.m3u

cat >relative.m3u <<'END'
../tags/id3v1.mp3
./folder/track 2.mp3
sub dir/inner.mp3
folder/../sub dir/./inner.mp3
.././mp3//vbr-44100-joint.mp3
END

cat >missing.m3u <<'END'
../mp3/cbr128-44100-joint.mp3
../mp3/no-such-file.mp3
../mp3/vbr-44100-joint.mp3
END

# a change of sample rate, channels, version and layer from song to song
cat >mixed-formats.m3u <<'END'
../mp3/cbr128-44100-joint.mp3
../mp3/abr-48000.mp3
../mp3/mono-32000.mp3
../mp3/mpeg2-vbr-22050-joint.mp3
../mp3/mpeg25-8000-mono.mp3
../mp3/layer2-44100-stereo.mp2
END

: >empty.m3u
