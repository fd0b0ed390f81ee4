package kubernetes

import (
	"context"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc/grpclog"

	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/utils/clock"
)

// valuePrefix is put before every value by the default transformer; the suite looks for it.
const valuePrefix = "test!"

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

func init() {
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, os.Stderr))
}

// fixture is kube-apiserver's storage of pods on a server of its own.
type fixture struct {
	storage.Interface
	endpoint    string
	prefix      string
	client      *kubernetes.Client
	codec       runtime.Codec
	transformer *replaceableTransformer
}

type options struct {
	serverFlags []string
	codec       runtime.Codec
	transformer value.Transformer
	prefix      string
}

type option func(*options)

func withServerFlags(flags ...string) option {
	return func(o *options) { o.serverFlags = append(o.serverFlags, flags...) }
}

func withPrefix(prefix string) option {
	return func(o *options) { o.prefix = prefix }
}

func withCodec(codec runtime.Codec) option {
	return func(o *options) { o.codec = codec }
}

func withTransformer(transformer value.Transformer) option {
	return func(o *options) { o.transformer = transformer }
}

var pods = schema.GroupResource{Resource: "pods"}

// setUp builds the storage with the public constructors of k8s.io/apiserver, as its factory does.
func setUp(t testing.TB, opts ...option) (context.Context, *fixture) {
	t.Helper()
	o := options{
		codec:       apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion),
		transformer: storagetesting.NewPrefixTransformer([]byte(valuePrefix), false),
	}
	for _, apply := range opts {
		apply(&o)
	}
	endpoint := startServer(t, o.serverFlags...)
	client := connect(t, endpoint)
	compactor := etcd3.NewCompactor(client.Client, 0, clock.RealClock{}, nil)
	t.Cleanup(compactor.Stop)
	// The suite's lists wait for leases to end; with the default they would outlast its deadlines.
	leases := etcd3.NewDefaultLeaseManagerConfig()
	leases.ReuseDurationSeconds = 1
	transformer := &replaceableTransformer{}
	transformer.set(o.transformer)
	versioner := storage.APIObjectVersioner{}
	store, err := etcd3.New(client, compactor, o.codec, newPod, newPodList, o.prefix, "/pods/", pods, transformer, leases,
		etcd3.NewDefaultDecoder(o.codec, versioner), versioner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return context.Background(), &fixture{Interface: store, endpoint: endpoint, client: client, codec: o.codec, transformer: transformer, prefix: o.prefix}
}

func newPod() runtime.Object     { return &example.Pod{} }
func newPodList() runtime.Object { return &example.PodList{} }

// replaceableTransformer lets a test exchange the transformer of a store that already has one.
type replaceableTransformer struct {
	current atomic.Pointer[value.Transformer]
}

func (r *replaceableTransformer) get() value.Transformer            { return *r.current.Load() }
func (r *replaceableTransformer) set(transformer value.Transformer) { r.current.Store(&transformer) }

func (r *replaceableTransformer) TransformFromStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, bool, error) {
	return r.get().TransformFromStorage(ctx, data, dataCtx)
}

func (r *replaceableTransformer) TransformToStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, error) {
	return r.get().TransformToStorage(ctx, data, dataCtx)
}

// UpdatePrefixTransformer is storagetesting.InterfaceWithPrefixTransformer.
func (f *fixture) UpdatePrefixTransformer(modifier storagetesting.PrefixTransformerModifier) func() {
	original := f.transformer.get()
	changed := *original.(*storagetesting.PrefixTransformer)
	f.transformer.set(modifier(&changed))
	return func() { f.transformer.set(original) }
}

// keys lists the names of all pods, as the store's own function for the estimation of sizes does.
func (f *fixture) keys(ctx context.Context) ([]string, error) {
	response, err := f.client.KV.Get(ctx, f.prefix+"/pods/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(response.Kvs))
	for _, kv := range response.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys, nil
}

// checkStored holds what is stored for a key to the invariants of kube-apiserver's storage.
func (f *fixture) checkStored(ctx context.Context, t *testing.T, key string) {
	response, err := f.client.KV.Get(ctx, key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if len(response.Kvs) == 0 {
		t.Fatalf("nothing is stored at %s", key)
	}
	decoded, err := runtime.Decode(f.codec, response.Kvs[0].Value[len(valuePrefix):])
	if err != nil {
		t.Fatalf("decode what is stored at %s: %v", key, err)
	}
	pod := decoded.(*example.Pod)
	if pod.ResourceVersion != "" || pod.SelfLink != "" {
		t.Errorf("stored with resource version %q and self link %q, want none", pod.ResourceVersion, pod.SelfLink)
	}
}

// compact compacts to a resource version and waits until the store has heard of it.
func (f *fixture) compact(ctx context.Context, t *testing.T, resourceVersion string) {
	revision, err := storage.APIObjectVersioner{}.ParseResourceVersion(resourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	version, _, _, err := etcd3.Compact(ctx, f.client.Client, 0, int64(revision))
	if err != nil {
		// Not the first compaction: now the version of the key is known.
		_, _, _, err = etcd3.Compact(ctx, f.client.Client, version, int64(revision))
	}
	if err != nil {
		t.Fatal(err)
	}
	if utilfeature.DefaultFeatureGate.Enabled(features.ListFromCacheSnapshot) {
		for f.CompactRevision() != int64(revision) {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// increaseRevision writes something that is no pod.
func (f *fixture) increaseRevision(ctx context.Context, t *testing.T) int64 {
	response, err := f.client.KV.Put(ctx, "increaseRV", "ok")
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}

// largestPage is maxLimit of k8s.io/apiserver's etcd3: pages double up to it.
const largestPage = 10_000

// checkCalls holds lists in pages to the number of objects and of requests that they should need.
func (f *fixture) checkCalls(t *testing.T, pageSize, objects uint64) {
	if reads := f.transformer.get().(*storagetesting.PrefixTransformer).GetReadsAndReset(); reads != objects {
		t.Errorf("%d objects were read, want %d", reads, objects)
	}
	want := uint64(1)
	if pageSize != 0 {
		page := pageSize
		for sum := uint64(1); sum < objects; want++ {
			page = min(page*2, largestPage)
			sum += page
		}
	}
	if reads := readRequests(f.client.KV.(*storagetesting.KVRecorder)); reads != want {
		t.Fatalf("%d requests were made, want %d", reads, want)
	}
}
