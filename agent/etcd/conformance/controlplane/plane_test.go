package controlplane

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"shoal/agent/etcd/conformance/server"
)

// readyDeadline is how long a program of the control plane may take to be ready; kube-apiserver needs half a minute on a loaded core.
const readyDeadline = 5 * time.Minute

// Users of the control plane, whose names are their tokens. RBAC's bootstrap policy knows the second and the third.
const (
	administrator     = "admin"
	controllerManager = "system:kube-controller-manager"
	scheduler         = "system:kube-scheduler"
)

// plane is a control plane that runs until the test ends.
type plane struct {
	apiserver *server.Process
	others    map[string]*server.Process
	folder    string
	url       string
}

// startPlane runs a control plane that stores in the servers at the endpoints.
func startPlane(t *testing.T, kube string, endpoints []string) *plane {
	t.Helper()
	p := &plane{folder: t.TempDir(), others: map[string]*server.Process{}}
	p.writeServiceAccountKey(t)
	tokens := fmt.Sprintf("%[1]s,%[1]s,1,system:masters\n%[2]s,%[2]s,2\n%[3]s,%[3]s,3\n", administrator, controllerManager, scheduler)
	p.write(t, "tokens.csv", []byte(tokens))

	port := freePort(t)
	p.url = "https://127.0.0.1:" + port
	p.apiserver = p.run(t, kube, "kube-apiserver", []string{"KUBE_WATCHCACHE_CONSISTENCY_CHECKER=true"},
		"--etcd-servers="+strings.Join(endpoints, ","),
		// Ten times as often as usual: what a compaction can break has more chances to.
		"--etcd-compaction-interval=30s",
		"--bind-address=127.0.0.1",
		"--secure-port="+port,
		// What others are told (TEST-NET-1, RFC 5737). A loopback address is refused, and nobody connects to it here.
		"--advertise-address=192.0.2.1",
		"--cert-dir="+filepath.Join(p.folder, "certificates"),
		"--token-auth-file="+filepath.Join(p.folder, "tokens.csv"),
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+p.serviceAccountKey(),
		"--service-account-signing-key-file="+p.serviceAccountKey(),
	)
	p.waitReady(t)

	for user, flags := range map[string][]string{
		controllerManager: {
			"--service-account-private-key-file=" + p.serviceAccountKey(),
			"--root-ca-file=" + filepath.Join(p.folder, "certificates", "apiserver.crt"),
			"--use-service-account-credentials=true",
		},
		scheduler: nil,
	} {
		program := strings.TrimPrefix(user, "system:")
		kubeconfig := p.writeKubeconfig(t, user)
		p.others[program] = p.run(t, kube, program, nil, append(flags,
			"--kubeconfig="+kubeconfig,
			"--authentication-kubeconfig="+kubeconfig,
			"--authorization-kubeconfig="+kubeconfig,
			"--bind-address=127.0.0.1",
			"--secure-port="+freePort(t),
		)...)
	}
	return p
}

// run starts a program of the control plane, and keeps its log if the test fails.
func (p *plane) run(t *testing.T, kube, program string, environment []string, flags ...string) *server.Process {
	t.Helper()
	process, err := server.Run(kube, append([]string{program}, flags...), environment)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Kill()
		if !t.Failed() {
			return
		}
		log := filepath.Join(os.TempDir(), fmt.Sprintf("shoal-churn-%d-%s.log", os.Getpid(), program))
		if err := os.WriteFile(log, []byte(process.Output.String()), 0o644); err != nil {
			t.Log(err)
		}
		t.Logf("the log of %s is in %s", program, log)
	})
	return process
}

// waitReady waits until kube-apiserver has written its certificate, and answers that it is ready.
func (p *plane) waitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyDeadline)
	defer cancel()
	err := p.apiserver.WaitReady(ctx, func(ctx context.Context) error {
		for {
			client, err := kubernetes.NewForConfig(p.config())
			if err == nil {
				_, err = client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
			}
			if err == nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// config is how the administrator reaches kube-apiserver, with no limit of the client's own on requests.
func (p *plane) config() *rest.Config {
	return &rest.Config{
		Host: p.url, BearerToken: administrator, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(p.folder, "certificates", "apiserver.crt")},
	}
}

func (p *plane) client(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(p.config())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (p *plane) writeKubeconfig(t *testing.T, user string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["shoal"] = &clientcmdapi.Cluster{
		Server: p.url, CertificateAuthority: filepath.Join(p.folder, "certificates", "apiserver.crt"),
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: user}
	config.Contexts["shoal"] = &clientcmdapi.Context{Cluster: "shoal", AuthInfo: user}
	config.CurrentContext = "shoal"
	bytes, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return p.write(t, strings.TrimPrefix(user, "system:")+".kubeconfig", bytes)
}

func (p *plane) serviceAccountKey() string {
	return filepath.Join(p.folder, "service-accounts.key")
}

func (p *plane) writeServiceAccountKey(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	p.write(t, filepath.Base(p.serviceAccountKey()), pem.EncodeToMemory(block))
}

func (p *plane) write(t *testing.T, name string, bytes []byte) string {
	t.Helper()
	path := filepath.Join(p.folder, name)
	if err := os.WriteFile(path, bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// freePort returns a port of the loopback interface that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
