package dispatch_test

import (
	"slices"
	"strings"
	"testing"

	"shoal.internal/kubernetes/dispatch"
)

// programs returns two programs whose exit statuses tell them apart.
func programs() []dispatch.Program {
	return []dispatch.Program{
		{Name: "kubelet", Main: func() int { return 11 }},
		{Name: "containerd", Main: func() int { return 22 }},
	}
}

func TestEveryWayOfCallingAProgramFindsItAndItsArguments(t *testing.T) {
	for _, test := range []struct {
		called      []string
		status      int
		commandLine []string
	}{
		{[]string{"kubelet"}, 11, []string{"kubelet"}},
		{[]string{"/usr/bin/kubelet", "--v", "2"}, 11, []string{"kubelet", "--v", "2"}},
		{[]string{"../bin/containerd", "config", "dump"}, 22, []string{"containerd", "config", "dump"}},
		{[]string{"shoal-kube", "kubelet"}, 11, []string{"kubelet"}},
		{[]string{"/usr/bin/shoal-kube", "containerd", "kubelet"}, 22, []string{"containerd", "kubelet"}},
	} {
		program, commandLine, err := dispatch.Choose(programs(), test.called)
		if err != nil {
			t.Errorf("%q: %v", test.called, err)
			continue
		}
		if status := program.Main(); status != test.status {
			t.Errorf("%q ran the program with status %d, not %d", test.called, status, test.status)
		}
		if !slices.Equal(commandLine, test.commandLine) {
			t.Errorf("%q becomes %q, not %q", test.called, commandLine, test.commandLine)
		}
	}
}

func TestACommandLineThatNamesNoProgramIsToldEveryName(t *testing.T) {
	for _, called := range [][]string{
		nil,
		{"shoal-kube"},
		{"shoal-kube", "--help"},
		{"shoal-kube", "etcd"},
		{"/usr/bin/etcd"},
		{"/usr/bin/etcd", "kubelet"},
		{"shoal-kube", "/usr/bin/kubelet"},
		{""},
	} {
		_, _, err := dispatch.Choose(programs(), called)
		if err == nil {
			t.Errorf("%q found a program", called)
			continue
		}
		if !strings.Contains(err.Error(), "containerd, kubelet") {
			t.Errorf("%q: the names are missing from: %v", called, err)
		}
	}
}

func TestTheErrorQuotesTheNameThatWasAskedFor(t *testing.T) {
	for _, called := range [][]string{{"/opt/bin/etcd", "--name", "a"}, {"shoal-kube", "etcd"}} {
		_, _, err := dispatch.Choose(programs(), called)
		if err == nil || !strings.Contains(err.Error(), `"etcd"`) {
			t.Errorf("%q: %v", called, err)
		}
	}
}
