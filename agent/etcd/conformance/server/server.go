// Package server runs servers of etcd's API for tests: any program that takes etcd's flags.
package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Variable names the program under test in the environment. It may be etcd itself: what fails there is no fault of ours.
const Variable = "SHOAL_STORE"

// startDeadline is how long the servers of a cluster may take until all are healthy; what needs longer has failed.
const startDeadline = 60 * time.Second

// startAttempts is how often servers are started of which one lost the race for its port to somebody else.
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
	return StartCluster(t, program, 1, flags...)[0]
}

// StartCluster runs a cluster of servers with empty data directories and returns their endpoints. They are stopped when the test ends.
func StartCluster(t testing.TB, program string, size int, flags ...string) []string {
	t.Helper()
	for range startAttempts {
		endpoints, err := try(t, program, size, flags)
		if err == nil {
			return endpoints
		}
		if !strings.Contains(strings.ToLower(err.Error()), "address already in use") {
			t.Fatal(err)
		}
	}
	t.Fatalf("no ports were free in %d attempts", startAttempts)
	return nil
}

// member is what a server of a cluster is called, and where it listens.
type member struct {
	name, client, peer string
}

func try(t testing.TB, program string, size int, flags []string) ([]string, error) {
	members := make([]member, size)
	var endpoints, initialCluster []string
	for index := range members {
		members[index] = member{name: fmt.Sprintf("conformance%d", index+1), client: freeURL(t), peer: freeURL(t)}
		if size == 1 {
			members[index].name = "conformance"
		}
		endpoints = append(endpoints, members[index].client)
		initialCluster = append(initialCluster, members[index].name+"="+members[index].peer)
	}
	var servers []*Process
	for _, member := range members {
		server, err := Run(program, append([]string{
			"--name=" + member.name,
			"--data-dir=" + filepath.Join(t.TempDir(), "data"),
			"--listen-client-urls=" + member.client,
			"--advertise-client-urls=" + member.client,
			"--listen-peer-urls=" + member.peer,
			"--initial-advertise-peer-urls=" + member.peer,
			"--initial-cluster=" + strings.Join(initialCluster, ","),
			"--log-level=warn",
		}, flags...), nil)
		if err != nil {
			stop(servers)
			return nil, err
		}
		servers = append(servers, server)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	for index, server := range servers {
		if err := server.WaitReady(ctx, func(ctx context.Context) error { return waitHealthy(ctx, members[index].client) }); err != nil {
			stop(servers)
			return nil, err
		}
	}
	t.Cleanup(func() {
		stop(servers)
		for index, server := range servers {
			if t.Failed() {
				t.Logf("%s said:\n%s", members[index].name, server.Output.String())
			}
		}
	})
	return endpoints, nil
}

func stop(servers []*Process) {
	for _, server := range servers {
		server.Kill()
	}
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
