package control

import (
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// desc describes a metric that /metrics tells of.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("icepush_"+name, help, labels, nil)
}

// What /metrics tells of icepush, of each show (its mount is "" but in serve) and of each
// target.
var (
	metricInfo    = desc("info", "1, with the version.", "version")
	metricHealthy = desc("healthy", "1 while it is on the air, or has not been off for long.")

	metricPlaying  = desc("show_playing", "1 while a track plays.", "mount")
	metricFrames   = desc("show_frames_total", "Frames that have left the clock.", "mount")
	metricAudio    = desc("show_audio_seconds_total", "Audio that has left the clock.", "mount")
	metricSilence  = desc("show_silence_seconds_total", "Of that, silence that filled gaps.", "mount")
	metricTracks   = desc("show_tracks_total", "Tracks that have ended, by how.", "mount", "fate")
	metricQueue    = desc("show_queue", "Inputs that wait in the queue.", "mount")
	metricMoved    = desc("show_clock_moved_seconds_total", "What the clock was moved by: audio that could not go out in time.", "mount")
	metricLateness = desc("show_lateness_seconds", "How long after they were due groups of frames have left.", "mount")

	metricOnAir      = desc("target_on_air", "1 while the target is on the air.", "target")
	metricOnFor      = desc("target_on_air_seconds_total", "How long it has been on the air.", "target")
	metricOffFor     = desc("target_off_air_seconds_total", "How long it has been off the air.", "target")
	metricReconnects = desc("target_reconnects_total", "How often it came back on the air, by why it was off.", "target", "reason")
	metricSentBytes  = desc("target_sent_bytes_total", "Bytes that were sent.", "target")
	metricSent       = desc("target_sent_frames_total", "Frames that were sent, each counted once.", "target")
	metricLost       = desc("target_lost_frames_total", "Frames that were left out, for they would have come too late.", "target")
	metricLead       = desc("target_lead_seconds", "How far what was sent is ahead of what is heard.", "target")
	metricQueued     = desc("target_queued_seconds", "Audio that waits to be sent.", "target")
	metricTitles     = desc("target_titles_total", "Titles, by what became of them.", "target", "result")
)

// collector gathers metrics from a station.
type collector struct {
	station Station
	reasons []string
}

func (c collector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, out) }

func (c collector) Collect(out chan<- prometheus.Metric) {
	send := func(kind prometheus.ValueType) func(d *prometheus.Desc, v float64, labels ...string) {
		return func(d *prometheus.Desc, v float64, labels ...string) {
			for i := range labels {
				labels[i] = strings.ToValidUTF8(labels[i], "?")
			}
			out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
		}
	}
	gauge, counter := send(prometheus.GaugeValue), send(prometheus.CounterValue)
	st := c.station.Status()
	gauge(metricInfo, 1, st.Program)
	gauge(metricHealthy, number(st.Healthy))
	shows := st.Shows
	if shows == nil {
		shows = []Show{st.Show}
	}
	for i := range shows {
		s := &shows[i]
		gauge(metricPlaying, number(s.Playing), s.Mount)
		counter(metricFrames, float64(s.Frames), s.Mount)
		counter(metricAudio, s.Audio, s.Mount)
		counter(metricSilence, s.Silence, s.Mount)
		counter(metricTracks, float64(s.Played), s.Mount, "whole")
		counter(metricTracks, float64(s.Skipped), s.Mount, "skipped")
		counter(metricTracks, float64(s.Failed), s.Mount, "failed")
		gauge(metricQueue, float64(s.Queued), s.Mount)
		counter(metricMoved, s.Moved, s.Mount)
		buckets, below := map[float64]uint64{}, uint64(0)
		for _, b := range s.Lateness.Buckets {
			if below += uint64(b.Groups); b.Most > 0 {
				buckets[b.Most] = below
			}
		}
		out <- prometheus.MustNewConstHistogram(metricLateness, uint64(s.Lateness.Groups), s.Lateness.Sum, buckets, s.Mount)
	}
	for i := range st.Targets {
		t := &st.Targets[i]
		gauge(metricOnAir, number(t.OnAir), t.URL)
		counter(metricOnFor, t.OnFor, t.URL)
		counter(metricOffFor, t.OffFor, t.URL)
		for _, reason := range c.reasons {
			counter(metricReconnects, float64(t.Reconnects[reason]), t.URL, reason)
		}
		counter(metricSentBytes, float64(t.Bytes), t.URL)
		counter(metricSent, float64(t.Frames), t.URL)
		counter(metricLost, float64(t.Lost), t.URL)
		gauge(metricLead, t.Lead, t.URL)
		gauge(metricQueued, t.Queued, t.URL)
		counter(metricTitles, float64(t.Titles), t.URL, "sent")
		counter(metricTitles, float64(t.TitlesRefused), t.URL, "refused")
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Metrics returns what answers /metrics, in the text format of Prometheus: of a station, of
// the process, and of more. Reasons are all there are for a target to be off the air. It costs
// nothing until somebody asks.
func Metrics(st Station, reasons []string, more ...prometheus.Collector) http.Handler {
	handler := sync.OnceValue(func() http.Handler {
		registry := prometheus.NewRegistry()
		registry.MustRegister(collector{st, reasons}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		registry.MustRegister(more...)
		return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler().ServeHTTP(w, r) })
}
