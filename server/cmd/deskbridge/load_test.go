package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const app = "1600012345"

// load is what posts callbacks while the bridge comes and goes, and knows what was acknowledged.
type load struct {
	players     []*player
	bulky       *poster
	quarantined *poster
}

// player is a deskctl simulate.
type player struct {
	*process
	record string
	out    bytes.Buffer
}

// startLoad runs players at the rate each. They post again what isn't acknowledged, and a part of what is.
func startLoad(t *testing.T, directory string, d *daemon, seed uint64, players int, rate float64) *load {
	t.Helper()
	l := &load{}
	for i := range players {
		p := &player{record: filepath.Join(directory, fmt.Sprintf("record-%d.jsonl", i))}
		log := createLog(t, filepath.Join(directory, fmt.Sprintf("simulate-%d.log", i)))
		p.process = start(t, log, &p.out, "deskctl", "simulate", "--url", d.webhook(), "--sessions", "0",
			"--concurrency", "24", "--rate", fmt.Sprint(rate), "--seed", fmt.Sprint(seed*100+uint64(i)),
			"--retry", "1h", "--duplicates", "0.05", "--record", p.record)
		l.players = append(l.players, p)
	}
	l.bulky, l.quarantined = startBulky(t, d), startQuarantine(t, d)
	return l
}

// size grows with everything that is acknowledged.
func (l *load) size() (size int64) {
	for _, p := range l.players {
		if info, err := os.Stat(p.record); err == nil {
			size += info.Size()
		}
	}
	return size
}

// stop ends the players after the posts that are under way.
func (l *load) stop() error {
	var errs []error
	for _, p := range l.players {
		if code := p.end(syscall.SIGINT); code != 0 {
			errs = append(errs, fmt.Errorf("deskctl simulate ended with %d: %s", code, p.watch))
		}
	}
	l.bulky.stop()
	l.quarantined.stop()
	return errors.Join(errs...)
}

var repeatsLine = regexp.MustCompile(`(?m)^duplicates +(\d+)$`)

// repeats is how many callbacks were acknowledged a second time.
func (l *load) repeats() (n int) {
	for _, p := range l.players {
		if match := repeatsLine.FindStringSubmatch(p.out.String()); match != nil {
			count, _ := strconv.Atoi(match[1])
			n += count
		}
	}
	return n
}

// acknowledgement is a line of a record.
type acknowledgement struct {
	ID       string `json:"request_id"`
	Session  string `json:"session_id"`
	Event    string `json:"event"`
	Sequence int    `json:"sequence"`
}

// recorded is what the players' records hold, which may be read while they play.
func (l *load) recorded() (all []acknowledgement, err error) {
	for _, p := range l.players {
		content, err := os.ReadFile(p.record)
		if err != nil {
			return nil, err
		}
		for decoder := json.NewDecoder(bytes.NewReader(content)); decoder.More(); {
			var a acknowledgement
			if err := decoder.Decode(&a); err != nil {
				return nil, err
			}
			all = append(all, a)
		}
	}
	return all, nil
}

// poster posts one callback after the other, each until it is acknowledged.
type poster struct {
	client *http.Client
	target string
	make   func(n int) callback // the n-th, from 1
	pause  time.Duration
	over   chan struct{}
	done   sync.WaitGroup

	acknowledged int // once stopped
}

func (p *poster) start(t *testing.T) *poster {
	t.Helper()
	p.client = &http.Client{Transport: &http.Transport{}, Timeout: 2 * time.Second}
	p.over = make(chan struct{})
	p.done.Go(p.run)
	t.Cleanup(p.stop)
	return p
}

func (p *poster) run() {
	defer p.client.CloseIdleConnections()
	ticker := time.NewTicker(p.pause)
	defer ticker.Stop()
	for {
		select {
		case <-p.over:
			return
		case <-ticker.C:
		}
		c := p.make(p.acknowledged + 1)
		if status, answer, err := post(p.client, p.target+"&RequestID="+c.requestID, c.body); err == nil && isOK(status, answer) {
			p.acknowledged++
		}
	}
}

func (p *poster) stop() {
	if !isClosed(p.over) {
		close(p.over)
	}
	p.done.Wait()
}

// startQuarantine posts what the bridge keeps but can't make events of.
func startQuarantine(t *testing.T, d *daemon) *poster {
	t.Helper()
	p := &poster{
		target: d.webhook() + "?SdkAppid=" + app + "&CallbackCommand=Desk.SomethingElse",
		make:   func(n int) callback { return callback{body: fmt.Sprintf(`{"Number":%d}`, n)} },
		pause:  30 * time.Millisecond,
	}
	return p.start(t)
}

const bulkySession, bulkyEvent = "bulky", "ChatBot.UserSendMsg"

// startBulky posts large callbacks of one session, so that the journal fills one file after the other.
func startBulky(t *testing.T, d *daemon) *poster {
	t.Helper()
	padding := strings.Repeat("x", 100<<10)
	p := &poster{
		target: d.webhook() + "?SdkAppid=" + app,
		make: func(n int) callback {
			return callback{bulkyID(n), `{"SessionId":"` + bulkySession + `","Event":"` + bulkyEvent +
				`","CloudCustomData":"` + bulkyID(n) + padding + `"}`}
		},
		pause: 50 * time.Millisecond,
	}
	return p.start(t)
}

func bulkyID(n int) string { return fmt.Sprintf("bulky-%d", n) }

// acknowledged is everything that must be an event. The load must have stopped.
func (l *load) acknowledged() ([]acknowledgement, error) {
	all, err := l.recorded()
	for n := 1; n <= l.bulky.acknowledged; n++ {
		all = append(all, acknowledgement{ID: bulkyID(n), Session: bulkySession, Event: bulkyEvent, Sequence: n})
	}
	return all, err
}

// keptBodies is everything that must be in quarantine. The load must have stopped.
func (l *load) keptBodies() (all []string) {
	for n := 1; n <= l.quarantined.acknowledged; n++ {
		all = append(all, l.quarantined.make(n).body)
	}
	return all
}

// post returns the answer's status and body.
func post(client *http.Client, target, body string) (int, string, error) {
	response, err := client.Post(target, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, string(answer), err
}

func isOK(status int, answer string) bool {
	return status == http.StatusOK && strings.Contains(answer, `"ActionStatus":"OK"`)
}
