package controlplane

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
)

const (
	// convergeDeadline is how long controllers may take to do what a workload asked for, on a loaded core.
	convergeDeadline = 5 * time.Minute
	// poll is the pause between two looks at what controllers do.
	poll = 200 * time.Millisecond
	// maxReplicas keeps all pods of a workload on the nodes there are.
	maxReplicas = 12
	// configMaps, and bytes in each: a page of a list is less than all of them.
	configMaps    = 120
	configMapSize = 4 << 10
	pageSize      = 50
)

// workload is something that a user does to a cluster. It does it once, in a namespace of its own, and fails if what it sees is wrong.
type workload struct {
	name string
	run  func(ctx context.Context, c clients, namespace string, random *rand.Rand) error
}

type clients struct {
	kubernetes.Interface
	dynamic dynamic.Interface
}

var workloads = []workload{
	{"deployment", rollOut},
	{"configmaps", editConfigMaps},
	{"job", runJob},
	{"custom", defineCustom},
}

// once does a workload in a namespace that is new, and gone afterwards.
func (w workload) once(ctx context.Context, c clients, random *rand.Rand) error {
	namespace := fmt.Sprintf("%s-%d", w.name, random.Uint32())
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := c.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := w.run(ctx, c, namespace, random); err != nil {
		return fmt.Errorf("%s in %s: %w", w.name, namespace, err)
	}
	if err := c.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return until(ctx, "namespace "+namespace+" to be gone", func(ctx context.Context) (bool, error) {
		_, err := c.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// rollOut scales a deployment behind a service, changes its template, and waits for what the controllers and the scheduler make of it.
func rollOut(ctx context.Context, c clients, namespace string, random *rand.Rand) error {
	labels := map[string]string{"app": "web"}
	replicas := int32(1 + random.IntN(maxReplicas))
	deployments := c.AppsV1().Deployments(namespace)
	_, err := c.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = deployments.Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:0"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	for step := range 4 {
		// Controllers write the same object, on a loaded machine again and again between the read and the write.
		err := until(ctx, "an update without a conflict", func(ctx context.Context) (bool, error) {
			deployment, err := deployments.Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			replicas = int32(random.IntN(maxReplicas + 1))
			deployment.Spec.Replicas = &replicas
			if random.IntN(2) == 0 {
				deployment.Spec.Template.Spec.Containers[0].Image = fmt.Sprintf("web:%d", step+1)
			}
			_, err = deployments.Update(ctx, deployment, metav1.UpdateOptions{})
			if apierrors.IsConflict(err) {
				return false, nil
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
		err = until(ctx, fmt.Sprintf("%d replicas in the deployment and in its endpoints", replicas), func(ctx context.Context) (bool, error) {
			deployment, err := deployments.Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			status := deployment.Status
			if status.ObservedGeneration < deployment.Generation || status.UpdatedReplicas != replicas || status.Replicas != replicas ||
				status.AvailableReplicas != replicas {
				return false, nil
			}
			slices, err := c.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
			if err != nil {
				return false, err
			}
			endpoints := 0
			for _, slice := range slices.Items {
				for _, endpoint := range slice.Endpoints {
					if endpoint.Conditions.Terminating == nil || !*endpoint.Conditions.Terminating {
						endpoints++
					}
				}
			}
			return endpoints == int(replicas), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// editConfigMaps keeps a copy of what it wrote, and compares it with a list by pages, a list from the cache that is consistent, and what it
// gets after it has deleted some.
func editConfigMaps(ctx context.Context, c clients, namespace string, random *rand.Rand) error {
	maps := c.CoreV1().ConfigMaps(namespace)
	expected := map[string]string{}
	for index := range configMaps {
		name := fmt.Sprintf("map-%03d", index)
		value := fmt.Sprintf("%d%s", random.Uint64(), strings.Repeat("x", configMapSize))
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"value": value}}
		if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
		expected[name] = value
	}
	for range configMaps {
		name := fmt.Sprintf("map-%03d", random.IntN(configMaps))
		if _, there := expected[name]; !there {
			continue
		}
		if random.IntN(4) == 0 {
			if err := maps.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
				return err
			}
			delete(expected, name)
			continue
		}
		object, err := maps.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		object.Data["value"] = fmt.Sprint(random.Uint64())
		if _, err := maps.Update(ctx, object, metav1.UpdateOptions{}); err != nil {
			return err
		}
		expected[name] = object.Data["value"]
	}
	for _, limit := range []int64{0, pageSize} {
		listed := map[string]string{}
		options := metav1.ListOptions{Limit: limit}
		for {
			page, err := maps.List(ctx, options)
			if err != nil {
				return err
			}
			for _, item := range page.Items {
				if value, ours := item.Data["value"]; ours {
					listed[item.Name] = value
				}
			}
			if options.Continue = page.Continue; options.Continue == "" {
				break
			}
		}
		if len(listed) != len(expected) {
			return fmt.Errorf("%d configmaps are there, and a list with limit %d shows %d", len(expected), limit, len(listed))
		}
		for name, value := range expected {
			if listed[name] != value {
				return fmt.Errorf("%s is not as it was written, in a list with limit %d", name, limit)
			}
		}
	}
	return nil
}

// runJob runs a job to its end.
func runJob(ctx context.Context, c clients, namespace string, random *rand.Rand) error {
	completions := int32(1 + random.IntN(6))
	parallelism := int32(2)
	_, err := c.BatchV1().Jobs(namespace).Create(ctx, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "job"},
		Spec: batchv1.JobSpec{
			Completions: &completions, Parallelism: &parallelism,
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "job", Image: "job:0"}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return until(ctx, "the job to be complete", func(ctx context.Context) (bool, error) {
		job, err := c.BatchV1().Jobs(namespace).Get(ctx, "job", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return job.Status.CompletionTime != nil && job.Status.Succeeded == completions, nil
	})
}

// defineCustom defines a resource, makes objects of it, and takes the definition away, and the objects with it.
func defineCustom(ctx context.Context, c clients, namespace string, random *rand.Rand) error {
	group := fmt.Sprintf("g%d.shoal.test", random.Uint32())
	definitions := c.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	things := c.dynamic.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: "things"}).Namespace(namespace)
	_, err := definitions.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "things." + group},
		"spec": map[string]any{
			"group": group, "scope": "Namespaced", "names": map[string]any{"plural": "things", "kind": "Thing"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	thing := func(index int) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": group + "/v1", "kind": "Thing", "metadata": map[string]any{"name": fmt.Sprintf("thing-%d", index)},
		}}
	}
	// A definition is served some time after it was accepted.
	err = until(ctx, "things to be served", func(ctx context.Context) (bool, error) {
		_, err := things.Create(ctx, thing(0), metav1.CreateOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	for index := 1; index < 20; index++ {
		if _, err := things.Create(ctx, thing(index), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	listed, err := things.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(listed.Items) != 20 {
		return fmt.Errorf("20 things are there, and a list shows %d", len(listed.Items))
	}
	if err := definitions.Delete(ctx, "things."+group, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return until(ctx, "the definition to be gone", func(ctx context.Context) (bool, error) {
		_, err := definitions.Get(ctx, "things."+group, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// until waits for something that controllers do.
func until(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	deadline := time.Now().Add(convergeDeadline)
	for {
		is, err := done(ctx)
		if err != nil || is {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v for %s", convergeDeadline, what)
		}
		if wait(ctx, poll); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
