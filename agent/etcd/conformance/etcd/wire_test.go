package etcd

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/bufbuild/protocompile"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// ourOwn are messages that stand for several of etcd's: see proto/auth.proto.
var ourOwn = map[protoreflect.FullName]bool{"etcdserverpb.AuthRequest": true, "etcdserverpb.AuthResponse": true}

// asBytes are fields that we declare as the bytes of the message that etcd declares: see proto/watch.proto.
var asBytes = map[protoreflect.FullName]bool{"etcdserverpb.WatchResponse.events": true}

// notServed are messages of etcd's that no method served here uses.
var notServed = regexp.MustCompile(`^etcdserverpb\.(Auth.*|LeaseCheckpoint.*|DowngradeVersionTestRequest)$`)

// TestWireIsEtcds holds the declaration in proto/ to etcd's own: every message, field, enum and method, by name, number and kind.
func TestWireIsEtcds(t *testing.T) {
	paths, err := filepath.Glob("../../proto/*.proto")
	if err != nil || len(paths) == 0 {
		t.Fatalf("find the declaration: %v", err)
	}
	for i, path := range paths {
		paths[i] = filepath.Base(path)
	}
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{"../../proto"}}}
	files, err := compiler.Compile(context.Background(), paths...)
	if err != nil {
		t.Fatal(err)
	}

	theirMessages := map[protoreflect.FullName]protoreflect.MessageDescriptor{}
	theirEnums := map[protoreflect.FullName]protoreflect.EnumDescriptor{}
	theirServices := map[protoreflect.FullName]protoreflect.ServiceDescriptor{}
	for _, file := range []protoreflect.FileDescriptor{pb.File_rpc_proto, mvccpb.File_kv_proto} {
		collect(file.Messages(), file.Enums(), theirMessages, theirEnums)
		for i := range file.Services().Len() {
			theirServices[file.Services().Get(i).FullName()] = file.Services().Get(i)
		}
	}
	ourMessages := map[protoreflect.FullName]protoreflect.MessageDescriptor{}
	ourEnums := map[protoreflect.FullName]protoreflect.EnumDescriptor{}
	services := 0
	for _, file := range files {
		collect(file.Messages(), file.Enums(), ourMessages, ourEnums)
		for i := range file.Services().Len() {
			compareService(t, file.Services().Get(i), theirServices[file.Services().Get(i).FullName()])
			services++
		}
	}
	if services != len(theirServices) {
		t.Errorf("%d services are declared, etcd has %d", services, len(theirServices))
	}
	for name, ours := range ourMessages {
		if !ourOwn[name] {
			compareMessage(t, ours, theirMessages[name])
		}
	}
	for name := range theirMessages {
		if ourMessages[name] == nil && !notServed.MatchString(string(name)) {
			t.Errorf("%s is missing", name)
		}
	}
	for name, ours := range ourEnums {
		compareEnum(t, ours, theirEnums[name])
	}
}

func collect(
	messages protoreflect.MessageDescriptors,
	enums protoreflect.EnumDescriptors,
	allMessages map[protoreflect.FullName]protoreflect.MessageDescriptor,
	allEnums map[protoreflect.FullName]protoreflect.EnumDescriptor,
) {
	for i := range enums.Len() {
		allEnums[enums.Get(i).FullName()] = enums.Get(i)
	}
	for i := range messages.Len() {
		message := messages.Get(i)
		allMessages[message.FullName()] = message
		collect(message.Messages(), message.Enums(), allMessages, allEnums)
	}
}

func compareMessage(t *testing.T, ours, theirs protoreflect.MessageDescriptor) {
	if theirs == nil {
		t.Errorf("etcd has no %s", ours.FullName())
		return
	}
	if ours.Fields().Len() != theirs.Fields().Len() {
		t.Errorf("%s has %d fields, etcd's %d", ours.FullName(), ours.Fields().Len(), theirs.Fields().Len())
	}
	for i := range ours.Fields().Len() {
		our := ours.Fields().Get(i)
		their := theirs.Fields().ByNumber(our.Number())
		if their == nil || their.Name() != our.Name() || their.Cardinality() != our.Cardinality() || oneof(their) != oneof(our) {
			t.Errorf("%v differs from etcd's %v", our, their)
			continue
		}
		if asBytes[our.FullName()] {
			continue
		}
		if their.Kind() != our.Kind() || typeName(their) != typeName(our) {
			t.Errorf("%v differs from etcd's %v", our, their)
		}
	}
}

func oneof(field protoreflect.FieldDescriptor) protoreflect.Name {
	if field.ContainingOneof() == nil {
		return ""
	}
	return field.ContainingOneof().Name()
}

func typeName(field protoreflect.FieldDescriptor) protoreflect.FullName {
	switch {
	case field.Message() != nil:
		return field.Message().FullName()
	case field.Enum() != nil:
		return field.Enum().FullName()
	}
	return ""
}

func compareEnum(t *testing.T, ours, theirs protoreflect.EnumDescriptor) {
	if theirs == nil || ours.Values().Len() != theirs.Values().Len() {
		t.Errorf("%s differs from etcd's", ours.FullName())
		return
	}
	for i := range ours.Values().Len() {
		our := ours.Values().Get(i)
		if their := theirs.Values().ByNumber(our.Number()); their == nil || their.Name() != our.Name() {
			t.Errorf("%s differs from etcd's", our.FullName())
		}
	}
}

func compareService(t *testing.T, ours, theirs protoreflect.ServiceDescriptor) {
	if theirs == nil || ours.Methods().Len() != theirs.Methods().Len() {
		t.Errorf("%s has other methods than etcd's", ours.FullName())
		return
	}
	for i := range ours.Methods().Len() {
		our := ours.Methods().Get(i)
		their := theirs.Methods().ByName(our.Name())
		if their == nil {
			t.Errorf("etcd has no %s", our.FullName())
			continue
		}
		own := ourOwn[our.Input().FullName()]
		if !own && (our.Input().FullName() != their.Input().FullName() || our.Output().FullName() != their.Output().FullName()) ||
			our.IsStreamingClient() != their.IsStreamingClient() || our.IsStreamingServer() != their.IsStreamingServer() {
			t.Errorf("%s differs from etcd's", our.FullName())
		}
	}
}

// declaredErrors matches the table of errors in status.rs.
var declaredErrors = regexp.MustCompile(`(?m)^    \w+ = (\w+), "([^"]+)";$`)

// notParsed are errors whose text etcd's client does not know, although its server sends them.
var notParsed = map[string]codes.Code{
	"etcdserver: watch canceled":                                                 codes.Canceled,
	"etcdserver: invalid client api version":                                     codes.InvalidArgument,
	"etcdserver: rpc not supported for learner":                                  codes.FailedPrecondition,
	"etcdserver: request timed out, waiting for the applied index took too long": codes.Unavailable,
	"etcdserver: bad leader transferee":                                          codes.FailedPrecondition,
	"etcdserver: wrong downgrade target version format":                          codes.InvalidArgument,
}

// notEtcds are errors for what etcd does not have: clusters that form themselves (docs/design/0017-formation-on-the-stores-raft.md). etcd's client passes
// their texts on as they are.
var notEtcds = map[string]codes.Code{
	"the cluster has dissolved into another one and takes no more writes: write to that":     codes.FailedPrecondition,
	"this cluster forms itself: its members come and go without being added or removed here": codes.FailedPrecondition,
}

// TestErrorsAreEtcds holds the table of errors to what etcd's client makes of each text.
func TestErrorsAreEtcds(t *testing.T) {
	source, err := os.ReadFile("../../src/status.rs")
	if err != nil {
		t.Fatal(err)
	}
	declared := declaredErrors.FindAllStringSubmatch(string(source), -1)
	if len(declared) < 30 {
		t.Fatalf("only %d errors were found: is the table written otherwise now?", len(declared))
	}
	for _, match := range declared {
		code, text := match[1], match[2]
		if code == "Cancelled" {
			code = "Canceled"
		}
		known, isKnown := rpctypes.Error(status.Error(codes.Unknown, text)).(rpctypes.EtcdError)
		want, isNotParsed := notParsed[text]
		own, isOwn := notEtcds[text]
		switch {
		case isKnown:
			want = known.Code()
		case isOwn:
			want = own
		}
		if !isKnown && !isNotParsed && !isOwn {
			t.Errorf("etcd's client does not know %q", text)
		} else if want.String() != code {
			t.Errorf("%q has the code %s, etcd's %s", text, code, want)
		}
	}
}
