package kubernetes

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	"k8s.io/utils/clock"
)

// cached is kube-apiserver's watch cache in front of the storage: lists come from memory once the cache has been told, by progress notifications,
// that it is as new as the store.
type cached struct {
	*cacher.CacheDelegator
	fixture *fixture
}

type keyFunction func(runtime.Object) (string, error)

func namespaced(object runtime.Object) (string, error) {
	return storage.NamespaceKeyFunc("/pods/", object)
}

func clusterScoped(object runtime.Object) (string, error) {
	return storage.NoNamespaceKeyFunc("/pods/", object)
}

func setUpCached(t *testing.T, key keyFunction) (context.Context, *cached) {
	ctx, f := setUp(t, withPrefix("/registry"))
	config := cacher.Config{
		Storage:             f.Interface,
		Versioner:           storage.APIObjectVersioner{},
		GroupResource:       pods,
		EventsHistoryWindow: cacher.DefaultEventFreshDuration,
		ResourcePrefix:      "/pods/",
		KeyFunc:             key,
		GetAttrsFunc:        attributes,
		NewFunc:             newPod,
		NewListFunc:         newPodList,
		IndexerFuncs:        map[string]storage.IndexerFunc{"spec.nodeName": func(object runtime.Object) string { return object.(*example.Pod).Spec.NodeName }},
		Indexers: &cache.Indexers{
			"f:spec.nodeName":      func(object any) ([]string, error) { return []string{object.(*example.Pod).Spec.NodeName}, nil },
			"f:metadata.namespace": func(object any) ([]string, error) { return []string{object.(*example.Pod).Namespace}, nil },
		},
		Codec: f.codec,
		Clock: hurriedClock{},
	}
	c, err := cacher.NewCacherFromConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	if err := c.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	delegator := cacher.NewCacheDelegator(c, f.Interface)
	t.Cleanup(delegator.Stop)
	return ctx, &cached{CacheDelegator: delegator, fixture: f}
}

func attributes(object runtime.Object) (labels.Set, fields.Set, error) {
	pod, ok := object.(*example.Pod)
	if !ok {
		return nil, nil, fmt.Errorf("%T is not a pod", object)
	}
	return pod.Labels, fields.Set{
		"metadata.name":      pod.Name,
		"metadata.namespace": pod.Namespace,
		"spec.nodeName":      pod.Spec.NodeName,
		"spec.restartPolicy": string(pod.Spec.RestartPolicy),
		"status.phase":       string(pod.Status.Phase),
	}, nil
}

// compact compacts the store and waits until the cache has forgotten its snapshots, too.
func (c *cached) compact(ctx context.Context, t *testing.T, resourceVersion string) {
	c.fixture.compact(ctx, t, resourceVersion)
	if utilfeature.DefaultFeatureGate.Enabled(features.ListFromCacheSnapshot) {
		for c.CompactRevision() != c.fixture.CompactRevision() {
			time.Sleep(time.Millisecond)
		}
	}
}

// hurriedClock is the real one, but for the one long timer of the cache: every 15 seconds it asks the store what has been compacted.
type hurriedClock struct{ clock.RealClock }

func (c hurriedClock) NewTimer(duration time.Duration) clock.Timer {
	timer := hurriedTimer{c.RealClock.NewTimer(duration)}
	timer.Reset(duration)
	return timer
}

type hurriedTimer struct{ clock.Timer }

func (h hurriedTimer) Reset(duration time.Duration) bool {
	if duration == 15*time.Second {
		duration = 10 * time.Millisecond
	}
	return h.Timer.Reset(duration)
}

// unchecked takes the place of checks on requests and stored bytes, which the cache does not promise.
func unchecked(context.Context, *testing.T, string) {}
func uncounted(*testing.T, uint64, uint64)          {}

func TestCachedStorage(t *testing.T) {
	for name, test := range storageTests {
		t.Run(name, func(t *testing.T) {
			ctx, c := setUpCached(t, namespaced)
			test(ctx, t, c)
		})
	}
}

func TestCachedWatch(t *testing.T) {
	for name, test := range watchTests {
		t.Run(name, func(t *testing.T) {
			key := namespaced
			if name == "ClusterScopedWatch" {
				key = clusterScoped
			}
			ctx, c := setUpCached(t, key)
			test(ctx, t, c)
		})
	}
	for name, test := range initialEventTests {
		t.Run(name, func(t *testing.T) {
			ctx, c := setUpCached(t, namespaced)
			test(ctx, t, &seen{c})
		})
	}
}

func TestCachedCreate(t *testing.T) {
	ctx, c := setUpCached(t, namespaced)
	storagetesting.RunTestCreate(ctx, t, c, unchecked)
}

func TestCachedLists(t *testing.T) {
	for _, snapshots := range []bool{true, false} {
		t.Run(fmt.Sprintf("ListFromCacheSnapshot=%v", snapshots), func(t *testing.T) {
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.ListFromCacheSnapshot, snapshots)
			t.Run("List", func(t *testing.T) {
				ctx, c := setUpCached(t, namespaced)
				storagetesting.RunTestList(ctx, t, c, c.compact, true, c.fixture.client.Kubernetes.(*storagetesting.KubernetesRecorder))
			})
			t.Run("ConsistentList", func(t *testing.T) {
				ctx, c := setUpCached(t, namespaced)
				storagetesting.RunTestConsistentList(ctx, t, c, c.fixture.increaseRevision, true, true, snapshots)
			})
			t.Run("GetListNonRecursive", func(t *testing.T) {
				ctx, c := setUpCached(t, namespaced)
				storagetesting.RunTestGetListNonRecursive(ctx, t, c.fixture.increaseRevision, c)
			})
		})
	}
}

func TestCachedListContinuation(t *testing.T) {
	ctx, c := setUpCached(t, namespaced)
	storagetesting.RunTestListContinuation(ctx, t, c, uncounted)
}

func TestCachedListContinuationWithFilter(t *testing.T) {
	ctx, c := setUpCached(t, namespaced)
	storagetesting.RunTestListContinuationWithFilter(ctx, t, c, uncounted)
}

func TestCachedListPaginationRareObject(t *testing.T) {
	ctx, c := setUpCached(t, namespaced)
	storagetesting.RunTestListPaginationRareObject(ctx, t, c, uncounted)
}

func TestCachedCompactRevision(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.ListFromCacheSnapshot, true)
	ctx, c := setUpCached(t, namespaced)
	storagetesting.RunTestCompactRevision(ctx, t, c, c.fixture.increaseRevision, c.compact)
}

func TestCachedStats(t *testing.T) {
	for _, sizes := range []bool{true, false} {
		t.Run(fmt.Sprintf("SizeBasedListCostEstimate=%v", sizes), func(t *testing.T) {
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.SizeBasedListCostEstimate, sizes)
			ctx, c := setUpCached(t, namespaced)
			storagetesting.RunTestStats(ctx, t, c, c.fixture.codec, c.fixture.transformer, sizes)
		})
	}
}

func TestCachedWatchDispatchBookmarkEvents(t *testing.T) {
	ctx, c := setUpCached(t, namespaced)
	storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, c, true)
}

func TestCachedWatchBookmarksWithCorrectResourceVersion(t *testing.T) {
	ctx, c := setUpCached(t, namespaced)
	storagetesting.RunTestOptionalWatchBookmarksWithCorrectResourceVersion(ctx, t, c)
}

// seen returns from a creation only when the cache knows of it: the tests of initial events look for what they have created at once.
type seen struct{ *cached }

func (s *seen) Create(ctx context.Context, key string, object, out runtime.Object, ttl uint64) error {
	if err := s.cached.Create(ctx, key, object, out, ttl); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, wait.ForeverTestTimeout, true, func(ctx context.Context) (bool, error) {
		current := newPod()
		err := s.Get(ctx, key, storage.GetOptions{ResourceVersion: "0"}, current)
		if storage.IsNotFound(err) {
			return false, nil
		}
		return err == nil && equality.Semantic.DeepEqual(current, out), err
	})
}
