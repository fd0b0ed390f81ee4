package kubernetes

import (
	"context"
	"testing"

	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

// watchTests need a store and nothing else. They hold behind the cache, too.
var watchTests = map[string]func(context.Context, *testing.T, storage.Interface){
	"Watch":                                  storagetesting.RunTestWatch,
	"ClusterScopedWatch":                     storagetesting.RunTestClusterScopedWatch,
	"NamespaceScopedWatch":                   storagetesting.RunTestNamespaceScopedWatch,
	"DeleteTriggerWatch":                     storagetesting.RunTestDeleteTriggerWatch,
	"WatchFromNonZero":                       storagetesting.RunTestWatchFromNonZero,
	"DelayedWatchDelivery":                   storagetesting.RunTestDelayedWatchDelivery,
	"WatcherTimeout":                         storagetesting.RunTestWatcherTimeout,
	"WatchDeleteEventObjectHaveLatestRV":     storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV,
	"WatchInitializationSignal":              storagetesting.RunTestWatchInitializationSignal,
	"SendInitialEventsBackwardCompatibility": storagetesting.RunSendInitialEventsBackwardCompatibility,
}

// initialEventTests watch from a list on. They hold behind the cache, too.
var initialEventTests = map[string]func(context.Context, *testing.T, storage.Interface){
	"WatchSemantics":                     storagetesting.RunWatchSemantics,
	"WatchSemanticInitialEventsExtended": storagetesting.RunWatchSemanticInitialEventsExtended,
	"WatchListMatchSingle":               storagetesting.RunWatchListMatchSingle,
}

func TestWatch(t *testing.T) {
	for name, test := range watchTests {
		t.Run(name, func(t *testing.T) {
			ctx, f := setUp(t)
			test(ctx, t, f)
		})
	}
	for name, test := range initialEventTests {
		t.Run(name, func(t *testing.T) {
			forRangeStream(t, false, func(t *testing.T, ctx context.Context, f *fixture) { test(ctx, t, f) })
		})
	}
}

func TestWatchSemanticsWithConcurrentDecode(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.ConcurrentWatchObjectDecode, true)
	forRangeStream(t, false, func(t *testing.T, ctx context.Context, f *fixture) { storagetesting.RunWatchSemantics(ctx, t, f) })
}

func TestWatchFromZero(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestWatchFromZero(ctx, t, f, f.compact)
}

func TestWatchError(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestWatchError(ctx, t, f)
}

func TestWatchErrorIsBlockingFurtherEvents(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunWatchErrorIsBlockingFurtherEvents(ctx, t, f)
}

// The cache does not promise this one: it answers a watch whose context is over already.
func TestWatchContextCancel(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestWatchContextCancel(ctx, t, f)
}

func TestProgressNotify(t *testing.T) {
	ctx, f := setUp(t, withServerFlags("--watch-progress-notify-interval=1s"))
	storagetesting.RunOptionalTestProgressNotify(ctx, t, f, f.increaseRevision)
}

func TestWatchDispatchBookmarkEvents(t *testing.T) {
	ctx, f := setUp(t, withServerFlags("--watch-progress-notify-interval=1s"))
	storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, f, false)
}
