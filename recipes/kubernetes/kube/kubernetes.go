package main

import (
	"context"
	_ "time/tzdata" // Time zones of CronJobs; the image has no zone files.

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // Metrics of client-go.
	_ "k8s.io/component-base/metrics/prometheus/version"  // The metric kubernetes_build_info.
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	node "k8s.io/kubernetes/cmd/kubelet/app"
)

// kubeAPIServer repeats k8s.io/kubernetes/cmd/kube-apiserver.
func kubeAPIServer() int {
	return cli.Run(apiserver.NewAPIServerCommand())
}

// kubeControllerManager repeats k8s.io/kubernetes/cmd/kube-controller-manager.
func kubeControllerManager() int {
	return cli.Run(controllermanager.NewControllerManagerCommand())
}

// kubeProxy repeats k8s.io/kubernetes/cmd/kube-proxy.
func kubeProxy() int {
	return cli.Run(proxy.NewProxyCommand())
}

// kubeScheduler repeats k8s.io/kubernetes/cmd/kube-scheduler.
func kubeScheduler() int {
	return cli.Run(scheduler.NewSchedulerCommand())
}

// kubelet repeats k8s.io/kubernetes/cmd/kubelet.
func kubelet() int {
	return cli.Run(node.NewKubeletCommand(context.Background()))
}
