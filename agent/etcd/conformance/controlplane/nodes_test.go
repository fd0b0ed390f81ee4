package controlplane

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	// nodeCount is the size of cluster that Shoal is made for first.
	nodeCount = 3
	// leasePeriod and leaseSeconds are the kubelet's defaults.
	leasePeriod  = 10 * time.Second
	leaseSeconds = 40
	// podsPerNode is the kubelet's default for how many it takes.
	podsPerNode = "110"
	// jobLabel is on the pods of jobs (batch.kubernetes.io/job-name of k8s.io/api/batch/v1); these end by themselves.
	jobLabel = "batch.kubernetes.io/job-name"
)

// startNodes makes up nodes and what their kubelets do that others see.
func startNodes(ctx context.Context, t *testing.T, client kubernetes.Interface) {
	t.Helper()
	for index := range nodeCount {
		name := fmt.Sprintf("node%d", index+1)
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		}
		node, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		node.Status.Capacity = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse(podsPerNode),
		}
		node.Status.Allocatable = node.Status.Capacity
		now := metav1.Now()
		node.Status.Conditions = []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now,
		}}
		if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		go keepLease(ctx, t, client, name)
	}
	runPods(ctx, t, client)
}

// keepLease renews a node's lease, as its kubelet does.
func keepLease(ctx context.Context, t *testing.T, client kubernetes.Interface, node string) {
	leases := client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	seconds := int32(leaseSeconds)
	for ctx.Err() == nil {
		now := metav1.NowMicro()
		lease, err := leases.Get(ctx, node, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			lease = &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Name: node, Namespace: corev1.NamespaceNodeLease},
				Spec:       coordinationv1.LeaseSpec{HolderIdentity: &node, LeaseDurationSeconds: &seconds, RenewTime: &now},
			}
			_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
		} else if err == nil {
			lease.Spec.RenewTime = &now
			_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
		}
		if err != nil && ctx.Err() == nil {
			t.Errorf("the lease of %s: %v", node, err)
		}
		wait(ctx, leasePeriod)
	}
}

// runPods says of every pod that has a node what a kubelet would: that it runs, that a job's has ended, and that it is gone once it was deleted.
func runPods(ctx context.Context, t *testing.T, client kubernetes.Interface) {
	t.Helper()
	var addresses atomic.Uint32
	changed := func(object any) {
		pod, ok := object.(*corev1.Pod)
		if !ok || pod.Spec.NodeName == "" {
			return
		}
		if err := runPod(ctx, client, pod, &addresses); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			t.Errorf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, object any) { changed(object) },
	})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), pods.HasSynced) {
		t.Fatal("the informer of pods does not come in step")
	}
}

func runPod(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, addresses *atomic.Uint32) error {
	if pod.DeletionTimestamp != nil {
		now := int64(0)
		return client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
	}
	phase := corev1.PodRunning
	if pod.Labels[jobLabel] != "" && pod.Status.Phase == corev1.PodRunning {
		phase = corev1.PodSucceeded
	}
	if pod.Status.Phase == phase || pod.Status.Phase == corev1.PodSucceeded {
		return nil
	}
	pod = pod.DeepCopy()
	now := metav1.Now()
	pod.Status.Phase = phase
	pod.Status.StartTime = &now
	if pod.Status.PodIP == "" {
		number := addresses.Add(1)
		pod.Status.PodIP = fmt.Sprintf("10.244.%d.%d", number>>8&0xff, number&0xff)
		pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	}
	ready := corev1.ConditionTrue
	if phase == corev1.PodSucceeded {
		ready = corev1.ConditionFalse
	}
	setCondition(&pod.Status, corev1.PodReady, ready)
	_, err := client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, value corev1.ConditionStatus) {
	condition := corev1.PodCondition{Type: kind, Status: value, LastTransitionTime: metav1.Now()}
	for index := range status.Conditions {
		if status.Conditions[index].Type == kind {
			status.Conditions[index] = condition
			return
		}
	}
	status.Conditions = append(status.Conditions, condition)
}

// wait returns after a while, or when the context ends.
func wait(ctx context.Context, while time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(while):
	}
}
