#!/bin/sh
# make.sh - makes the three pieces of demo music, from nothing.
#
#   sh testdata/demo/make.sh
#
# Needs sox, lame and ffmpeg (ffmpeg only paints the covers). It can be
# started from any directory. It works in a temporary directory, removes it,
# and leaves 01-*.mp3, 02-*.mp3, 03-*.mp3 and demo.m3u next to itself.
#
# How it works: every note is a small mono file made by "sox synth" (made
# once, used often). "hit" puts a note on the time line with a level and a
# place between left and right, "bounce" mixes the notes of one voice into a
# stereo file. The voices then get their reverb, and are mixed and levelled.
# All times are counted in samples (44100 are one second), so that plain
# shell arithmetic is enough.
#
# The same tools give the same bytes: sox starts its noise from a fixed seed
# (-R), and the small timing differences come from a fixed counter.

set -eu

# lame reads the encoding of the titles from the locale's name.
LC_ALL=C.UTF-8
export LC_ALL

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for tool in sox lame ffmpeg; do
	command -v "$tool" >/dev/null || { echo "make.sh: $tool is missing" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'cd /; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

RATE=44100
SOX="sox -R -V1"

# ---------------------------------------------------------------- notes ----

# cents NOTE [DETUNE]: distance from A4 as sox wants it (%semitones), with
# DETUNE in cents. C#4 and Bb3 are understood.
cents() {
	n=$1 o=0 s=0
	case $n in
	C*) s=-9 ;; D*) s=-7 ;; E*) s=-5 ;; F*) s=-4 ;; G*) s=-2 ;; A*) s=0 ;; B*) s=2 ;;
	esac
	n=${n#?}
	case $n in
	'#'*) s=$((s + 1)) n=${n#?} ;;
	b*) s=$((s - 1)) n=${n#?} ;;
	esac
	o=$n
	c=$(((s + (o - 4) * 12) * 100 + ${2:-0}))
	sign=
	if [ $c -lt 0 ]; then sign=- c=$((-c)); fi
	printf '%%%s%d.%02d' "$sign" $((c / 100)) $((c % 100))
}

# The instruments. Each makes file $3 holding note $1, $2 samples long.

# A nylon string.
string() {
	$SOX -r $RATE -c 1 -n -b 32 "$3" synth 7 pluck "$(cents "$1")" 28 35 80 \
		lowpass 3800 lowpass -1 5200 highpass 60 fade l 0 7 7 trim 0 "${2}s" \
		fade h 0.004 "${2}s" 0.25 gain -n -3
}

# A brighter string, for melodies.
lead() {
	$SOX -r $RATE -c 1 -n -b 32 "$3" synth 6 pluck "$(cents "$1")" 18 30 90 \
		lowpass 5200 highpass 120 equalizer 1800 1q 2 fade l 0 6 6 trim 0 "${2}s" \
		fade h 0.003 "${2}s" 0.2 gain -n -3
}

# A small bell: four partials that die away together.
bell() {
	f=$(cents "$1")
	$SOX -r $RATE -c 4 -n -b 32 "$3" \
		synth "${2}s" sine "$f" sine "$(cents "$1" 1202)" sine "$(cents "$1" 1905)" sine "$(cents "$1" 2798)" \
		remix 1v0.70,2v0.20,3v0.07,4v0.03 \
		fade h 0.006 fade l 0 "${2}s" "${2}s" gain -n -3
}

# An electric piano: a sine with a few overtones and a slow shake.
keys() {
	f=$(cents "$1")
	$SOX -r $RATE -c 4 -n -b 32 "$3" \
		synth 7 sine "$f" sine "$(cents "$1" 1200)" triangle "$(cents "$1" 4)" sine "$(cents "$1" 2786)" \
		remix 1v0.60,2v0.16,3v0.22,4v0.02 lowpass 2600 tremolo 5 18 \
		fade l 0 7 7 trim 0 "${2}s" \
		fade h 0.006 "${2}s" 0.09 gain -n -3
}

# Two halves of a pad, a little too low and a little too high; one goes to
# the left and one to the right.
pad_low() { pad_note "$1" "$2" "$3" -6 5; }
pad_high() { pad_note "$1" "$2" "$3" 7 -4; }
pad_note() {
	$SOX -r $RATE -c 3 -n -b 32 "$3" \
		synth "${2}s" sawtooth "$(cents "$1" "$4")" triangle "$(cents "$1" "$5")" sine "$(cents "$1")" \
		remix 1v0.24,2v0.54,3v0.22 lowpass 1100 lowpass -1 2200 \
		fade h $(($2 * 3 / 10))s "${2}s" $(($2 * 4 / 10))s gain -n -3
}

# A flute of sines, breathing in and out.
flute() {
	f=$(cents "$1")
	$SOX -r $RATE -c 4 -n -b 32 "$3" \
		synth "${2}s" sine "$f" sine "$(cents "$1" 1200)" triangle "$(cents "$1" 5)" sine "$(cents "$1" -5)" \
		remix 1v0.68,2v0.10,3v0.10,4v0.12 lowpass 2400 tremolo 4.6 14 \
		fade h 0.14 "${2}s" 0.7 gain -n -3
}

# A round bass.
bass() {
	f=$(cents "$1")
	$SOX -r $RATE -c 3 -n -b 32 "$3" \
		synth 6 sine "$f" triangle "$f" sawtooth "$f" \
		remix 1v0.40,2v0.42,3v0.18 lowpass 620 fade l 0 6 6 trim 0 "${2}s" \
		fade h 0.005 "${2}s" 0.06 gain -n -3
}

# Percussion; the note name is ignored.
kick() {
	$SOX -r $RATE -c 1 -n -b 32 "$3" synth "${2}s" sine 135/44 \
		fade t 0.002 fade l 0 "${2}s" "${2}s" lowpass 1500 gain -n -3
}
brush() {
	$SOX -r $RATE -c 2 -n -b 32 "$3" synth "${2}s" pinknoise sine 196/170 \
		remix 1v0.85,2v0.15 highpass 180 equalizer 2400 1q 4 lowpass 7500 \
		fade t 0.003 fade l 0 "${2}s" "${2}s" gain -n -3
}
hat() {
	$SOX -r $RATE -c 1 -n -b 32 "$3" synth "${2}s" whitenoise highpass 7000 highpass 7000 lowpass 13000 \
		fade t 0.001 fade l 0 "${2}s" "${2}s" gain -n -3
}
shaker() {
	$SOX -r $RATE -c 1 -n -b 32 "$3" synth "${2}s" pinknoise highpass 4500 lowpass 9500 \
		fade h 0.018 "${2}s" 0.04 gain -n -3
}

# ------------------------------------------------------------ time line ----

milli() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }

clear_chunk() { count=0 first=0 files='' delays='' left='' right=''; }

# voice NAME: start a new voice.
voice() {
	name=$1 chunks=''
	nchunk=0
	clear_chunk
}

# hit INSTRUMENT NOTE START LENGTH LEVEL PAN
#   START, LENGTH in samples; LEVEL 0..1000; PAN -100 (left) .. 100 (right).
#   Call it in the order of time.
hit() {
	file=$1-$2-$4.sox
	[ -e "$file" ] || "$1" "$2" "$4" "$file"
	if [ $count -eq 0 ]; then
		first=$(($3 > 1000 ? $3 - 1000 : 0))
	fi
	count=$((count + 1))
	files="$files $file"
	off=$(($3 - first))
	delays="$delays $((off > 0 ? off : 0))s"
	left="$left${left:+,}${count}v$(milli $(($5 * (100 - $6) / 100)))"
	right="$right${right:+,}${count}v$(milli $(($5 * (100 + $6) / 100)))"
	[ $count -lt 40 ] || flush
}

# Mix the notes collected so far into one part of the voice.
flush() {
	[ $count -gt 0 ] || return 0
	nchunk=$((nchunk + 1))
	part=$name.$nchunk.sox
	# shellcheck disable=SC2086 # these are lists
	if [ $count -eq 1 ]; then
		$SOX $files -b 32 "$part" delay $delays remix $left $right pad "${first}s"
	else
		$SOX -M $files -b 32 "$part" delay $delays remix $left $right pad "${first}s"
	fi
	chunks="$chunks $part"
	clear_chunk
}

# bounce [EFFECTS]: finish the voice as $name.sox, with 4 s for the echo.
bounce() {
	flush
	# shellcheck disable=SC2086
	if [ $nchunk -eq 1 ]; then
		$SOX $chunks -b 32 "$name.sox" pad 0 4 "$@"
	else
		mix=
		for part in $chunks; do mix="$mix -v 1 $part"; done
		$SOX -m $mix -b 32 "$name.sox" pad 0 4 "$@"
	fi
}

# human: a small number of samples, different at each call, in $late.
seed=2026
human() {
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	late=$((seed / 65536 % ($1 + 1)))
}

# master OUT LENGTH FADE EFFECTS...: the whole piece, LENGTH seconds, with a
# fade at the end, loudest point at -3 dBFS (or $peak).
master() {
	out=$1 len=$2 end=$3
	shift 3
	$SOX mix.sox -b 32 mastered.sox "$@" trim 0 "$len" fade q 0 "$len" "$end"
	$SOX mastered.sox -b 16 "$out" gain -n "${peak:--3}"
}

# ------------------------------------------------- 1: Pebbles on the Quay ----
# D major, 4/4, quarter = 96. A plucked arpeggio, a plucked melody with a
# little bell on it, and a quiet pad.

piece1() {
	e=13781 # an eighth
	bar=$((8 * e))

	voice p1arp
	b=0
	for chord in \
		'D3 A3 D4 F#4 A4 F#4 E4 A3' \
		'D3 A3 D4 F#4 A4 F#4 E4 A3' \
		'B2 F#3 A3 D4 F#4 D4 A3 F#3' \
		'G2 D3 B3 D4 F#4 D4 B3 D4' \
		'A2 E3 A3 D4 E4 C#4 A3 E3' \
		'F#2 C#3 A3 C#4 E4 C#4 A3 C#4' \
		'G2 D3 B3 D4 G4 D4 B3 D4' \
		'E2 B2 G3 B3 D4 G4 D4 B3' \
		'A2 E3 G3 D4 E4 C#4 G3 E3'; do
		i=0
		for n in $chord; do
			human 260
			case $i in
			0) l=250 p=-10 d=$bar ;;
			4) l=190 p=-30 d=$((5 * e)) ;;
			*) l=$((150 + late / 10)) p=$((i * 9 - 45)) d=$((4 * e)) ;;
			esac
			# the last bar before the end slows down a little
			drag=0
			[ $b -lt 8 ] || drag=$((i * i * 70))
			hit string "$n" $((b * bar + i * e + late + drag)) $d $l $p
			i=$((i + 1))
		done
		b=$((b + 1))
	done
	t=$((9 * bar + 5200)) # the last chord, rolled
	for n in D2 A2 D3 F#3 A3 E4 F#4; do
		hit string "$n" $t 190000 190 $((t / 2600 % 7 * 10 - 30))
		t=$((t + 2900))
	done
	bounce reverb 38 60 80 100 12 -2

	voice p1mel
	voice2=''
	for x in \
		8:F#5:3 11:E5:1 12:D5:2 14:E5:2 \
		16:F#5:4 20:B4:2 22:C#5:2 \
		24:D5:3 27:E5:1 28:F#5:2 30:A5:2 \
		32:E5:6 38:F#5:1 39:G5:1 \
		40:A5:3 43:G5:1 44:F#5:2 46:E5:2 \
		48:D5:3 51:E5:1 52:B4:4 \
		56:E5:2 58:F#5:2 60:G5:2 62:B5:2 \
		64:A5:2 66:F#5:2 68:E5:3 71:C#5:1; do
		s=${x%%:*} x=${x#*:}
		n=${x%%:*} d=${x##*:}
		human 300
		drag=0
		[ "$s" -lt 64 ] || drag=$(((s - 64) * (s - 64) * 70))
		l=210
		[ "$d" -gt 1 ] || l=165
		hit lead "$n" $((s * e + late + drag)) $(((d + 3) * e)) $l 15
		voice2="$voice2 $((s * e + late + drag)):$n:$d"
	done
	hit lead D5 $((9 * bar + 5200 + 7 * 2900)) 170000 200 15
	bounce reverb 45 50 85 100 18 0

	voice p1bell
	for x in $voice2; do
		s=${x%%:*} x=${x#*:}
		n=${x%%:*} d=${x##*:}
		hit bell "$n" "$s" $(((d + 6) * e)) 42 25
	done
	hit bell D5 $((9 * bar + 5200 + 7 * 2900)) 170000 50 25
	hit bell A5 $((9 * bar + 5200 + 10 * 2900)) 150000 30 -25
	bounce reverb 60 40 100 100 20 0

	voice p1pad
	b=1
	for chord in 'D3 A3 F#4' 'B2 A3 F#4' 'G2 B3 F#4' 'A2 A3 E4' \
		'F#2 A3 E4' 'G2 B3 D4' 'E2 G3 D4' 'A2 G3 E4' 'D3 A3 F#4'; do
		d=$((11 * e))
		[ $b -lt 9 ] || d=$((17 * e))
		for n in $chord; do
			hit pad_low "$n" $((b * bar - 2 * e)) $d 34 -60
			hit pad_high "$n" $((b * bar - 2 * e)) $d 34 60
		done
		b=$((b + 1))
	done
	bounce reverb 50 50 100

	$SOX -m -v 0.65 p1arp.sox -v 0.85 p1mel.sox -v 1.4 p1bell.sox -v 0.6 p1pad.sox -b 32 mix.sox
	master 01.wav 28 3.4 highpass 35 gain -n -6 \
		compand 0.01,0.25 6:-60,-60,-24,-21,-6,-9,0,-5 0 -20
}

# ------------------------------------------------------------ 2: Jäälautta ----
# "Ice floe". F major with one borrowed colour, chords of 3.5 s, a slow flute,
# a few bells, and a quiet swell of filtered noise like the sea.

piece2() {
	q=38588 # a beat, 0.875 s
	bar=$((4 * q))

	voice p2pad
	b=0
	for chord in 'F2 C3 A3 E4 G4' 'E2 C3 G3 D4 E4' 'D2 A2 F3 C4 E4' 'A2 E3 G3 C4 E4' \
		'Bb2 F3 A3 D4 F4' 'C3 G3 Bb3 D4 F4' 'F2 C3 A3 E4 G4'; do
		i=0
		for n in $chord; do
			at=$((b * bar - 22000)) d=$((bar + 66000)) l=70
			[ $b -gt 0 ] || { at=0 d=$((bar + 44000)); }
			[ $b -lt 6 ] || d=$((bar + 210000))
			p=$((60 - i * 8))
			[ $i -gt 0 ] || { l=95 p=25; }
			hit pad_low "$n" $at $d $l -$p
			hit pad_high "$n" $at $d $((l * 9 / 10)) $p
			i=$((i + 1))
		done
		b=$((b + 1))
	done
	bounce reverb 70 40 100 100 10 1

	voice p2mel
	for x in 1:C5:1 2:E5:2 4:D5:3 7:C5:1 8:A4:2 10:C5:1 11:D5:1 12:E5:3 15:G5:1 \
		16:F5:2 18:D5:2 20:D5:2 22:G4:1 23:Bb4:1 24:A4:4; do
		s=${x%%:*} x=${x#*:}
		n=${x%%:*} d=${x##*:}
		human 900
		hit flute "$n" $((s * q + late)) $((d * q + 26000)) 150 -8
	done
	bounce echos 0.8 0.8 437 0.22 656 0.15 reverb 75 30 100 100 25 1

	voice p2bell
	for x in 0:G5:-50 0:C6:40 3:A5:45 6:G5:-45 9:E5:50 10:A5:-40 14:C6:40 14:G5:-50 17:A5:-40 19:F5:45 \
		21:C6:-50 24:E5:45 25:C6:-45 26:G5:30; do
		s=${x%%:*} x=${x#*:}
		n=${x%%:*} p=${x##*:}
		human 2500
		hit bell "$n" $((s * q + late + (s > 0) * q / 2)) 180000 46 "$p"
	done
	bounce reverb 80 30 100 100 30 2

	# the sea
	$SOX -r $RATE -c 2 -n -b 32 p2sea.sox synth 32 brownnoise brownnoise \
		highpass 150 lowpass 900 tremolo 0.143 70 fade h 2 32 4 gain -n -26

	$SOX -m -v 0.5 p2pad.sox -v 1.2 p2mel.sox -v 1.4 p2bell.sox -v 1 p2sea.sox -b 32 mix.sox
	peak=-3.8 # a pad is loud for its peaks
	master 02.wav 29 4.5 highpass 35
}

# --------------------------------------------------- 3: Pingüino de paseo ----
# "Penguin out for a walk". G major, quarter = 116, sixteenths a little
# swung. Bass, electric piano, plucked melody, and percussion from noise.

piece3() {
	x16=5702   # a sixteenth
	swing=900  # how late the second of two sixteenths is
	bar=$((16 * x16))
	half=$((bar / 2)) # half a bar of drums before the music starts

	# at STEP: the place of a sixteenth, in $t
	at16() { t=$((half + $1 * x16 + $1 % 2 * swing)); }

	voice p3drum
	hit kick x 0 16000 340 0
	for s in 0 2 4 6; do hit hat x $((s * x16)) 5000 $((70 + s * 4)) 25; done
	voice_fill='4 6 7'
	for s in $voice_fill; do hit brush x $((s * x16 + s % 2 * swing)) 7000 $((80 + s * 12)) -8; done
	b=0
	while [ $b -lt 12 ]; do
		s=0
		while [ $s -lt 16 ]; do
			at16 $((b * 16 + s))
			human 120
			t=$((t + late))
			case $s in
			0) hit kick x $t 16000 420 0 ;;
			10) hit kick x $t 16000 360 0 ;;
			7) [ $((b % 2)) -eq 0 ] || hit kick x $t 16000 260 0 ;;
			4 | 12) hit brush x $t 11000 190 -8 ;;
			15) [ $((b % 4)) -ne 3 ] || hit brush x $t 7000 110 -8 ;;
			14) [ $((b % 4)) -ne 3 ] || hit brush x $t 7000 90 -8 ;;
			esac
			case $s in
			2 | 6 | 10) hit hat x $t 5200 78 25 ;;
			14) hit hat x $t 13000 70 25 ;;
			0 | 4 | 8 | 12) hit hat x $t 3200 42 25 ;;
			esac
			case $((s % 4)) in
			0) l=34 ;; 2) l=44 ;; *) l=22 ;;
			esac
			hit shaker x $t 4200 $l -35
			s=$((s + 1))
		done
		b=$((b + 1))
	done
	at16 192
	hit kick x $t 16000 380 0
	hit hat x $t 26000 70 25
	bounce reverb 14 60 30 100 0 -4 gain -n -1 gain -l 7

	voice p3bass
	b=0
	for line in \
		'G2 G2 D3 G3 E3 D3 F#2' 'E2 E2 B2 E3 D3 B2 G2' 'A2 A2 E3 A3 G3 E3 C3' 'D3 D3 A2 D3 C3 A2 F#2' \
		'G2 G2 D3 G3 E3 D3 F#2' 'E2 E2 B2 E3 D3 B2 G2' 'A2 A2 E3 A3 G3 E3 C3' 'D3 D3 A2 D3 C3 A2 B2' \
		'C3 C3 G2 C3 E3 G2 C3' 'B2 B2 F#2 B2 A2 F#2 G2' 'A2 A2 E3 A3 G3 E3 C3' 'D3 D3 A2 D3 C3 A2 F#2'; do
		# shellcheck disable=SC2086
		set -- $line
		for s in 0:3 3:1 6:2 8:2 10:2 12:2 14:2; do
			at16 $((b * 16 + ${s%:*}))
			hit bass "$1" $t $((${s#*:} * x16 - 600)) 235 0
			shift
		done
		b=$((b + 1))
	done
	at16 192
	hit bass G2 $t 90000 235 0
	bounce

	voice p3keys
	b=0
	for chord in 'B3 D4 F#4 A4' 'B3 D4 G4 A4' 'C4 E4 G4 B4' 'C4 E4 F#4 A4' \
		'B3 D4 F#4 A4' 'B3 D4 G4 A4' 'C4 E4 G4 B4' 'C4 E4 F#4 A4' \
		'B3 D4 E4 G4' 'A3 D4 F#4 A4' 'C4 E4 G4 B4' 'C4 E4 G4 A4'; do
		for s in 0:5:62 6:2:52 11:4:58; do
			st=${s%%:*} l=${s##*:} d=${s#*:}
			d=${d%:*}
			at16 $((b * 16 + st))
			p=-45
			for n in $chord; do
				hit keys "$n" $((t + 90 + p)) $((d * x16)) "$l" $p
				p=$((p + 25))
			done
		done
		b=$((b + 1))
	done
	at16 192
	p=-45
	for n in B3 D4 E4 A4; do
		hit keys "$n" $t 100000 70 $p
		p=$((p + 25)) t=$((t + 1300))
	done
	bounce reverb 35 50 70 100 5 -1

	voice p3lead
	b=0
	for line in \
		'0:B4:2 2:D5:2 4:E5:2 6:D5:4 10:G5:2 12:E5:2 14:D5:2' \
		'0:E5:3 3:D5:3 6:B4:4 10:G4:2 12:A4:2 14:B4:2' \
		'0:C5:2 2:E5:2 4:G5:2 6:E5:4 10:A5:2 12:G5:2 14:E5:2' \
		'0:F#5:3 3:E5:3 6:C5:2 8:D5:5 14:A4:2' \
		'0:B4:2 2:D5:2 4:E5:2 6:D5:4 10:G5:2 12:A5:2 14:B5:2' \
		'0:B5:3 3:G5:3 6:E5:4 10:D5:2 12:E5:2 14:G5:2' \
		'0:A5:3 3:G5:3 6:E5:2 8:C5:2 10:D5:2 12:E5:2 14:G5:2' \
		'0:F#5:3 3:A5:3 6:F#5:2 8:D5:5 14:D5:1 15:D5:1' \
		'0:E5:6 6:G5:2 8:B5:4 12:A5:2 14:G5:2' \
		'0:F#5:6 6:D5:4 10:A5:2 12:F#5:2 14:D5:2' \
		'0:E5:2 2:C5:2 4:E5:2 6:G5:2 8:E5:2 10:C5:2 12:D5:2 14:E5:2' \
		'0:D5:3 3:G5:3 6:A5:4 10:A5:2 12:G5:2 14:E5:2' \
		'0:G5:12 1:B5:12 2:D6:12'; do
		for x in $line; do
			s=${x%%:*} x=${x#*:}
			n=${x%%:*} d=${x##*:}
			at16 $((b * 16 + s))
			human 150
			l=210
			[ $((s % 4)) -eq 0 ] || l=185
			[ $b -lt 12 ] || l=130
			hit lead "$n" $((t + late)) $(((d + 4) * x16)) $l 12
		done
		b=$((b + 1))
	done
	bounce echo 0.9 0.9 388 0.16 reverb 30 50 60 100 8 -1

	$SOX -m -v 0.24 p3drum.sox -v 0.38 p3bass.sox -v 0.7 p3keys.sox -v 0.8 p3lead.sox -b 32 mix.sox
	peak=-3
	master 03.wav 29 2.4 highpass 35 gain -n -2 gain -l 2 \
		compand 0.005,0.15 6:-60,-60,-24,-20,-6,-9,0,-5 0 -20
}

# --------------------------------------------------------------- covers ----

# paint OUT RED GREEN BLUE: X, Y run over a 320x320 picture.
paint() {
	ffmpeg -nostdin -v error -y -f lavfi \
		-i "color=black:s=320x320,format=gbrp,geq=r='$2':g='$3':b='$4'" \
		-frames:v 1 -pix_fmt yuvj444p -threads 1 -flags +bitexact -fflags +bitexact \
		-map_metadata -1 -c:v mjpeg -q:v 3 "$1"
}

covers() {
	# 1: rings of three pebbles in the water at dusk
	r1='hypot(X-96,Y-214)' r2='hypot(X-226,Y-236)' r3='hypot(X-178,Y-92)'
	w="(sin($r1/6)*exp(-$r1/90)+sin($r2/5)*exp(-$r2/60)+sin($r3/8)*exp(-$r3/120))"
	paint 01.jpg \
		"clip(236-Y*0.42+38*$w,0,255)" \
		"clip(150-Y*0.16+44*$w,0,255)" \
		"clip(112+Y*0.20+40*$w,0,255)"

	# 2: northern lights over an ice floe
	a="exp(-pow((Y-110-34*sin(X/47)-14*sin(X/19))/44,2))"
	c="exp(-pow((Y-70-26*sin(X/61+2)-10*sin(X/23))/30,2))"
	ice="gt(Y,246+7*sin(X/33)+4*sin(X/11+1))"
	paint 02.jpg \
		"clip(14+Y*0.06+50*$c+$ice*(150+0.10*X),0,255)" \
		"clip(24+Y*0.14+170*$a*(0.75+0.25*sin(X/5))+40*$c+$ice*(120-Y*0.1),0,255)" \
		"clip(58+Y*0.26+80*$a+130*$c+$ice*90,0,255)"

	# 3: bright tiles with quarter circles
	i='floor(X/64)' j='floor(Y/64)'
	k="mod($i*7+$j*3+$i*$j,4)"
	u="(mod(X,64)+0.5-64*gt(mod($i+$j*2,3),0))"
	v="(mod(Y,64)+0.5-64*gt(mod($i*2+$j,3),0))"
	in="clip((60-hypot($u,$v))/1.5+0.5,0,1)"
	paint 03.jpg \
		"$in*(238-60*$k)+(1-$in)*(250-14*$k)" \
		"$in*(96+34*$k)+(1-$in)*(236-18*$k)" \
		"$in*(70+44*$k)+(1-$in)*(206-8*$k)"
}

# ----------------------------------------------------------------- main ----

covers
piece1
rm -f ./*.sox
piece2
rm -f ./*.sox
piece3
rm -f ./*.sox

# encode NUMBER FILE ARTIST TITLE LAME-OPTIONS...
printf '#EXTM3U\n' >demo.m3u
encode() {
	num=$1 file=$2 artist=$3 title=$4
	shift 4
	lame --quiet -m j "$@" --id3v2-utf16 \
		--ta "$artist" --tt "$title" --tl 'icepush demo' --ty 2026 --tn "$num/3" \
		--ti "0$num.jpg" "0$num.wav" "$file"
	secs=$(sox --i -D "0$num.wav")
	printf '#EXTINF:%d,%s - %s\n%s\n' "${secs%.*}" "$artist" "$title" "$file" >>demo.m3u
}
encode 1 01-pebbles-on-the-quay.mp3 'The Ring Buffer Trio' 'Pebbles on the Quay' \
	--cbr -b 128 --tg Acoustic
encode 2 02-jaalautta.mp3 'Slow Socket Ensemble' 'Jäälautta' \
	-V 4 --id3v2-only --tg Ambient
encode 3 03-pinguino-de-paseo.mp3 'Keepalive Five' 'Pingüino de paseo' \
	--abr 112 --id3v2-only --tg Instrumental

rm -f "$here"/0[1-3]-*.mp3 "$here/demo.m3u"
mv ./0[1-3]-*.mp3 demo.m3u "$here/"
