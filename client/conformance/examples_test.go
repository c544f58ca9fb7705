//go:build clients

package conformance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskbridge/deskbridge/client/bridgetest"
)

// example is a program under examples/ while it runs.
type example struct {
	*process
	t *testing.T

	mu    sync.Mutex
	lines []string
}

func startExample(t *testing.T, bridge *bridgetest.Bridge, program ...string) *example {
	t.Helper()
	e := &example{t: t}
	e.process = launch(t, program, []string{"DESKBRIDGE_ADDR=" + bridge.Addr()}, func(line []byte) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.lines = append(e.lines, strings.TrimRight(string(line), "\r\n"))
	})
	return e
}

func (e *example) printed() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.lines)
}

// await waits until a condition holds. It fails when the program ends before.
func (e *example) await(what string, reached func() bool) {
	e.t.Helper()
	for deadline := time.Now().Add(patience); !reached(); {
		select {
		case <-e.exited:
			if !reached() {
				e.t.Fatalf("the program ended (%v) without: %s; it printed %q", e.exit, what, e.printed())
			}
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("not within %v: %s; it printed %q", patience, what, e.printed())
		}
	}
}

func (e *example) awaitLines(want []string) {
	e.t.Helper()
	e.await(fmt.Sprintf("%d lines", len(want)), func() bool { return len(e.printed()) >= len(want) })
	if got := e.printed(); !slices.Equal(got, want) {
		e.t.Errorf("printed %q, want %q", got, want)
	}
}

// exits waits for an end without a fault.
func (e *example) exits() {
	e.t.Helper()
	select {
	case <-e.exited:
	case <-time.After(patience):
		e.t.Fatal("the program does not end")
	}
	if e.exit != nil {
		e.t.Errorf("the program ended with %v", e.exit)
	}
}

// java runs an example from its source.
func java(source string, arguments ...string) []string {
	const path = "client/java/target/classes:client/java/target/dependency/*"
	return append([]string{"java", "-XX:TieredStopAtLevel=1", "-cp", path, "examples/java/" + source}, arguments...)
}

// isChosen says whether -clients names a language.
func isChosen(name string) bool { return slices.Contains(strings.Split(*clients, ","), name) }

// TestSnippets runs the programs whose bodies the README shows. Each prints the events there are, and then each as it
// arrives.
func TestSnippets(t *testing.T) {
	t.Parallel()
	for name, program := range map[string][]string{
		"python":     {"client/python/.venv/bin/python", "examples/python/tail.py"},
		"typescript": {"node", "examples/typescript/dist/tail.js"},
		"java":       java("Tail.java"),
	} {
		if !isChosen(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bridge := bridgetest.Start(t)
			bridge.Play(2)
			e := startExample(t, bridge, program...)
			e.awaitLines(tailOf(bridge))
			bridge.Restart()
			bridge.Play(1)
			e.awaitLines(tailOf(bridge))
		})
	}
}

func tailOf(bridge *bridgetest.Bridge) []string {
	var lines []string
	for _, event := range bridge.Events() {
		lines = append(lines, fmt.Sprintf("%d %s %s", event.GetPosition(), event.GetTypeName(), event.GetSessionId()))
	}
	return lines
}

// TestGoSnippet wants what agents and their users write, all of it from the first on, and nothing else.
func TestGoSnippet(t *testing.T) {
	t.Parallel()
	if !isChosen("go") {
		return
	}
	bridge := bridgetest.Start(t)
	e := startExample(t, bridge, "bin/example-go", bridge.Addr())
	e.await("a line", func() bool {
		bridge.Play(1) // it starts at the head, whenever that is
		return len(e.printed()) > 0
	})
	bridge.Restart()
	bridge.Play(1)
	var first uint64
	if _, err := fmt.Sscan(e.printed()[0], &first); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, event := range bridge.Events() {
		if event.GetPosition() >= first && strings.HasPrefix(event.GetTypeName(), "Human.") {
			want = append(want, fmt.Sprintf("%d %s ", event.GetPosition(), event.GetTypeName()))
		}
	}
	e.await("all there is", func() bool { return len(e.printed()) >= len(want) })
	if !slices.EqualFunc(e.printed(), want, strings.HasPrefix) {
		t.Errorf("printed %q, want %q", e.printed(), want)
	}
}

// TestGoExample stops the program between two ratings, and wants an alert of each low one.
func TestGoExample(t *testing.T) {
	t.Parallel()
	if !isChosen("go") {
		return
	}
	bridge := bridgetest.Start(t)
	cursor := filepath.Join(t.TempDir(), "cursor")
	const rating = `{"Event": "SatisfactionSelected", "SessionId": "s%d", "ClientUserId": "u", "SatisfactionSelected": %[1]d}`
	alerts := func(stars ...int) (lines []string) {
		for _, n := range stars {
			lines = append(lines, fmt.Sprintf("ALERT: user u gave session s%d %[1]d of 5", n))
		}
		return lines
	}
	for _, n := range []int{2, 5, 1} {
		bridge.Post(fmt.Sprintf(rating, n))
	}
	e := startExample(t, bridge, "bin/example-go-lowratings", cursor)
	e.awaitLines(alerts(2, 1))
	bridge.Restart()
	if err := e.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	e.exits()
	bridge.Post(`{"Event": "SatisfactionSelected", "SessionId": "s2", "ClientUserId": "u", "SatisfactionSelected": 2, "EventTime": 1}`)
	e = startExample(t, bridge, "bin/example-go-lowratings", cursor)
	e.awaitLines(alerts(2))
}

// TestPythonExample kills the program amid its work, and wants each rating in the database once.
func TestPythonExample(t *testing.T) {
	t.Parallel()
	if !isChosen("python") {
		return
	}
	const python = "client/python/.venv/bin/python"
	bridge := bridgetest.Start(t)
	bridge.Play(20)
	database := filepath.Join(t.TempDir(), "ratings.sqlite")
	for range 2 {
		e := startExample(t, bridge, python, "examples/python/ratings.py", database)
		e.await("the ratings there are", func() bool { return slices.Equal(ratingsIn(t, database), ratingsOf(bridge)) })
		e.kill()
		bridge.Play(10)
	}
}

func ratingsOf(bridge *bridgetest.Bridge) []string {
	var ratings []string
	for _, event := range bridge.Events() {
		if event.SatisfactionRating != nil {
			ratings = append(ratings, fmt.Sprintf("%d %s %d",
				event.GetPosition(), event.GetSessionId(), event.GetSatisfactionRating()))
		}
	}
	return ratings
}

// ratingsIn asks SQLite in another process, as anybody would.
func ratingsIn(t *testing.T, database string) []string {
	t.Helper()
	const query = `import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
for row in database.execute("SELECT position, session_id, rating FROM ratings ORDER BY position"):
    print(*row)`
	var rows []string
	p := launch(t, []string{"client/python/.venv/bin/python", "-c", query, database}, nil, func(line []byte) {
		rows = append(rows, strings.TrimSpace(string(line)))
	})
	<-p.exited // with an error while the program has yet to create the database
	return rows
}

// TestTypeScriptExample wants the transcript of one session, with a restart in the middle.
func TestTypeScriptExample(t *testing.T) {
	t.Parallel()
	if !isChosen("typescript") {
		return
	}
	bridge := bridgetest.Start(t)
	bridge.Play(3)
	const session = "5f3a9c01-6a1e-4f0b-9b53-0d2f6b9a41c7"
	bridge.Post(callback(session, "SessionBegin", 0, ""))
	bridge.Post(callback(session, "ChatBot.UserSendMsg", 1, "Where is my parcel? 📦"))
	e := startExample(t, bridge, "node", "examples/typescript/dist/transcript.js", session)
	e.await("two lines", func() bool { return len(e.printed()) >= 2 })
	bridge.Restart()
	bridge.Post(callback(session, "Human.AgentSendMsg", 2, "On its way."))
	bridge.Post(callback(session, "SessionEnd", 3, ""))
	e.exits()
	e.awaitLines([]string{
		"12:40:20 -- SessionBegin",
		"12:40:21 user: Where is my parcel? 📦",
		"12:40:22 agent: On its way.",
		"12:40:23 -- SessionEnd",
	})
}

// TestJavaExample has two users queue, of whom one meets an agent in time.
func TestJavaExample(t *testing.T) {
	t.Parallel()
	if !isChosen("java") {
		return
	}
	bridge := bridgetest.Start(t)
	bridge.Post(callback("waits", "TransferringToHumanWait", 0, ""))
	bridge.Post(callback("is served", "TransferringToHumanWait", 0, ""))
	bridge.Post(callback("is served", "TransferToHumanSuccess", 1, ""))
	e := startExample(t, bridge, java("QueueAlert.java", "2")...)
	e.await("an alert", func() bool { return len(e.printed()) > 0 })
	bridge.Restart()
	bridge.Post(callback("waits too", "TransferringToHumanWait", 2, ""))
	e.await("a second alert", func() bool { return len(e.printed()) > 1 })
	for i, session := range []string{"waits", "waits too"} {
		if line := e.printed()[i]; !strings.HasPrefix(line, "ALERT: ") || !strings.Contains(line, " "+session+" ") {
			t.Errorf("printed %q, want an alert of %q", line, session)
		}
	}
}

// callback is one with a text, if that isn't empty, so many seconds after a fixed time.
func callback(session, event string, second int, text string) string {
	message := ""
	if text != "" {
		message = fmt.Sprintf(`, "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": %q}}]`, text)
	}
	return fmt.Sprintf(`{"Event": %q, "SessionId": %q, "EventTime": %d%s}`,
		event, session, 1725540020000+1000*second, message)
}
