// CoreDNS with the plugins that a cluster's DNS needs.
//
// The rest of upstream's list serves other sources of names (clouds, etcd, files, databases) and other transports; a Corefile that names
// one of them is refused at start with the line that does. The order in which plugins see a query is upstream's (dnsserver.Directives),
// whatever the order here.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"        // Listen on given addresses only.
	_ "github.com/coredns/coredns/plugin/bufsize"     // Keep UDP answers below the path's MTU.
	_ "github.com/coredns/coredns/plugin/cache"       // Answer again without asking again.
	_ "github.com/coredns/coredns/plugin/errors"      // Log failed queries.
	_ "github.com/coredns/coredns/plugin/forward"     // Names outside the cluster.
	_ "github.com/coredns/coredns/plugin/health"      // The liveness probe.
	_ "github.com/coredns/coredns/plugin/hosts"       // Names from the Corefile or a file.
	_ "github.com/coredns/coredns/plugin/kubernetes"  // Services and pods.
	_ "github.com/coredns/coredns/plugin/loadbalance" // Rotate addresses in answers.
	_ "github.com/coredns/coredns/plugin/log"         // Log queries.
	_ "github.com/coredns/coredns/plugin/loop"        // Stop when forwarding comes back.
	_ "github.com/coredns/coredns/plugin/metadata"    // What log may print of a query.
	_ "github.com/coredns/coredns/plugin/metrics"     // The directive is `prometheus`.
	_ "github.com/coredns/coredns/plugin/ready"       // The readiness probe.
	_ "github.com/coredns/coredns/plugin/reload"      // Take up a changed Corefile.
	_ "github.com/coredns/coredns/plugin/rewrite"     // Map names to names.
)

func main() {
	coremain.Run()
}
