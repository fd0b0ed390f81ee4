package server

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Process is a program that a test has started. It does not outlive the test, however that ends.
type Process struct {
	// Output is what it has printed so far, on both streams.
	Output Output

	command *exec.Cmd
	exited  chan struct{}
	err     error
}

// Run starts a program with arguments, and with more in its environment than the test has.
func Run(program string, arguments []string, environment []string) (*Process, error) {
	process := &Process{command: exec.Command(program, arguments...), exited: make(chan struct{})}
	process.command.Env = append(os.Environ(), environment...)
	process.command.Stdout, process.command.Stderr = &process.Output, &process.Output
	// A test that is killed takes its processes along.
	process.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		process.err = process.command.Wait()
		close(process.exited)
	}()
	return process, nil
}

// WaitReady returns when ready does, with an error that holds the output if the process ends first, or is not ready in time.
func (p *Process) WaitReady(ctx context.Context, ready func(context.Context) error) error {
	result := make(chan error, 1)
	go func() { result <- ready(ctx) }()
	select {
	case <-p.exited:
		return fmt.Errorf("%s ended before it was ready: %v\n%s", p.command.Path, p.err, p.Output.String())
	case err := <-result:
		if err != nil {
			return fmt.Errorf("%s is not ready in time: %v\n%s", p.command.Path, err, p.Output.String())
		}
		return nil
	}
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} {
	return p.exited
}

// Kill ends the process at once, and returns when it has ended.
func (p *Process) Kill() {
	p.command.Process.Kill()
	<-p.exited
}

// Output collects what a process prints while the test may read it.
type Output struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

// Write adds to the output.
func (o *Output) Write(bytes []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.buffer.Write(bytes)
}

// String returns what has been printed so far.
func (o *Output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.buffer.String()
}
