//go:build !kubernetes_1_36

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"k8s.io/apimachinery/pkg/api/apitesting"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	etcdfeature "k8s.io/apiserver/pkg/storage/feature"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

const otherVersion = "kubernetes_1_36_test.go"

func recordingKV(kv clientv3.KV, recorder *storagetesting.KubernetesRecorder) clientv3.KV {
	return storagetesting.NewKVRecorder(kv, recorder)
}

func readRequests(recorder *storagetesting.KVRecorder) uint64 {
	return recorder.GetReadsAndReset() + recorder.GetStreamReadsAndReset()
}

// forRangeStream runs a test with lists in pages and with lists in streams, and holds it to the use of streams if they are on.
func forRangeStream(t *testing.T, lists bool, test func(t *testing.T, ctx context.Context, f *fixture)) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("RangeStream=%v", stream), func(t *testing.T) {
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.EtcdRangeStream, stream)
			checker := etcdfeature.DefaultFeatureSupportChecker
			etcdfeature.DefaultFeatureSupportChecker = etcdfeature.NewDefaultFeatureSupportChecker()
			t.Cleanup(func() { etcdfeature.DefaultFeatureSupportChecker = checker })
			ctx, f := setUp(t)
			test(t, ctx, f)
			if streams := f.client.KV.(*storagetesting.KVRecorder).GetStreamReadsAndReset(); lists && (streams > 0) != stream {
				t.Errorf("%d lists came as streams", streams)
			}
		})
	}
}

// UpdateTransformer is storagetesting.InterfaceWithTransformerOverride.
func (f *fixture) UpdateTransformer(modifier storagetesting.TransformerModifier) func() {
	original := f.transformer.get()
	f.transformer.set(modifier(original))
	return func() { f.transformer.set(original) }
}

// corruptError is what the storage says of an object that cannot be read; its type is private to the package.
func corruptError(t *testing.T) error {
	failing := &failingTransformer{Transformer: storagetesting.NewPrefixTransformer(nil, false)}
	failing.fail(true)
	_, _, err := etcd3.WithCorruptObjErrorHandlingTransformer(failing).TransformFromStorage(context.Background(), nil, nil)
	if err == nil {
		t.Fatal("a failing transformer has not failed")
	}
	return err
}

type failingTransformer struct {
	value.Transformer
	failing atomic.Bool
}

func (f *failingTransformer) fail(fail bool) { f.failing.Store(fail) }

func (f *failingTransformer) TransformFromStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, bool, error) {
	if f.failing.Load() {
		return nil, false, errors.New("synthetic error")
	}
	return f.Transformer.TransformFromStorage(ctx, data, dataCtx)
}

type failingCodec struct {
	runtime.Codec
	failing atomic.Bool
}

func (f *failingCodec) fail(fail bool) { f.failing.Store(fail) }

func (f *failingCodec) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	if f.failing.Load() {
		return nil, nil, errors.New("synthetic error")
	}
	return f.Codec.Decode(data, defaults, into)
}

func newFailingCodec() *failingCodec {
	return &failingCodec{Codec: apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion)}
}

func unsafeDeletion(t *testing.T, enabled bool) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.AllowUnsafeMalformedObjectDeletion, enabled)
}

func TestDeleteWithConflictAndMissingExpectedTransformOrDecodeError(t *testing.T) {
	unsafeDeletion(t, true)
	codec := newFailingCodec()
	ctx, f := setUp(t, withCodec(codec))
	storagetesting.RunTestDeleteWithConflictAndMissingExpectedTransformOrDecodeError(ctx, t, f, codec.fail)
}

func TestDeleteExpectedTransformError(t *testing.T) {
	unsafeDeletion(t, true)
	transformer := &failingTransformer{Transformer: storagetesting.NewPrefixTransformer([]byte(valuePrefix), false)}
	ctx, f := setUp(t, withTransformer(transformer))
	storagetesting.RunTestDeleteExpectedTransformOrDecodeError(ctx, t, f, transformer.fail)
}

func TestDeleteExpectedDecodeError(t *testing.T) {
	unsafeDeletion(t, true)
	codec := newFailingCodec()
	ctx, f := setUp(t, withCodec(codec))
	storagetesting.RunTestDeleteExpectedTransformOrDecodeError(ctx, t, f, codec.fail)
}

func TestDeleteWithSuggestionAndMissingExpectedTransformOrDecodeError(t *testing.T) {
	unsafeDeletion(t, true)
	ctx, f := setUp(t)
	storagetesting.RunTestDeleteWithSuggestionAndMissingExpectedTransformOrDecodeError(ctx, t, f)
}

func TestGetListWithErrorAggregation(t *testing.T) {
	unsafeDeletion(t, true)
	ctx, f := setUp(t)
	store := &overridden{Interface: etcd3.NewStoreWithUnsafeCorruptObjectDeletion(f, pods), fixture: f}
	storagetesting.RunTestGetListWithErrorAggregation(ctx, t, store, corruptError(t))
}

func TestGetListWithoutErrorAggregation(t *testing.T) {
	unsafeDeletion(t, false)
	ctx, f := setUp(t)
	storagetesting.RunTestGetListWithoutErrorAggregation(ctx, t, f, corruptError(t))
}

func TestWatchWithUnsafeDelete(t *testing.T) {
	unsafeDeletion(t, true)
	ctx, f := setUp(t)
	storagetesting.RunTestWatchWithUnsafeDelete(ctx, t, f, corruptError(t))
}

// overridden is a decorated store whose transformer can still be exchanged.
type overridden struct {
	storage.Interface
	fixture *fixture
}

func (o *overridden) UpdateTransformer(modifier storagetesting.TransformerModifier) func() {
	return o.fixture.UpdateTransformer(modifier)
}
