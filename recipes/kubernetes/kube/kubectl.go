package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // Credentials from OIDC providers and exec plugins.
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// kubectl repeats k8s.io/kubernetes/cmd/kubectl.
func kubectl() int {
	// Building the command already logs (plugins, kuberc), so the verbosity is read before the flags are. A bad one is reported there.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err) // Prints the error as kubectl's users know it, and exits.
	}
	return 0
}
