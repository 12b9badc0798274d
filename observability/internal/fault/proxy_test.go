package fault

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server hands each connection to f.
func server(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var serving sync.WaitGroup
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f(c); _ = c.Close() })
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done; serving.Wait() })
	return l.Addr().String()
}

func through(t *testing.T, to string, redis bool, owner func(net.Conn) string) (*Proxy, func() net.Conn) {
	t.Helper()
	p, err := NewProxy(t.Context(), to, redis, owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, func() net.Conn {
		c, err := net.Dial("tcp", p.Addr())
		if errors.Is(err, syscall.ECONNRESET) { // cut before it knew that it was there
			a, b := net.Pipe()
			_ = b.Close()
			return a
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
}

// What is passed on arrives whole; what is cut is reset, and nothing is let
// through until the rule is gone.
func TestProxyCuts(t *testing.T) {
	to := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	p, dial := through(t, to, false, nil)
	echo := func(c net.Conn) error {
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 5))
		return err
	}
	c := dial()
	if err := echo(c); err != nil {
		t.Fatal(err)
	}
	p.Obey(func(string) Rule { return Rule{Cut: true} })
	if err := echo(c); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that is cut: %v", err)
	}
	if err := echo(dial()); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a new connection: %v", err)
	}
	p.Obey(func(string) Rule { return Rule{} })
	if err := echo(dial()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A rule is for those whom it is for.
func TestProxyTellsOwnersApart(t *testing.T) {
	to := server(t, func(c net.Conn) { _, _ = c.Write([]byte("x")) })
	p, dial := through(t, to, false, func(c net.Conn) string { return Owner(map[int]string{os.Getpid(): "this test"}, c) })
	p.Obey(func(owner string) Rule { return Rule{Cut: owner == "somebody else"} })
	if _, err := io.ReadFull(dial(), make([]byte, 1)); err != nil {
		t.Errorf("another's rule: %v", err)
	}
	p.Obey(func(owner string) Rule { return Rule{Cut: owner == "this test"} })
	if _, err := io.ReadFull(dial(), make([]byte, 1)); err == nil {
		t.Error("its own rule did nothing")
	}
}

// A connection that was made before its owner was known is one of its owner's
// when a rule comes.
func TestProxyIdentifiesLater(t *testing.T) {
	to := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	known := make(chan struct{})
	p, dial := through(t, to, false, func(net.Conn) string {
		select {
		case <-known:
			return "late"
		default:
			return ""
		}
	})
	c := dial()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	close(known)
	p.Obey(func(owner string) Rule { return Rule{Cut: owner == "late"} })
	if _, err := io.ReadFull(c, make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the rule did nothing: %v", err)
	}
}

// Live messages are lost, replies are not.
func TestProxyDropsMessages(t *testing.T) {
	const message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"
	to := server(t, func(c net.Conn) {
		_, _ = io.WriteString(c, message+"+PONG\r\n"+">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"+"$3\r\nend\r\n")
	})
	p, dial := through(t, to, true, nil)
	p.Obey(func(string) Rule { return Rule{DropMessages: true} })
	if got, err := io.ReadAll(dial()); string(got) != "+PONG\r\n$3\r\nend\r\n" {
		t.Errorf("%q %v", got, err)
	}
	p.Obey(func(string) Rule { return Rule{} })
	if got, err := io.ReadAll(dial()); !strings.HasPrefix(string(got), message) {
		t.Errorf("%q %v", got, err)
	}
}

// Replies of every kind come out as they went in, however they are cut into
// pieces on the way.
func TestReplies(t *testing.T) {
	for _, text := range []string{
		"+OK\r\n", "-ERR no\r\n", ":12\r\n", "$-1\r\n", "*-1\r\n", "$0\r\n\r\n", "_\r\n", "#t\r\n", ",1.5\r\n",
		"*2\r\n*1\r\n:1\r\n$3\r\na\nb\r\n", "%1\r\n+k\r\n~1\r\n:1\r\n", "|1\r\n+a\r\n+b\r\n+value\r\n", "=5\r\ntxt:x\r\n",
	} {
		r := bufio.NewReader(iotest.OneByteReader(strings.NewReader(text + "+next\r\n")))
		got, message, err := reply(r)
		if string(got) != text || message || err != nil {
			t.Errorf("%q became %q, message %v, %v", text, got, message, err)
		}
	}
	if _, _, err := reply(bufio.NewReader(strings.NewReader("*x\r\n"))); err == nil {
		t.Error("a count that is none is taken")
	}
}

// Clients come back until they are stopped, and then none is left.
func TestClientsComeBack(t *testing.T) {
	came := make(chan struct{}, 1000)
	to := server(t, func(net.Conn) { came <- struct{}{} }) // closes at once
	crowd := Mute(context.Background(), []string{"ws://" + to}, 3)
	for range 9 {
		<-came
	}
	if err := crowd.Stop(); err != nil {
		t.Error(err)
	}
}

// Looking for the owner of one connection holds up no other: else those who
// wait time out and come anew, and the line never gets free.
func TestProxyLooksForOwnersAside(t *testing.T) {
	to := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	var first atomic.Bool
	looking, found := make(chan struct{}), make(chan struct{})
	p, dial := through(t, to, false, func(net.Conn) string {
		if first.CompareAndSwap(false, true) {
			close(looking)
			<-found
		}
		return ""
	})
	echo := func(c net.Conn) {
		t.Helper()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	slow := dial()
	<-looking
	echo(dial())
	p.Obey(func(string) Rule { return Rule{} })
	close(found)
	echo(slow)
}
