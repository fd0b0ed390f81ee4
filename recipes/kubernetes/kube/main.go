// shoal-kube is Kubernetes, kubectl, containerd and ctr in one binary, which share most of what they link: one copy of it in the image
// instead of eight, and one of each page in memory.
//
// It is upstream's code as its modules publish it. What is here chooses the program by the name it is called by, and repeats what
// upstream's mains do around their commands; each function in this package names the main it repeats.
package main

import (
	"fmt"
	"os"

	"shoal.internal/kubernetes/dispatch"
)

// programs is every program of the binary.
var programs = []dispatch.Program{
	{Name: "containerd", Main: containerd},
	{Name: "ctr", Main: ctr},
	{Name: "kube-apiserver", Main: kubeAPIServer},
	{Name: "kube-controller-manager", Main: kubeControllerManager},
	{Name: "kube-proxy", Main: kubeProxy},
	{Name: "kube-scheduler", Main: kubeScheduler},
	{Name: "kubectl", Main: kubectl},
	{Name: "kubelet", Main: kubelet},
}

// usageStatus is the exit status of a command line that names no program, as of a shell that finds no command.
const usageStatus = 127

func main() {
	program, commandLine, err := dispatch.Choose(programs, os.Args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", dispatch.Binary, err)
		os.Exit(usageStatus)
	}
	os.Args = commandLine
	os.Exit(program.Main())
}
