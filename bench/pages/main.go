// Command pages is many web pages that want to know what plays: it connects to WebSockets
// that send the messages of docs/nowplaying.md, and says how late changes come, counted from
// when the track began.
//
//	pages [-n PAGES] [-deaf PAGES] [-for TIME] [-pid PID] ws://localhost:8000/nowplaying
//
// The deaf ones connect and then read nothing. With -pid it says what memory the process
// takes with the pages and took without.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	n := flag.Int("n", 5000, "how many pages")
	deaf := flag.Int("deaf", 0, "how many more that read nothing")
	long := flag.Duration("for", 30*time.Second, "how long to listen")
	pid := flag.Int("pid", 0, "the process that is asked")
	flag.Parse()
	log.SetFlags(0)
	before := memory(*pid)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var mu sync.Mutex
	late := map[time.Time][]time.Duration{} // of each change, at each page
	var lost atomic.Int64
	var listening, connecting sync.WaitGroup
	turns := make(chan struct{}, 50) // connect at the same time
	for range *deaf {
		connecting.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			if err := beDeaf(flag.Arg(0)); err != nil {
				log.Fatal(err)
			}
		})
	}
	for range *n {
		connecting.Go(func() {
			turns <- struct{}{}
			c, in, err := connect(flag.Arg(0))
			<-turns
			if err != nil {
				log.Fatal(err)
			}
			listening.Go(func() {
				defer c.Close()
				for {
					b, err := message(c, in)
					if err != nil {
						if ctx.Err() == nil {
							lost.Add(1)
						}
						return
					}
					at := time.Now()
					if began, ok := change(b); ok {
						mu.Lock()
						late[began] = append(late[began], at.Sub(began))
						mu.Unlock()
					}
				}
			})
			context.AfterFunc(ctx, func() { c.Close() })
		})
	}
	connecting.Wait()
	time.Sleep(3 * time.Second) // what it took to connect is over
	mu.Lock()
	clear(late)
	mu.Unlock()
	time.Sleep(*long)
	after := memory(*pid)
	mu.Lock()
	defer mu.Unlock()
	cancel()
	var last, all []time.Duration
	heard := 0
	for began, times := range late {
		if time.Since(began) < time.Second || len(times) < *n/2 {
			continue // on its way when listening began or ended
		}
		heard += len(times)
		last = append(last, slices.Max(times))
		all = append(all, times...)
	}
	if len(last) == 0 {
		log.Fatal("nothing has changed")
	}
	slices.Sort(all)
	fmt.Printf("%d pages, %d deaf: %d changes, %d missing; a page hears of one after %d ms (p50), %d ms (p99); the last of them after %d ms at most; %d connections lost\n",
		*n, *deaf, len(last), len(last)**n-heard, all[len(all)/2].Milliseconds(), all[len(all)*99/100].Milliseconds(), slices.Max(last).Milliseconds(), lost.Load())
	if *pid > 0 {
		fmt.Printf("memory %.1f MB, %.1f MB before: %.1f kB for each\n", float64(after)/1e3, float64(before)/1e3, float64(after-before)/float64(*n+*deaf))
	}
}

// change returns when the track of a change began.
func change(message []byte) (began time.Time, ok bool) {
	if !bytes.Contains(message[:min(len(message), 60)], []byte(`"type":"change"`)) {
		return began, false
	}
	_, text, _ := bytes.Cut(message, []byte(`"started_at":"`))
	text, _, _ = bytes.Cut(text, []byte(`"`))
	began, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		log.Fatal(err)
	}
	return began, true
}

// beDeaf connects and reads no more than the answer.
func beDeaf(address string) error {
	c, _, err := connect(address)
	if err == nil {
		c.(*net.TCPConn).SetReadBuffer(4096)
		kept.Store(c, true)
	}
	return err
}

// connect opens a WebSocket. A library would do more with each message than a page of many
// should: who measures runs on the same machine.
func connect(address string) (net.Conn, *bufio.Reader, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, nil, err
	}
	r, _ := http.NewRequest(http.MethodGet, "http://"+u.Host+u.RequestURI(), nil)
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
		r.Header.Set(name, value)
	}
	if err := r.Write(c); err != nil {
		return nil, nil, err
	}
	in := bufio.NewReaderSize(c, 8192)
	resp, err := http.ReadResponse(in, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = errors.New(resp.Status)
	}
	return c, in, err
}

// message returns the payload of the next frame that has one for us (RFC 6455, section
// 5.2), valid until the next call, and answers pings.
func message(c net.Conn, in *bufio.Reader) ([]byte, error) {
	for {
		head, err := in.Peek(2)
		if err != nil {
			return nil, err
		}
		ping := head[0]&0xF == 9
		n, skip := int(head[1]&0x7F), 2
		if n == 126 {
			if head, err = in.Peek(4); err != nil {
				return nil, err
			}
			n, skip = int(head[2])<<8|int(head[3]), 4
		}
		in.Discard(skip)
		b, err := in.Peek(n)
		if err == nil {
			_, err = in.Discard(n)
		}
		if !ping || err != nil {
			return b, err
		}
		pong := append([]byte{0x8A, 0x80 | byte(n), 0, 0, 0, 0}, b...) // with a mask of zeros
		if _, err := c.Write(pong); err != nil {
			return nil, err
		}
	}
}

// kept are connections that are not to be collected.
var kept sync.Map

// memory returns what a process has resident, in kB of 1,024 bytes.
func memory(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	n := 0
	if _, rest, ok := strings.Cut(string(b), "VmRSS:"); ok {
		fmt.Sscan(rest, &n)
	}
	return n
}
