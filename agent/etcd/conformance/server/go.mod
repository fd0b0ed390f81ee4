module shoal/agent/etcd/conformance/server

go 1.26.0
