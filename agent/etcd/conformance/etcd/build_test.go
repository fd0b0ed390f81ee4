package etcd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Paths of the programs that TestMain builds.
var etcd, etcdctl string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

func build(m *testing.M) int {
	folder, err := os.MkdirTemp("", "etcd")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	command := exec.Command("go", "build", "-o", folder, "./cmd/...")
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build etcd and etcdctl:", err)
		return 1
	}
	etcd, etcdctl = filepath.Join(folder, "etcd"), filepath.Join(folder, "etcdctl")
	return m.Run()
}
