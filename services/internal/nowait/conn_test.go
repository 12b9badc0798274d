package nowait_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/internal/nowait"
)

// pair returns two ends of a connection over the loopback, the first wrapped.
func pair(t *testing.T) (*nowait.Conn, *net.TCPConn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	w := nowait.Wrap(near)
	if w == nil {
		t.Fatal("a TCP connection is not wrapped")
	}
	return w, far.(*net.TCPConn)
}

func TestAllBytesBothWays(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	sent := make([]byte, 8<<20) // more than sockets hold: both sides have to wait
	if _, err := rand.Read(sent); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 2)
	go func() {
		n, err := near.Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		failed <- errors.Join(err, near.CloseWrite())
	}()
	go func() { // echoes
		_, err := io.Copy(far, far)
		failed <- errors.Join(err, far.CloseWrite())
	}()
	got, err := io.ReadAll(near)
	if err = errors.Join(err, <-failed, <-failed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatalf("sent %d bytes, got %d others", len(sent), len(got))
	}
}

func TestTryWriteTakesWhatFits(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	block := bytes.Repeat([]byte("pixel"), 20_000)
	var wrote int
	for {
		n, err := near.TryWrite(block)
		if err != nil {
			t.Fatal(err)
		}
		wrote += n
		if n < len(block) {
			break
		}
	}
	if n, err := near.TryWrite(block); n != 0 || err != nil {
		t.Fatalf("a full socket took %d bytes, %v", n, err)
	}
	if err := near.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.Copy(io.Discard, far); err != nil || got != int64(wrote) {
		t.Fatalf("wrote %d bytes, %d arrived, %v", wrote, got, err)
	}
}

func TestEndsAndErrors(t *testing.T) {
	t.Parallel()
	one := make([]byte, 1)
	t.Run("the other side ends", func(t *testing.T) {
		near, far := pair(t)
		if err := far.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := near.Read(one); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the other side resets", func(t *testing.T) {
		near, far := pair(t)
		if err := errors.Join(far.SetLinger(0), far.Close()); err != nil {
			t.Fatal(err)
		}
		_, err := near.Read(one)
		var op *net.OpError
		if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" {
			t.Errorf("got %v", err)
		}
		if n, err := near.TryWrite(one); n != 0 || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("wrote %d, %v", n, err)
		}
	})
	t.Run("deadlines", func(t *testing.T) {
		near, _ := pair(t)
		if err := near.SetDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		_, err := near.Read(one)
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read: %v", err)
		}
		if _, err := near.Write(one); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
	})
	t.Run("closed while it reads", func(t *testing.T) {
		near, _ := pair(t)
		failed := make(chan error)
		go func() {
			_, err := near.Read(one)
			failed <- err
		}()
		near.Close()
		err := <-failed
		var op *net.OpError
		if !errors.Is(err, net.ErrClosed) || !errors.As(err, &op) || op.Op != "read" {
			t.Errorf("got %v", err)
		}
		if _, err := near.Write(one); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
	})
	t.Run("nothing asked", func(t *testing.T) {
		near, _ := pair(t)
		if n, err := near.Read(nil); n != 0 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	if !near.Quiet() {
		t.Error("a new connection is not quiet")
	}
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	arrives := func() bool { // the loopback has its own time
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			if !near.Quiet() {
				return true
			}
		}
		return false
	}
	if !arrives() {
		t.Error("quiet with a byte to read")
	}
	one := make([]byte, 2)
	if n, err := near.Read(one); n != 1 || one[0] != 'x' || err != nil {
		t.Errorf("the peek took the byte: %d, %q, %v", n, one, err)
	}
	if !near.Quiet() {
		t.Error("not quiet when all is read")
	}
	far.Close()
	if !arrives() {
		t.Error("quiet when the other side is gone")
	}
}

func TestOtherConnectionsAreNotWrapped(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if nowait.Wrap(a) != nil {
		t.Error("a pipe is wrapped")
	}
}

func TestCallsDoNotAllocate(t *testing.T) { //nolint:paralleltest // AllocsPerRun
	near, far := pair(t)
	one := make([]byte, 1)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := near.TryWrite(one); err != nil {
			t.Fatal(err)
		}
		if _, err := far.Write(one); err != nil {
			t.Fatal(err)
		}
		if _, err := near.Read(one); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a write and a read", n)
	}
}
