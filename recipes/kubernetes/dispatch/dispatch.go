// Package dispatch decides which program of a multi-call binary a command line asks for.
//
// It knows names only. What the programs are, and what they link, is the business of the binary that has them; so this package and its
// tests compile in a second, where the binary takes minutes.
package dispatch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Binary is the multi-call binary's own name. Called by it, the first argument names the program.
const Binary = "shoal-kube"

// Program is one program of a multi-call binary.
type Program struct {
	// Name is the base name of the path that the program is called by.
	Name string
	// Main runs the program on [os.Args] and returns the exit status of the process.
	Main func() int
}

// Choose returns the program that a command line asks for, and the command line that the program is to see: its own name, then its
// arguments.
//
// The base name of the first element decides. If it is [Binary], the second element is the name. The error of a command line that names
// no program lists those there are.
func Choose(programs []Program, commandLine []string) (Program, []string, error) {
	if len(commandLine) == 0 {
		return Program{}, nil, fmt.Errorf("called with no name at all: %s", advice(programs))
	}
	name, arguments := path.Base(commandLine[0]), commandLine[1:]
	if name == Binary {
		if len(arguments) == 0 {
			return Program{}, nil, fmt.Errorf("called with no program: %s", advice(programs))
		}
		name, arguments = arguments[0], arguments[1:]
	}
	index := slices.IndexFunc(programs, func(program Program) bool { return program.Name == name })
	if index < 0 {
		return Program{}, nil, fmt.Errorf("%q is not a program of this binary: %s", name, advice(programs))
	}
	return programs[index], slices.Concat([]string{name}, arguments), nil
}

// advice says what to write instead, with every name.
func advice(programs []Program) string {
	names := make([]string, len(programs))
	for index, program := range programs {
		names[index] = program.Name
	}
	slices.Sort(names)
	return fmt.Sprintf("call it `%s NAME [ARGUMENT...]`, or by a link of that name, where NAME is one of %s", Binary, strings.Join(names, ", "))
}
