package kubernetes

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.uber.org/zap"

	storagetesting "k8s.io/apiserver/pkg/storage/testing"

	"shoal/agent/etcd/conformance/server"
)

// startServer runs a server of its own for the test and returns its endpoint.
func startServer(t testing.TB, flags ...string) string {
	t.Helper()
	return server.Start(t, server.Program(t), flags...)
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
