// Package etcd holds a server to what etcd itself does: the same script of etcdctl on both must print the same, and the wire interface must be
// declared the same. The server is the program named by SHOAL_STORE; etcd and etcdctl are built from their modules by the tests.
package etcd
