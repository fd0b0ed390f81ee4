package etcd

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/agent/etcd/conformance/server"
)

// stepDeadline is how long a command may take; one that needs longer has failed.
const stepDeadline = 2 * time.Minute

// step is one command of etcdctl.
type step struct {
	arguments []string
	input     string
	// Stop the command once it has printed so many lines: it would go on for ever.
	lines int
	// What to remember from the output for later steps, as $name: the first group of an expression.
	remember map[string]string
	// Put the lines of the output in order: etcd sorts by numbers made by chance.
	sort bool
	// What differs from run to run, beyond what every command's output is rid of.
	ignore []string
}

func ctl(arguments ...string) step { return step{arguments: arguments} }

func (s step) stdin(input string) step { s.input = input; return s }

func (s step) until(lines int) step { s.lines = lines; return s }

func (s step) as(name, expression string) step {
	s.remember = map[string]string{name: expression}
	return s
}

func (s step) sorted() step { s.sort = true; return s }

func (s step) ignoring(expressions ...string) step {
	s.ignore = append(s.ignore, expressions...)
	return s
}

// run is one pass of a script over one server.
type run struct {
	endpoint string
	folder   string
	values   map[string]string
}

// volatile is what differs between any two servers: who answers, in which term.
var volatile = []string{
	`"(?:cluster_id|member_id|raft_term|raft_index|raftIndex|raftTerm|raftAppliedIndex)":\d+`,
	`"(?:ClusterID|MemberID|RaftTerm)" : \d+`,
	`http://127\.0\.0\.1:\d+`,
	`127\.0\.0\.1:\d+`,
	// What the client itself logs.
	`(?m)^\{"level":.*\n`,
}

func (r *run) do(t *testing.T, s step) string {
	arguments := []string{"--endpoints=" + r.endpoint}
	for _, argument := range s.arguments {
		arguments = append(arguments, r.expand(argument))
	}
	ctx, cancel := context.WithTimeout(t.Context(), stepDeadline)
	defer cancel()
	command := exec.CommandContext(ctx, etcdctl, arguments...)
	command.Dir = r.folder
	var output server.Output
	command.Stdout, command.Stderr = &output, &output
	input := strings.NewReader(r.expand(s.input))
	if s.lines == 0 {
		command.Stdin = input
	} else if open, err := command.StdinPipe(); err != nil {
		t.Fatal(err)
	} else {
		// It stays open: some commands end with their input.
		go io.Copy(open, input)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if s.lines > 0 {
		for strings.Count(output.String(), "\n") < s.lines && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		command.Process.Kill()
	}
	err := command.Wait()
	text := output.String()
	if ctx.Err() != nil {
		t.Fatalf("etcdctl %s takes too long; it has said:\n%s", strings.Join(arguments, " "), text)
	}
	for name, expression := range s.remember {
		found := regexp.MustCompile(expression).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("etcdctl %s prints no %s:\n%s", strings.Join(arguments, " "), expression, text)
		}
		r.values[name] = found[1]
	}
	for name, value := range r.values {
		// A whole word: our members' ids are small numbers.
		text = regexp.MustCompile(`\b`+regexp.QuoteMeta(value)+`\b`).ReplaceAllLiteralString(text, "$"+name)
	}
	for _, expression := range append(s.ignore, volatile...) {
		text = regexp.MustCompile(expression).ReplaceAllString(text, "")
	}
	// Numbers are padded to their largest width.
	text = regexp.MustCompile(` +`).ReplaceAllString(text, " ")
	if s.sort {
		lines := strings.SplitAfter(text, "\n")
		slices.Sort(lines)
		text = strings.Join(lines, "")
	}
	if err != nil && s.lines == 0 {
		text += fmt.Sprintf("(%v)\n", err)
	}
	return text
}

func (r *run) expand(text string) string {
	for name, value := range r.values {
		text = strings.ReplaceAll(text, "$"+name, value)
	}
	return text
}

// compare runs a script on etcd and on the server, each of its own, and holds each step's output to the other's.
func compare(t *testing.T, script ...step) {
	t.Helper()
	compareWith(t, nil, script...)
}

// compareWith does it with servers that are given flags.
func compareWith(t *testing.T, flags []string, script ...step) {
	t.Helper()
	t.Parallel()
	program := server.Program(t)
	theirs := &run{endpoint: server.Start(t, etcd, flags...), folder: t.TempDir(), values: map[string]string{}}
	ours := &run{endpoint: server.Start(t, program, flags...), folder: t.TempDir(), values: map[string]string{}}
	for _, s := range script {
		want, got := theirs.do(t, s), ours.do(t, s)
		if got != want {
			t.Errorf("etcdctl %s\n--- etcd says:\n%s--- we say:\n%s", strings.Join(s.arguments, " "), want, got)
		}
	}
}

// start begins a command that goes on, and returns how to end it.
func (r *run) start(t *testing.T, arguments ...string) func() {
	command := exec.Command(etcdctl, append([]string{"--endpoints=" + r.endpoint}, arguments...)...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		command.Process.Kill()
		command.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// eventually repeats a command until it prints what it should, or for too long.
func (r *run) eventually(t *testing.T, s step, want string) string {
	deadline := time.Now().Add(stepDeadline)
	for {
		got := r.do(t, s)
		if got == want || time.Now().After(deadline) {
			return got
		}
	}
}
