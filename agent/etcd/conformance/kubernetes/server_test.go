package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.uber.org/zap"

	storagetesting "k8s.io/apiserver/pkg/storage/testing"
)

// binaryVariable names the program under test. It gets etcd's flags, so that it may be etcd itself: what fails there is no fault of ours.
const binaryVariable = "SHOAL_STORE"

// startDeadline is how long a server may take until it answers a read; one that needs longer has failed.
const startDeadline = 60 * time.Second

// startAttempts is how often a server is started that lost the race for its port to somebody else.
const startAttempts = 5

// startServer runs a server of its own for the test, with an empty data directory, and returns its endpoint. It is stopped when the test ends.
func startServer(t testing.TB, flags ...string) string {
	t.Helper()
	binary := os.Getenv(binaryVariable)
	if binary == "" {
		t.Fatalf("set %s to the path of shoal-store: `cargo build -p shoal-standalone` puts it into target/debug", binaryVariable)
	}
	for range startAttempts {
		endpoint, err := tryServer(t, binary, flags)
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

func tryServer(t testing.TB, binary string, flags []string) (string, error) {
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
	var output lockedBuffer
	command := exec.Command(binary, arguments...)
	command.Stdout, command.Stderr = &output, &output
	// A test that is killed takes its servers along.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("start %s: %w", binary, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait() }()
	stop := func() {
		command.Process.Kill()
		<-exited
	}

	ready := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	go func() { ready <- waitReady(ctx, client) }()
	select {
	case err := <-exited:
		return "", fmt.Errorf("%s ended before it was ready: %v\n%s", binary, err, output.String())
	case err := <-ready:
		if err != nil {
			stop()
			return "", fmt.Errorf("%s is not ready after %v: %v\n%s", binary, startDeadline, err, output.String())
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

// waitReady returns when the server has answered a linearizable read.
func waitReady(ctx context.Context, endpoint string) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		_, err = client.Get(attempt, "ready")
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// connect opens a client like kube-apiserver's, which counts what it asks for.
func connect(t testing.TB, endpoint string) *kubernetes.Client {
	t.Helper()
	client, err := kubernetes.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil && !errors.Is(err, context.Canceled) {
			t.Logf("close the client: %v", err)
		}
	})
	recorder := storagetesting.NewKubernetesRecorder(client.Kubernetes)
	client.KV = recordingKV(client.KV, recorder)
	client.Kubernetes = recorder
	return client
}

// lockedBuffer collects what a process prints while the test may read it.
type lockedBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(bytes []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(bytes)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}
