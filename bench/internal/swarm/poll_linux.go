package swarm

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what the handshake of RFC 6455 asks for
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// poller waits for many sockets (epoll(7), level-triggered).
type poller struct {
	fd     int
	events []syscall.EpollEvent
	ready  []int
}

// waitTime bounds a wait in milliseconds, so that tasks are looked after.
const waitTime = 10

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("swarm: epoll: %w", err)
	}
	return &poller{fd: fd, events: make([]syscall.EpollEvent, 512)}, nil
}

// add and remove take connections in and out; events name them by index.
func (p *poller) add(c *Conn) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, c.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.index)})
}

func (p *poller) remove(c *Conn) {
	_ = syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, c.fd, nil) // it may not be in yet
}

// wait returns the indices of connections that have something to read.
func (p *poller) wait() []int {
	n, err := syscall.EpollWait(p.fd, p.events, waitTime)
	p.ready = p.ready[:0]
	if err != nil {
		return nil // interrupted: the caller comes again
	}
	for _, e := range p.events[:n] {
		p.ready = append(p.ready, int(e.Fd))
	}
	return p.ready
}

func (p *poller) close() error { return syscall.Close(p.fd) }

// read returns 0, nil when nothing is there, and io.EOF at the end.
func read(fd int, b []byte) (int, error) {
	n, err := syscall.Read(fd, b)
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// write writes what the socket takes at once.
func write(fd int, b []byte) (int, error) {
	for done := 0; ; {
		n, err := syscall.Write(fd, b[done:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return done, nil
		case err != nil:
			return done, err
		}
		if done += n; done == len(b) {
			return done, nil
		}
	}
}

func closeFD(fd int) error { return syscall.Close(fd) }

// nap sleeps, to the 0.1 ms.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(max(0, d.Nanoseconds()))
	_ = syscall.Nanosleep(&t, nil) // interrupted: the caller looks at the clock again
}

// upgrade makes a WebSocket connection and returns its socket, which does not
// block, and what came behind the server's answer.
func upgrade(ctx context.Context, address, subprotocol string) (fd int, early []byte, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return -1, nil, err
	}
	to, err := net.ResolveTCPAddr("tcp4", u.Host)
	if err != nil {
		return -1, nil, err
	}
	if !to.IP.IsLoopback() {
		return -1, nil, fmt.Errorf("swarm: %s is not on this machine: load is sent to loopback addresses only", u.Host)
	}
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("swarm: socket: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, syscall.Close(fd))
		}
	}()
	limit := syscall.NsecToTimeval((10 * time.Second).Nanoseconds())
	name := &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}
	if err := errors.Join(
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &limit),
	); err != nil {
		return fd, nil, fmt.Errorf("swarm: options of a socket: %w", err)
	}
	if err := syscall.Connect(fd, name); err != nil {
		return fd, nil, fmt.Errorf("swarm: connecting to %s: %w", u.Host, err)
	}
	early, err = handshake(ctx, fd, u, subprotocol)
	if err != nil {
		return fd, nil, err
	}
	return fd, early, syscall.SetNonblock(fd, true)
}

// handshake asks for the upgrade (RFC 6455, section 4).
func handshake(ctx context.Context, fd int, u *url.URL, subprotocol string) (early []byte, err error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	request := "GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
	if subprotocol != "" {
		request += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	if _, err := write(fd, []byte(request+"\r\n")); err != nil {
		return nil, fmt.Errorf("swarm: asking for the upgrade: %w", err)
	}
	var answer []byte
	buffer := make([]byte, 4096)
	end := -1
	for end < 0 {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		n, err := syscall.Read(fd, buffer)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return nil, fmt.Errorf("swarm: no answer to the upgrade: %w", errors.Join(err, io.ErrUnexpectedEOF))
		}
		answer = append(answer, buffer[:n]...)
		if len(answer) > 64<<10 {
			return nil, errors.New("swarm: the answer to the upgrade does not end")
		}
		end = bytes.Index(answer, []byte("\r\n\r\n"))
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer[:end+4])), nil)
	if err != nil {
		return nil, fmt.Errorf("swarm: the answer to the upgrade: %w", err)
	}
	_ = response.Body.Close()                                              // there is none
	hash := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	switch {
	case response.StatusCode != http.StatusSwitchingProtocols:
		return nil, fmt.Errorf("swarm: the server answers %q", response.Status)
	case response.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(hash[:]):
		return nil, errors.New("swarm: the server's Sec-WebSocket-Accept is wrong")
	case subprotocol != "" && !strings.EqualFold(response.Header.Get("Sec-WebSocket-Protocol"), subprotocol):
		return nil, fmt.Errorf("swarm: the server does not speak %s", subprotocol)
	}
	return answer[end+4:], nil
}
