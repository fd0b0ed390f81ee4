package etcd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/agent/etcd/conformance/server"
)

func TestPutGetDel(t *testing.T) {
	compare(t,
		ctl("put", "a", "1"),
		ctl("put", "a", "2", "--prev-kv"),
		ctl("put", "b", "3"),
		ctl("put", "b/1", "5", "-w", "json"),
		ctl("put", "b/2", "4", "-w", "fields"),
		ctl("put", "c").stdin("from stdin"),
		ctl("put", "a", "--ignore-value"),
		ctl("put", "none", "--ignore-value"),
		ctl("put", "a", "3", "--lease=7"),
		ctl("put", "", "3"),
		ctl("get", "a"),
		ctl("get", "a", "-w", "json"),
		ctl("get", "a", "-w", "fields"),
		ctl("get", "a", "--hex"),
		ctl("get", "a", "--rev=2"),
		ctl("get", "a", "--rev=99"),
		ctl("get", "none"),
		ctl("get", "none", "-w", "json"),
		ctl("get", "", "--prefix", "-w", "json"),
		ctl("get", "", "--from-key", "--keys-only"),
		ctl("get", "a", "c", "-w", "json"),
		ctl("get", "c", "a", "-w", "json"),
		ctl("get", "b", "--prefix", "--limit=2", "-w", "json"),
		ctl("get", "b", "--prefix", "--count-only", "-w", "fields"),
		ctl("get", "b", "--prefix", "--print-value-only"),
		ctl("get", "b", "--from-key", "--order=DESCEND", "--sort-by=KEY"),
		ctl("get", "a", "--prefix", "--consistency=s"),
		ctl("get", "", "--prefix", "--sort-by=VALUE", "--order=ASCEND", "--keys-only"),
		ctl("get", "", "--prefix", "--sort-by=MODIFY", "--order=DESCEND", "--limit=2", "-w", "json"),
		ctl("get", "", "--prefix", "--sort-by=CREATE", "--order=DESCEND", "-w", "json"),
		ctl("get", "", "--prefix", "--sort-by=VERSION", "--order=DESCEND", "-w", "json"),
		ctl("get", "", "--prefix", "--min-mod-rev=4", "-w", "json"),
		ctl("get", "", "--prefix", "--max-create-rev=4", "--limit=1", "-w", "json"),
		ctl("get", "", "--prefix", "--stream", "-w", "json"),
		ctl("get", "b", "--prefix", "--stream", "--limit=1", "-w", "json"),
		ctl("get", "b", "--prefix", "--stream", "--count-only", "-w", "json"),
		ctl("get", "b", "--prefix", "--stream", "--sort-by=VALUE", "--order=ASCEND"),
		ctl("del", "none"),
		ctl("del", "b", "--prefix", "--prev-kv"),
		ctl("del", "a", "b", "-w", "json"),
		ctl("del", "", "--from-key"),
		ctl("get", "", "--prefix", "-w", "json"),
	)
}

func TestTxn(t *testing.T) {
	compare(t,
		ctl("put", "key", "value"),
		ctl("txn").stdin("mod(\"key\") = \"2\"\n\nput key new\nget key\n\nget key\n\n"),
		ctl("txn").stdin("value(\"key\") = \"value\"\n\nput key newer\n\nget key\nput other thing\n\n"),
		ctl("txn", "-w", "json").stdin("ver(\"key\") > \"1\"\ncreate(\"other\") = \"4\"\n\ndel key\ndel other\nget --prefix k\n\n\n"),
		ctl("txn", "-w", "fields").stdin("ver(\"key\") = \"0\"\n\nget --prefix \"\"\n\n\n"),
		ctl("txn").stdin("\nput a 1\nput a 2\n\n\n"),
		ctl("txn").stdin("\nput a 1\ndel --prefix a\n\n\n"),
		ctl("txn", "--interactive").stdin("value(\"key\") < \"z\"\n\nput key again\n\n\n"),
		ctl("get", "", "--prefix", "-w", "json"),
	)
}

func TestWatch(t *testing.T) {
	compare(t,
		ctl("put", "key", "one"),
		ctl("put", "key", "two"),
		ctl("put", "key/sub", "three"),
		ctl("del", "key"),
		ctl("watch", "key", "--rev=1").until(9),
		ctl("watch", "key", "--prefix", "--rev=1", "--prev-kv").until(16),
		ctl("watch", "key", "--prefix", "--rev=3", "-w", "json").until(1),
		ctl("watch", "a", "z", "--rev=4", "-w", "fields").until(18),
		ctl("watch", "-i").stdin("watch key --rev=5\n").until(3),
		ctl("compact", "4"),
		ctl("watch", "key", "--rev=3"),
	)
}

func TestLease(t *testing.T) {
	compare(t,
		ctl("lease", "list"),
		ctl("lease", "grant", "600").as("lease", `lease (\w+) granted`),
		ctl("lease", "list"),
		ctl("put", "a", "1", "--lease=$lease"),
		ctl("get", "a", "-w", "json").ignoring(`"lease":\d+`),
		ctl("lease", "timetolive", "$lease", "--keys").ignoring(`remaining\(\d+s\)`),
		ctl("lease", "timetolive", "$lease").ignoring(`remaining\(\d+s\)`),
		ctl("lease", "keep-alive", "$lease", "--once"),
		ctl("lease", "keep-alive", "$lease").until(1),
		ctl("lease", "revoke", "$lease"),
		ctl("get", "", "--prefix", "-w", "json"),
		ctl("lease", "revoke", "$lease"),
		ctl("lease", "timetolive", "$lease"),
		ctl("lease", "keep-alive", "$lease", "--once"),
		ctl("lease", "timetolive", "123", "-w", "json"),
		ctl("lease", "grant", "9000000001"),
		ctl("lease", "grant", "1", "-w", "json").ignoring(`"id":-?\d+`, `"ID":-?\d+`),
	)
}

func TestCompaction(t *testing.T) {
	compare(t,
		ctl("put", "key", "one"),
		ctl("put", "key", "two"),
		ctl("put", "key", "three"),
		ctl("compaction", "3"),
		ctl("compaction", "3"),
		ctl("compaction", "99"),
		ctl("compaction", "4", "--physical", "-w", "json"),
		ctl("get", "key", "--rev=3"),
		ctl("get", "key", "--rev=4"),
		ctl("put", "other", "one"),
		ctl("endpoint", "hashkv").ignoring(`, \d+`),
		ctl("endpoint", "hashkv", "--rev=2").ignoring(`, \d+`),
		ctl("endpoint", "hashkv", "--rev=99").ignoring(`, \d+`),
	)
}

func TestMember(t *testing.T) {
	id := `\b[0-9a-f]{4,16}\b`
	compare(t,
		ctl("member", "list").as("first", `(?m)^([0-9a-f]+), started`),
		ctl("member", "list", "-w", "fields").ignoring(`"ID" : \d+`),
		ctl("member", "list", "-w", "json").ignoring(`"ID":\d+`),
		ctl("member", "list", "--consistency=s").ignoring(id),
		ctl("member", "add", "two", "--learner", "--peer-urls=http://10.0.0.2:2380").as("second", `Member\s+(\w+)`).
			ignoring(`cluster\s+\w+`, `ETCD_INITIAL_CLUSTER=".*"`),
		ctl("member", "list").sorted(),
		ctl("member", "add", "four", "--learner", "--peer-urls=http://10.0.0.2:2380,http://10.0.0.4:2380").ignoring(id),
		ctl("member", "add", "three", "--learner", "--peer-urls=http://10.0.0.3:2380").ignoring(id),
		ctl("member", "add", "bad", "--learner", "--peer-urls=ftp://10.0.0.4:2380").ignoring(id),
		ctl("member", "add", "bad", "--learner", "--peer-urls=http://10.0.0.4:2380/path").ignoring(id),
		ctl("member", "update", "$second", "--peer-urls=http://10.0.0.5:2380").ignoring(`cluster\s+\w+`),
		ctl("member", "update", "123", "--peer-urls=http://10.0.0.6:2380"),
		ctl("member", "promote", "$second").ignoring(id),
		ctl("member", "promote", "$first").ignoring(id),
		ctl("member", "promote", "123"),
		ctl("move-leader", "$second"),
		ctl("move-leader", "$first"),
		ctl("member", "remove", "$second").ignoring(`cluster\s+\w+`),
		ctl("member", "remove", "$second"),
		ctl("member", "remove", "123"),
		ctl("member", "list"),
	)
}

func TestEndpoint(t *testing.T) {
	compare(t,
		ctl("put", "key", "value"),
		ctl("endpoint", "health").ignoring(`took = .*`),
		ctl("endpoint", "health", "-w", "json").ignoring(`"took":"[^"]*"`),
		ctl("endpoint", "health", "--cluster").ignoring(`took = .*`),
		ctl("endpoint", "status", "-w", "json").ignoring(`"(?:dbSize|dbSizeInUse|leader)":\d+`),
		ctl("endpoint", "status", "-w", "fields").ignoring(`"(?:DBSize|DBSizeInUse|Leader|RaftIndex|RaftTerm|RaftAppliedIndex)" : \d+`),
		ctl("endpoint", "status", "--cluster", "-w", "json").ignoring(`"(?:dbSize|dbSizeInUse|leader)":\d+`),
		ctl("version"),
		ctl("defrag").ignoring(`took .*`),
	)
}

func TestAlarm(t *testing.T) {
	compare(t,
		ctl("alarm", "list"),
		ctl("alarm", "disarm"),
		ctl("alarm", "list", "-w", "json"),
	)
}

func TestNoSpace(t *testing.T) {
	large := strings.Repeat("v", 1_200_000)
	compareWith(t, []string{"--quota-backend-bytes=1000000"},
		ctl("put", "key", "value"),
		ctl("put", "large").stdin(large),
		ctl("alarm", "list").ignoring(`memberID:\d+`),
		ctl("put", "key", "other"),
		ctl("lease", "grant", "600"),
		ctl("txn").stdin("\nput key other\n\n\n"),
		ctl("get", "key"),
		ctl("endpoint", "health").ignoring(`took = .*`, `memberID:\d+`),
		ctl("del", "key"),
		ctl("alarm", "disarm").ignoring(`memberID:\d+`),
		ctl("alarm", "list"),
		ctl("put", "key", "value"),
	)
}

func TestLimits(t *testing.T) {
	compareWith(t, []string{"--max-request-bytes=1000", "--max-txn-ops=2"},
		ctl("put", "key").stdin(strings.Repeat("v", 1000)),
		ctl("put", "key").stdin(strings.Repeat("v", 600_000)),
		ctl("txn").stdin("\nput a 1\nput b 1\nput c 1\n\n\n"),
		ctl("put", "key", "value"),
	)
}

func TestLockAndElect(t *testing.T) {
	// The key of a lock ends with the number of its lease.
	lease := `/[0-9a-f]+`
	compare(t,
		ctl("lock", "mutex", "echo", "held"),
		ctl("lock", "mutex", "--ttl=30").until(1).ignoring(lease),
		ctl("elect", "chair", "me").until(2).ignoring(lease),
		ctl("elect", "chair", "--listen").until(2).ignoring(lease),
	)
}

func TestAuth(t *testing.T) {
	compare(t, ctl("auth", "status"))
}

// What is refused here on purpose: there are no users, and what is stored is no etcd's.
func TestRefusals(t *testing.T) {
	ours := &run{endpoint: server.Start(t, server.Program(t)), folder: t.TempDir(), values: map[string]string{}}
	for _, refusal := range []struct {
		step step
		says string
	}{
		{ctl("user", "add", "root:secret"), "etcdserver: authentication is not enabled"},
		{ctl("user", "list"), "etcdserver: authentication is not enabled"},
		{ctl("role", "add", "root"), "etcdserver: authentication is not enabled"},
		{ctl("auth", "enable"), "etcdserver: authentication is not enabled"},
		{ctl("downgrade", "validate", "3.6"), "etcdserver: invalid downgrade target version"},
		{ctl("downgrade", "enable", "3.6"), "etcdserver: invalid downgrade target version"},
	} {
		if text := ours.do(t, refusal.step); !strings.Contains(text, refusal.says) {
			t.Errorf("etcdctl %v says %q, want %q", refusal.step.arguments, text, refusal.says)
		}
	}
}

func TestSnapshotSave(t *testing.T) {
	compare(t,
		ctl("put", "key", "value"),
		ctl("snapshot", "save", "backup.db").ignoring(`(?m)^.*(?:saving|fetching|fetched|saved|created).*$`),
	)
}

func TestSnapshotHasItsDigest(t *testing.T) {
	ours := &run{endpoint: server.Start(t, server.Program(t)), folder: t.TempDir(), values: map[string]string{}}
	ours.do(t, ctl("put", "key", "value"))
	ours.do(t, ctl("snapshot", "save", "backup.db"))
	info, err := os.Stat(filepath.Join(ours.folder, "backup.db"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size()%512 != 32 {
		t.Errorf("%d bytes are not a multiple of 512 and a digest", info.Size())
	}
}

func TestMakeMirror(t *testing.T) {
	for _, pair := range [][2]string{{etcd, server.Program(t)}, {server.Program(t), etcd}} {
		from := &run{endpoint: server.Start(t, pair[0]), folder: t.TempDir(), values: map[string]string{}}
		to := &run{endpoint: server.Start(t, pair[1]), folder: t.TempDir(), values: map[string]string{}}
		from.do(t, ctl("put", "a/1", "one"))
		from.do(t, ctl("put", "a/2", "two"))
		mirror := from.start(t, "make-mirror", "--prefix=a/", strings.TrimPrefix(to.endpoint, "http://"))
		from.do(t, ctl("put", "a/3", "three"))
		from.do(t, ctl("del", "a/1"))
		want := "a/2\ntwo\na/3\nthree\n"
		got := to.eventually(t, ctl("get", "a/", "--prefix"), want)
		mirror()
		if got != want {
			t.Errorf("%v mirrored %q, want %q", pair, got, want)
		}
	}
}
