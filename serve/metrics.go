package serve

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// What /metrics tells of each mount.
var (
	metricListeners = prometheus.NewDesc("icepush_listeners", "Listeners connected now.", []string{"mount"}, nil)
	metricPeak      = prometheus.NewDesc("icepush_listeners_peak", "Most listeners at one time.", []string{"mount"}, nil)
	metricSkipped   = prometheus.NewDesc("icepush_skipped_blocks_total", "Pieces of the stream that listeners were too slow for.", []string{"mount"}, nil)
	metricAudio     = prometheus.NewDesc("icepush_audio_seconds_total", "Audio played.", []string{"mount"}, nil)
	metricPlaying   = prometheus.NewDesc("icepush_playing", "1 while the mount plays.", []string{"mount"}, nil)
	metricUptime    = prometheus.NewDesc("icepush_uptime_seconds", "How long the server has been running.", nil, nil)
)

// collector gathers metrics from a server.
type collector struct{ *Server }

func (c collector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, out) }

func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	c.mu.Lock()
	began := c.began
	c.mu.Unlock()
	if !began.IsZero() {
		gauge(metricUptime, time.Since(began).Seconds())
	}
	for _, m := range c.Mounts {
		_, _, playing := m.describe()
		m.mu.Lock()
		listeners, peak, skipped, audio := m.listeners, m.peak, m.skipped, m.played
		m.mu.Unlock()
		gauge(metricListeners, float64(listeners), m.Path)
		gauge(metricPeak, float64(peak), m.Path)
		counter(metricSkipped, float64(skipped), m.Path)
		counter(metricAudio, audio.Seconds(), m.Path)
		gauge(metricPlaying, map[bool]float64{true: 1}[playing], m.Path)
	}
}

// Collector returns what gathers the metrics of the server.
func (s *Server) Collector() prometheus.Collector { return collector{s} }

// metrics returns what answers /metrics, in the text format of Prometheus.
func (s *Server) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Collector())
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
