// Command client is etcd's own benchmark client, built from its module. The newest version of that module that can be had from the Go module
// proxy is of 3.6: of 3.7 none has been published.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/v3/tools/benchmark/cmd"
)

func main() {
	if err := cmd.RootCmd.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
