//go:build kubernetes_1_36

package kubernetes

import (
	"context"
	"errors"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage/etcd3"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

const otherVersion = "kubernetes_1_37_test.go"

func recordingKV(kv clientv3.KV, _ *storagetesting.KubernetesRecorder) clientv3.KV {
	return storagetesting.NewKVRecorder(kv)
}

func readRequests(recorder *storagetesting.KVRecorder) uint64 { return recorder.GetReadsAndReset() }

// forRangeStream runs a test once: this Kubernetes lists in pages only.
func forRangeStream(t *testing.T, _ bool, test func(t *testing.T, ctx context.Context, f *fixture)) {
	ctx, f := setUp(t)
	test(t, ctx, f)
}

// CorruptTransformer is storagetesting.InterfaceWithCorruptTransformer.
func (f *fixture) CorruptTransformer() func() {
	original := f.transformer.get()
	f.transformer.set(etcd3.WithCorruptObjErrorHandlingTransformer(&corruptTransformer{original}))
	return func() { f.transformer.set(original) }
}

type corruptTransformer struct{ value.Transformer }

func (*corruptTransformer) TransformFromStorage(context.Context, []byte, value.Context) ([]byte, bool, error) {
	return nil, true, errors.New("bits flipped")
}

func TestWatchWithUnsafeDelete(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.AllowUnsafeMalformedObjectDeletion, true)
	ctx, f := setUp(t)
	storagetesting.RunTestWatchWithUnsafeDelete(ctx, t, f)
}
