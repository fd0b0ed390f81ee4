// Package server runs servers of etcd's API for tests: any program that takes etcd's flags.
package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Variable names the program under test in the environment. It may be etcd itself: what fails there is no fault of ours.
const Variable = "SHOAL_STORE"

// startDeadline is how long a server may take until it is healthy; one that needs longer has failed.
const startDeadline = 60 * time.Second

// startAttempts is how often a server is started that lost the race for its port to somebody else.
const startAttempts = 5

// Program returns the program under test.
func Program(t testing.TB) string {
	t.Helper()
	program := os.Getenv(Variable)
	if program == "" {
		t.Fatalf("set %s to the path of shoal-store: `cargo build -p shoal-standalone` puts it into target/debug", Variable)
	}
	return program
}

// Start runs a server with an empty data directory and returns its endpoint. It is stopped when the test ends.
func Start(t testing.TB, program string, flags ...string) string {
	t.Helper()
	for range startAttempts {
		endpoint, err := try(t, program, flags)
		if err == nil {
			return endpoint
		}
		if !strings.Contains(strings.ToLower(err.Error()), "address already in use") {
			t.Fatal(err)
		}
	}
	t.Fatalf("no port was free in %d attempts", startAttempts)
	return ""
}

func try(t testing.TB, program string, flags []string) (string, error) {
	client, peer := freeURL(t), freeURL(t)
	arguments := append([]string{
		"--name=conformance",
		"--data-dir=" + filepath.Join(t.TempDir(), "data"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=conformance=" + peer,
		"--log-level=warn",
	}, flags...)
	var output Output
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = &output, &output
	// A test that is killed takes its servers along.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("start %s: %w", program, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait() }()
	stop := func() {
		command.Process.Kill()
		<-exited
	}

	healthy := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	go func() { healthy <- waitHealthy(ctx, client) }()
	select {
	case err := <-exited:
		return "", fmt.Errorf("%s ended before it was ready: %v\n%s", program, err, output.String())
	case err := <-healthy:
		if err != nil {
			stop()
			return "", fmt.Errorf("%s is not ready after %v: %v\n%s", program, startDeadline, err, output.String())
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("the server said:\n%s", output.String())
		}
	})
	return client, nil
}

// freeURL returns a URL whose port was free a moment ago.
func freeURL(t testing.TB) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

// waitHealthy returns when the server says that it can serve: it knows a leader.
func waitHealthy(ctx context.Context, endpoint string) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/health", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/health answers %s", response.Status)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Output collects what a process prints while the test may read it.
type Output struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

// Write adds to the output.
func (o *Output) Write(bytes []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.buffer.Write(bytes)
}

// String returns what has been printed so far.
func (o *Output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.buffer.String()
}
