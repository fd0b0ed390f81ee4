package kubernetes

import (
	"context"
	"fmt"
	"testing"

	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

// storageTests need a store and nothing else. They hold behind the cache, too.
var storageTests = map[string]func(context.Context, *testing.T, storage.Interface){
	"CreateWithTTL":                              storagetesting.RunTestCreateWithTTL,
	"CreateWithKeyExist":                         storagetesting.RunTestCreateWithKeyExist,
	"Get":                                        storagetesting.RunTestGet,
	"UnconditionalDelete":                        storagetesting.RunTestUnconditionalDelete,
	"ConditionalDelete":                          storagetesting.RunTestConditionalDelete,
	"DeleteWithSuggestion":                       storagetesting.RunTestDeleteWithSuggestion,
	"DeleteWithSuggestionAndConflict":            storagetesting.RunTestDeleteWithSuggestionAndConflict,
	"DeleteWithSuggestionOfDeletedObject":        storagetesting.RunTestDeleteWithSuggestionOfDeletedObject,
	"ValidateDeletionWithSuggestion":             storagetesting.RunTestValidateDeletionWithSuggestion,
	"ValidateDeletionWithOnlySuggestionValid":    storagetesting.RunTestValidateDeletionWithOnlySuggestionValid,
	"DeleteWithConflict":                         storagetesting.RunTestDeleteWithConflict,
	"PreconditionalDeleteWithSuggestion":         storagetesting.RunTestPreconditionalDeleteWithSuggestion,
	"PreconditionalDeleteWithOnlySuggestionPass": storagetesting.RunTestPreconditionalDeleteWithOnlySuggestionPass,
	"ListPaging":                                 storagetesting.RunTestListPaging,
	"GetListRecursivePrefix":                     storagetesting.RunTestGetListRecursivePrefix,
	"KeySchema":                                  storagetesting.RunTestKeySchema,
	"GuaranteedUpdateWithTTL":                    storagetesting.RunTestGuaranteedUpdateWithTTL,
	"GuaranteedUpdateWithConflict":               storagetesting.RunTestGuaranteedUpdateWithConflict,
	"GuaranteedUpdateWithSuggestionAndConflict":  storagetesting.RunTestGuaranteedUpdateWithSuggestionAndConflict,
	"NamespaceScopedList":                        storagetesting.RunTestNamespaceScopedList,
}

func TestStorage(t *testing.T) {
	for name, test := range storageTests {
		t.Run(name, func(t *testing.T) {
			ctx, f := setUp(t)
			test(ctx, t, f)
		})
	}
}

func TestCreate(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestCreate(ctx, t, f, f.checkStored)
}

func TestGuaranteedUpdate(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestGuaranteedUpdate(ctx, t, f, f.checkStored)
}

func TestListResourceVersionMatch(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestListResourceVersionMatch(ctx, t, f)
}

func TestTransformationFailure(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestTransformationFailure(ctx, t, f)
}

func TestGuaranteedUpdateChecksStoredData(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestGuaranteedUpdateChecksStoredData(ctx, t, f)
}

func TestList(t *testing.T) {
	forRangeStream(t, true, func(t *testing.T, ctx context.Context, f *fixture) {
		storagetesting.RunTestList(ctx, t, f, f.compact, false, f.client.Kubernetes.(*storagetesting.KubernetesRecorder))
	})
}

func TestConsistentList(t *testing.T) {
	forRangeStream(t, true, func(t *testing.T, ctx context.Context, f *fixture) {
		storagetesting.RunTestConsistentList(ctx, t, f, f.increaseRevision, false, true, false)
	})
}

func TestGetListNonRecursive(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestGetListNonRecursive(ctx, t, f.increaseRevision, f)
}

func TestListContinuation(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestListContinuation(ctx, t, f, f.checkCalls)
}

func TestListContinuationWithFilter(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestListContinuationWithFilter(ctx, t, f, f.checkCalls)
}

func TestListPaginationRareObject(t *testing.T) {
	// With it, the key of the compaction is read, too, and the requests do not add up.
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.ListFromCacheSnapshot, false)
	ctx, f := setUp(t)
	storagetesting.RunTestListPaginationRareObject(ctx, t, f, f.checkCalls)
}

func TestListInconsistentContinuation(t *testing.T) {
	ctx, f := setUp(t)
	storagetesting.RunTestListInconsistentContinuation(ctx, t, f, f.compact)
}

func TestCompactRevision(t *testing.T) {
	// The store hears of compactions by others only if it watches their key.
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.ListFromCacheSnapshot, true)
	ctx, f := setUp(t)
	storagetesting.RunTestCompactRevision(ctx, t, f, f.increaseRevision, f.compact)
}

func TestStats(t *testing.T) {
	for _, sizes := range []bool{true, false} {
		t.Run(fmt.Sprintf("SizeBasedListCostEstimate=%v", sizes), func(t *testing.T) {
			ctx, f := setUp(t)
			if sizes {
				if err := f.EnableResourceSizeEstimation(f.keys); err != nil {
					t.Fatal(err)
				}
			}
			storagetesting.RunTestStats(ctx, t, f, f.codec, f.transformer, sizes)
		})
	}
}
