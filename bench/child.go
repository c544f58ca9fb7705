package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// child is the bridge, or what it is compared with, in a process of its own, so that its memory and its scheduler are
// not the load's.
type child struct {
	httpAddr, grpcAddr string
	command            *exec.Cmd
	in                 io.WriteCloser
	out                *bufio.Scanner
}

// startChild runs this program again, with a flag that says what to be.
func startChild(ctx context.Context, flag string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{command: exec.CommandContext(ctx, program, flag)} //nolint:gosec // this very program
	c.command.Stderr = os.Stderr
	if c.in, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	if !c.out.Scan() {
		return nil, errors.Join(errors.New("the bridge did not start"), c.stop())
	}
	_, err = fmt.Sscan(c.out.Text(), &c.httpAddr, &c.grpcAddr)
	return c, err
}

func (c *child) stop() error {
	return errors.Join(c.in.Close(), c.command.Wait())
}

// memory is what the child's heap and stacks take after a collection, in bytes.
func (c *child) memory() (uint64, error) {
	if _, err := io.WriteString(c.in, "memory\n"); err != nil {
		return 0, err
	}
	if !c.out.Scan() {
		return 0, errors.New("the bridge is gone")
	}
	return strconv.ParseUint(c.out.Text(), 10, 64)
}

// serve is the child's side as the bridge.
func serve(ctx context.Context, dir string) (err error) {
	b, err := startBridge(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	answer(b.HTTPAddr(), b.GRPCAddr())
	return nil
}

// serveRelay is the child's side as a relay.
func serveRelay(ctx context.Context) error {
	httpAddr, grpcAddr, stop, err := startRelay(ctx)
	if err != nil {
		return err
	}
	answer(httpAddr, grpcAddr)
	return stop()
}

// answer prints the addresses on the first line, then an answer to each line of the input, until that ends.
func answer(httpAddr, grpcAddr string) {
	fmt.Println(httpAddr, grpcAddr)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "memory" {
			fmt.Println(memoryInUse())
		}
	}
}

func memoryInUse() uint64 {
	runtime.GC()
	runtime.GC() // the first one only marks what finalizers and pools held
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse + stats.StackInuse
}
