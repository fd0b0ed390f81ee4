// Package kubernetes runs Kubernetes' own tests of its storage (k8s.io/apiserver/pkg/storage/testing) on a server that speaks etcd's API.
//
// Each test gets a server of its own: the program named by SHOAL_STORE, started with etcd's flags. Nothing of Kubernetes is patched or copied;
// the storage is built with its public constructors, once bare and once behind kube-apiserver's cache. `go test ./...` takes Kubernetes 1.37;
// `go test -modfile=kubernetes-1.36.mod -tags=kubernetes_1_36 ./...` takes 1.36. TestSuiteIsComplete fails when a new version brings a test that
// is not run here.
package kubernetes
