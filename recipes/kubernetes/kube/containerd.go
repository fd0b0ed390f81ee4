package main

import (
	"context"
	"fmt"
	"os"

	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins" // The plugins of the server, less those that build tags leave out.
	server "github.com/containerd/containerd/v2/cmd/containerd/command"
	client "github.com/containerd/containerd/v2/cmd/ctr/app"
)

// containerd repeats github.com/containerd/containerd/v2/cmd/containerd.
func containerd() int {
	return status("containerd", server.App().Run(context.Background(), os.Args))
}

// ctr repeats github.com/containerd/containerd/v2/cmd/ctr.
func ctr() int {
	return status("ctr", client.New().Run(context.Background(), os.Args))
}

// status prints the error of a program, if there is one, and returns its exit status.
func status(name string, err error) int {
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}
