package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// A Process is another process of the operating system that writes to the
// target, one put at a time: what races and zombies are made of where the store
// is a directory. Its lines are JSON in both directions; [ServeProcess] is its
// main loop.
type Process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	mu  sync.Mutex // one conversation at a time

	local backends.Store // set in a plan: there is no process
}

// processRequest is a line to the process.
type processRequest struct {
	Op      string `json:"op"` // "put", or "go" to leave a hold
	Key     string `json:"key,omitempty"`
	Body    []byte `json:"body,omitempty"`
	Cond    string `json:"cond,omitempty"`
	Version string `json:"version,omitempty"`
	Hold    bool   `json:"hold,omitempty"` // stop right before publishing
}

// processReply is a line from the process.
type processReply struct {
	Event   string        `json:"event"` // "ready", "held" or "done"
	Version string        `json:"version,omitempty"`
	Failed  *processError `json:"failed,omitempty"`
}

type processError struct {
	Class backends.Class `json:"class"`
	Text  string         `json:"text"`
}

// processLimit bounds how long a process may take to start or to die.
const processLimit = 20 * time.Second

// StartProcess starts cmd, whose program must call [ServeProcess] on its
// standard input and output, and waits until it has opened the store.
func StartProcess(ctx context.Context, cmd *exec.Cmd) (*Process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a second process: %w", err)
	}
	p := &Process{cmd: cmd, in: in, out: bufio.NewReader(out)}
	ctx, cancel := context.WithTimeout(ctx, processLimit)
	defer cancel()
	if r, err := p.receive(ctx); err != nil || r.Event != "ready" {
		p.Kill()
		return nil, fmt.Errorf("a second process did not get ready: %w", errors.Join(err, r.err()))
	}
	return p, nil
}

func (r processReply) err() error {
	if r.Failed == nil {
		return nil
	}
	return &backends.Error{Op: backends.OpPut, Class: r.Failed.Class, Err: errors.New(r.Failed.Text)}
}

// send writes one line.
func (p *Process) send(r processRequest) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("the second process is gone: %w", err)
	}
	return nil
}

// receive reads one line. When ctx ends first the process is killed: a
// conversation cannot be resumed in the middle.
func (p *Process) receive(ctx context.Context) (processReply, error) {
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	var r processReply
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return r, fmt.Errorf("the second process is gone: %w", err)
	}
	return r, json.Unmarshal(line, &r)
}

// Put lets the process put an object.
func (p *Process) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	if p.local != nil {
		return p.local.Put(ctx, key, body, cond)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.begin(key, body, cond, false); err != nil {
		return "", &backends.Error{Op: backends.OpPut, Key: key, Class: backends.Ambiguous, Err: err}
	}
	return p.finish(ctx, key)
}

func (p *Process) begin(key string, body []byte, cond backends.Condition, hold bool) error {
	v, _ := cond.Version()
	return p.send(processRequest{Op: "put", Key: key, Body: body, Cond: cond.String(), Version: string(v), Hold: hold})
}

func (p *Process) finish(ctx context.Context, key string) (backends.Version, error) {
	r, err := p.receive(ctx)
	if err != nil {
		return "", &backends.Error{Op: backends.OpPut, Key: key, Class: backends.Ambiguous, Err: err}
	}
	return backends.Version(r.Version), r.err()
}

// Kill ends the process as kill -9 does and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may be gone already, which is what is wanted
	_ = p.cmd.Wait()         // its exit code says only that it was killed
}

// Close lets the process end by itself and kills it if it does not.
func (p *Process) Close() {
	if p.local != nil {
		return
	}
	_ = p.in.Close()
	t := time.AfterFunc(processLimit, func() { _ = p.cmd.Process.Kill() })
	defer t.Stop()
	_ = p.cmd.Wait()
}

// ProcessHolder holds puts in other processes, which start makes.
func ProcessHolder(start func(ctx context.Context) (*Process, error)) Holder {
	return processHolder{start}
}

type processHolder struct {
	start func(ctx context.Context) (*Process, error)
}

func (h processHolder) Begin(ctx context.Context, wrap func(backends.Store) backends.Store, key string, body []byte, cond backends.Condition, _ int) (Held, error) {
	p, err := h.start(ctx)
	if err != nil {
		return nil, err
	}
	s := &processStore{process: p, held: make(chan struct{}), release: make(chan struct{})}
	put := startPut(ctx, wrap(s), key, body, cond)
	select {
	case <-s.held:
	case <-put.done:
	}
	return &processHeld{store: s, put: put}, nil
}

// processStore is a Store of a single held put, so that the put is counted by
// the same wrappers as any other.
type processStore struct {
	backends.Store // nil: only Put and Close are ever called
	process        *Process
	held           chan struct{}
	release        chan struct{}
}

func (s *processStore) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	gone := func(err error) (backends.Version, error) {
		return "", &backends.Error{Op: backends.OpPut, Key: key, Class: backends.Ambiguous, Err: err}
	}
	if err := s.process.begin(key, body, cond, true); err != nil {
		return gone(err)
	}
	r, err := s.process.receive(ctx)
	if err != nil {
		return gone(err)
	}
	if r.Event == "done" { // refused before it came to publishing
		return backends.Version(r.Version), r.err()
	}
	close(s.held)
	select {
	case <-s.release:
	case <-ctx.Done():
		return gone(ctx.Err())
	}
	if err := s.process.send(processRequest{Op: "go"}); err != nil {
		return gone(err)
	}
	return s.process.finish(ctx, key)
}

func (s *processStore) Close() error {
	s.process.Close()
	return nil
}

type processHeld struct {
	store *processStore
	put   *heldPut
}

func (h *processHeld) Advance(int) {}

func (h *processHeld) Finish(ctx context.Context) (backends.Version, error) {
	close(h.store.release)
	return h.put.wait(ctx)
}

func (h *processHeld) Abandon() {
	_ = h.store.process.cmd.Process.Kill() // end waits for it
	h.put.end()
}

// ServeProcess is the main loop of a second process: it opens the target and
// does what the lines on in ask for until in ends.
func ServeProcess(ctx context.Context, open func(ctx context.Context, o backends.Options) (backends.Store, error), in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	reply := func(r processReply) error {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n'))
		return err
	}
	next := func() (processRequest, error) {
		var r processRequest
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return r, err
		}
		return r, json.Unmarshal(line, &r)
	}
	hold := false
	step := func(step, _ string) {
		if !hold || step != "publish" {
			return
		}
		hold = false
		if err := reply(processReply{Event: "held"}); err != nil {
			panic(err) // nobody can let us go on: die before publishing
		}
		if r, err := next(); err != nil || r.Op != "go" {
			panic("the parent is gone: nothing is published")
		}
	}
	s, err := open(ctx, backends.Options{Step: step})
	if err != nil {
		return errors.Join(reply(processReply{Event: "failed", Failed: failedOf(err)}), err)
	}
	defer s.Close()
	if err := reply(processReply{Event: "ready"}); err != nil {
		return err
	}
	for {
		r, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var cond backends.Condition
		switch r.Cond {
		case backends.Always().String():
			cond = backends.Always()
		case backends.IfAbsent().String():
			cond = backends.IfAbsent()
		default:
			cond = backends.IfVersion(backends.Version(r.Version))
		}
		hold = r.Hold
		v, err := s.Put(ctx, r.Key, r.Body, cond)
		if err := reply(processReply{Event: "done", Version: string(v), Failed: failedOf(err)}); err != nil {
			return err
		}
	}
}

func failedOf(err error) *processError {
	if err == nil {
		return nil
	}
	return &processError{Class: backends.ClassOf(err), Text: err.Error()}
}

// LocalProcess stands in for a second process while a run is planned: it puts
// into s.
func LocalProcess(s backends.Store) *Process { return &Process{local: s} }
