package controlplane

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"shoal/agent/etcd/conformance/server"
)

// Variables of the environment: how long to churn; how long on etcd, if less: fewer complaints are allowed then; and the programs if they are built already.
const (
	churnVariable = "SHOAL_CHURN"
	etcdVariable  = "SHOAL_CHURN_ETCD"
	kubeVariable  = "SHOAL_KUBE"
)

// defaultChurn shows that the test works. It is too short for kube-apiserver to compare its caches with the store, which it does every five minutes.
const defaultChurn = 2 * time.Minute

// checkedAfter is how long a churn must be for at least one comparison of each cache (consistencyCheckPeriod of k8s.io/apiserver, and half of it
// at random).
const checkedAfter = 10 * time.Minute

// members of the store.
const members = 3

// pause is how long a workload rests before it comes again. The claims are about what is right, not about how much a machine can bear.
const pause = time.Second

func TestChurn(t *testing.T) {
	length := span(t, churnVariable, defaultChurn)
	lengthOnEtcd := span(t, etcdVariable, length)
	kube, etcd := programs(t)

	var allowed map[string]string
	t.Run("etcd", func(t *testing.T) { allowed = churn(t, kube, etcd, lengthOnEtcd) })
	t.Run("ours", func(t *testing.T) {
		for shape, line := range churn(t, kube, server.Program(t), length) {
			if _, alsoOnEtcd := allowed[shape]; !alsoOnEtcd {
				t.Errorf("kube-apiserver says what it does not say on etcd: %s", line)
			}
		}
	})
}

// span is how long a variable of the environment says, or usual.
func span(t *testing.T, variable string, usual time.Duration) time.Duration {
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s is how long to churn, such as 30m: %v", variable, err)
	}
	return length
}

// churn runs a control plane on a store for a while, holds what it must do, and returns what kube-apiserver complained of, by its shape.
func churn(t *testing.T, kube, store string, length time.Duration) map[string]string {
	endpoints := server.StartCluster(t, store, members)
	plane := startPlane(t, kube, endpoints)
	client := plane.client(t)
	everything, err := dynamic.NewForConfig(plane.config())
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	startNodes(ctx, t, client)
	seen := follow(ctx, t, client)

	var group sync.WaitGroup
	done := make([]atomic.Int64, len(workloads))
	stopping := time.Now().Add(length)
	for index, workload := range workloads {
		random := rand.New(rand.NewPCG(uint64(index), 0))
		group.Go(func() {
			for time.Now().Before(stopping) {
				if err := workload.once(ctx, clients{client, everything}, random); err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
				done[index].Add(1)
				wait(ctx, pause)
			}
		})
	}
	finished := make(chan struct{})
	go func() { group.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-plane.apiserver.Exited():
		t.Errorf("kube-apiserver ended")
	}
	for name, process := range plane.others {
		select {
		case <-process.Exited():
			t.Errorf("%s ended", name)
		default:
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	for index, workload := range workloads {
		t.Logf("%s: %d times", workload.name, done[index].Load())
		if done[index].Load() == 0 {
			t.Errorf("%s was never done to its end", workload.name)
		}
	}

	compare(ctx, t, client, seen)
	measured(ctx, t, client, length)
	end()
	return complaints(plane.apiserver.Output.String())
}

// measured holds that kube-apiserver did use what this store promises to have, and that its own checks found nothing.
func measured(ctx context.Context, t *testing.T, client *kubernetes.Clientset, length time.Duration) {
	t.Helper()
	metrics := readMetrics(ctx, t, client)
	used := map[string]float64{
		"lists as streams (RangeStream)": metrics.sum("etcd_request_duration_seconds", map[string]string{"operation": "listStream"}),
		"consistent reads from caches":   metrics.sum("apiserver_watch_cache_consistent_read_total", map[string]string{"success": "true", "fallback": "false"}),
		"lists by watches (WatchList)":   metrics.sum("apiserver_watch_list_duration_seconds", nil),
	}
	if length >= checkedAfter {
		used["caches found to be as the store"] = metrics.sum("apiserver_storage_consistency_checks_total", map[string]string{"status": "success"})
	}
	for what, times := range used {
		t.Logf("%s: %v", what, times)
		if times == 0 {
			t.Errorf("there were no %s", what)
		}
	}
	if failed := metrics.sum("apiserver_storage_consistency_checks_total", map[string]string{"status": "failure"}); failed != 0 {
		t.Errorf("%v comparisons of a cache with the store found a difference", failed)
	}
}

// follow keeps up with all configmaps and pods by watching, as controllers do.
func follow(ctx context.Context, t *testing.T, client kubernetes.Interface) []cache.SharedIndexInformer {
	t.Helper()
	factory := informers.NewSharedInformerFactory(client, 0)
	seen := []cache.SharedIndexInformer{factory.Core().V1().ConfigMaps().Informer(), factory.Core().V1().Pods().Informer()}
	factory.Start(ctx.Done())
	for _, informer := range seen {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			t.Fatal("an informer does not come in step")
		}
	}
	return seen
}

// compare waits until what was followed is what the store has, asked past all caches. A watch that lost an event never gets there.
func compare(ctx context.Context, t *testing.T, client kubernetes.Interface, seen []cache.SharedIndexInformer) {
	t.Helper()
	err := until(ctx, "watchers to have seen what the store has", func(ctx context.Context) (bool, error) {
		maps, err := client.CoreV1().ConfigMaps(corev1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		pods, err := client.CoreV1().Pods(corev1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		var stored [2][]string
		for _, item := range maps.Items {
			stored[0] = append(stored[0], identity(&item))
		}
		for _, item := range pods.Items {
			stored[1] = append(stored[1], identity(&item))
		}
		for index, informer := range seen {
			var followed []string
			for _, object := range informer.GetStore().List() {
				followed = append(followed, identity(object.(metav1.Object)))
			}
			slices.Sort(followed)
			slices.Sort(stored[index])
			if !slices.Equal(followed, stored[index]) {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		t.Error(err)
	}
}

func identity(object metav1.Object) string {
	return fmt.Sprintf("%s/%s %s %s", object.GetNamespace(), object.GetName(), object.GetUID(), object.GetResourceVersion())
}

// programs returns the paths of shoal-kube and etcd, and builds what is not there.
func programs(t *testing.T) (kube, etcd string) {
	t.Helper()
	folder := t.TempDir()
	if kube = os.Getenv(kubeVariable); kube == "" {
		t.Logf("building Kubernetes takes minutes when it was not built before; %s names a shoal-kube that is there", kubeVariable)
		kube = filepath.Join(folder, "shoal-kube")
		build(t, "../../../../recipes/kubernetes", "-tags=grpcnotrace,nri_no_wasm,no_btrfs,no_devmapper,no_rdt,no_tracing,no_zfs", "-o="+kube, "./kube")
	}
	etcd = filepath.Join(folder, "etcd")
	build(t, "../etcd", "-o="+etcd, "./cmd/etcd")
	return kube, etcd
}

func build(t *testing.T, module string, arguments ...string) {
	t.Helper()
	command := exec.Command("go", append([]string{"build"}, arguments...)...)
	command.Dir = module
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v in %s: %v\n%s", command.Args, module, err, output)
	}
}
