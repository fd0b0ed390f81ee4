// Package controlplane runs an unmodified Kubernetes control plane on a server that speaks etcd's API, and churns it.
//
// kube-apiserver, kube-controller-manager and kube-scheduler are the payload's own binary (SHOAL_KUBE, or built from recipes/kubernetes); they
// store in three members of the program named by SHOAL_STORE. Nodes are made up here: something that keeps their leases, and says of pods
// what a kubelet would. kube-apiserver compares its caches with the store all the time and panics when they differ
// (KUBE_WATCHCACHE_CONSISTENCY_CHECKER).
//
// The same is done on etcd, and what kube-apiserver's log complains of there is what it may complain of here.
//
//	SHOAL_STORE=target/release/shoal-store SHOAL_CHURN=30m SHOAL_CHURN_ETCD=10m go test -timeout=2h -v .
package controlplane
