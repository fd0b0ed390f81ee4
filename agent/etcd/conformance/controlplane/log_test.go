package controlplane

import (
	"regexp"
	"strings"
	"testing"
)

// klogError is a line of klog at error or fatal level: the level, the place in the source, and what it says.
var klogError = regexp.MustCompile(`^([EF])\d{4} [0-9:.]+ +\d+ ([a-z0-9_]+\.go):\d+\] (.*)$`)

// ofStorage is said in what kube-apiserver logs of its store, and of what it keeps from it.
var ofStorage = regexp.MustCompile(`(?i)etcd|storage|grpc|rpc error|compact|revision|lease|watch|cacher|inconsisten|leader|timed? ?out|deadline`)

// variable is what differs from one line to the next of the same complaint: quoted names, numbers and addresses.
var variable = regexp.MustCompile(`"[^"]*"|0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+`)

// complaints returns what a log says at error level of the store, each kind of complaint once with its first line, keyed by its shape.
//
// A panic is a complaint wherever it stands.
func complaints(log string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			found[line] = line
			continue
		}
		parts := klogError.FindStringSubmatch(line)
		if parts == nil || !ofStorage.MatchString(parts[3]) {
			continue
		}
		shape := parts[1] + " " + parts[2] + " " + variable.ReplaceAllString(parts[3], "…")
		if _, known := found[shape]; !known {
			found[shape] = line
		}
	}
	return found
}

func TestComplaintsOfTheStoreAreTold(t *testing.T) {
	log := strings.Join([]string{
		`I0102 03:04:05.678901   12345 store.go:10] "all is well with etcd"`,
		`E0102 03:04:05.678901   12345 controller.go:20] "unrelated" err="object has been modified"`,
		`E0102 03:04:05.678901   12345 watcher.go:300] watch chan error: etcdserver: mvcc: required revision has been compacted`,
		`E0102 03:04:06.678901   12345 watcher.go:300] watch chan error: etcdserver: mvcc: required revision has been compacted`,
		`E0102 03:04:07.678901   12345 status.go:71] "apiserver received an error" err="rpc error: code = Unknown desc = 1"`,
		`panic: Cache inconsistency detected`,
	}, "\n")
	found := complaints(log)
	if len(found) != 3 {
		t.Errorf("three kinds of complaints are in the log, and these were found: %v", found)
	}
}
