// Command centrifuge does the playground's core job, a pixel from one client
// to all others by way of Redis, on the Centrifuge library: the strongest peer
// that can be built here, to be measured side by side with the playground by
// bench/load and bench/compare.
//
// It is given every advantage that the job allows. There is no log, no order
// across processes, no resumption, no stored picture and no name: a pixel that
// lies on the canvas is published as it came, through Redis PUB/SUB, and
// nothing is written to disk. Publications carry no client info, history and
// presence are off. What else can be tuned is a flag; the defaults are what
// gave the best figures on a machine with two cores (docs/PERFORMANCE.md).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/centrifugal/centrifuge"
)

// channel is where all pixels are published.
const channel = "pixels"

type options struct {
	addr, redis   string
	width, height int
	delay         time.Duration
	timer         bool
	frame         int
	queue         int
	offLoop       bool
	batch         int64
	batchDelay    time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:0", "`address` to listen on")
	flag.StringVar(&o.redis, "redis", "redis://127.0.0.1:6379", "`URL` of Redis")
	flag.IntVar(&o.width, "width", 50, "cells in a row")
	flag.IntVar(&o.height, "height", 50, "rows")
	flag.DurationVar(&o.delay, "write-delay", 0, "WriteDelay of connections")
	flag.BoolVar(&o.timer, "write-timer", false, "WriteWithTimer")
	flag.IntVar(&o.frame, "max-frame", -1, "MaxMessagesInFrame; -1 is no limit")
	flag.IntVar(&o.queue, "queue", 64<<20, "ClientQueueMaxSize in bytes: how far a connection may fall behind")
	flag.BoolVar(&o.offLoop, "off-loop", false, "ProcessCommandsOffReadLoop")
	flag.Int64Var(&o.batch, "batch", 0, "MaxSize of the channel's batches; 0: no batches")
	flag.DurationVar(&o.batchDelay, "batch-delay", 0, "MaxDelay of the channel's batches")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "centrifuge:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	node, err := newNode(o)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		ReadBufferSize: 512, UseWriteBufferPool: true, WriteTimeout: 15 * time.Second,
		ProcessCommandsOffReadLoop: o.offLoop,
	}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	// Who started it reads this line.
	hello := struct{ URL string }{"ws://" + listener.Addr().String() + "/connection/websocket"}
	if err := json.NewEncoder(os.Stdout).Encode(hello); err != nil {
		return err
	}
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(ctx))
	if stopped := node.Shutdown(ctx); stopped != nil && !errors.Is(stopped, context.DeadlineExceeded) {
		err = errors.Join(err, stopped)
	}
	return err
}

func newNode(o options) (*centrifuge.Node, error) {
	config := centrifuge.Config{ClientQueueMaxSize: o.queue}
	if o.batch > 0 {
		config.GetChannelBatchConfig = func(string) centrifuge.ChannelBatchConfig {
			return centrifuge.ChannelBatchConfig{MaxSize: o.batch, MaxDelay: o.batchDelay}
		}
	}
	node, err := centrifuge.New(config)
	if err != nil {
		return nil, err
	}
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: o.redis})
	if err != nil {
		return nil, err
	}
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
	if err != nil {
		return nil, err
	}
	node.SetBroker(broker)
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials: &centrifuge.Credentials{},
			WriteDelay:  o.delay, WriteWithTimer: o.timer, MaxMessagesInFrame: o.frame,
		}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(e centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			if e.Channel != channel {
				reply(centrifuge.SubscribeReply{}, centrifuge.ErrorUnknownChannel)
				return
			}
			reply(centrifuge.SubscribeReply{}, nil)
		})
		c.OnPublish(func(e centrifuge.PublishEvent, reply centrifuge.PublishCallback) {
			if e.Channel != channel || !valid(e.Data, o.width, o.height) {
				reply(centrifuge.PublishReply{}, centrifuge.ErrorBadRequest)
				return
			}
			// Published here, and not by the library, it carries no client info.
			result, err := node.Publish(channel, e.Data)
			reply(centrifuge.PublishReply{Result: &result}, err)
		})
	})
	return node, node.Run()
}

// valid checks a pixel as the playground does: its form, and that it lies on
// the canvas. Only the spelling that the load generator sends is accepted,
// which costs less than a general decoder.
func valid(b []byte, width, height int) bool {
	x, b, ok := number(b, `{"x":`)
	if !ok || x >= width {
		return false
	}
	y, b, ok := number(b, `,"y":`)
	if !ok || y >= height {
		return false
	}
	const before, after = `,"color":"#`, `"}`
	if len(b) != len(before)+6+len(after) || string(b[:len(before)]) != before || string(b[len(before)+6:]) != after {
		return false
	}
	_, err := strconv.ParseUint(string(b[len(before):len(before)+6]), 16, 32)
	return err == nil
}

// number reads a number behind a prefix and returns what follows.
func number(b []byte, prefix string) (n int, rest []byte, ok bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return 0, nil, false
	}
	i := len(prefix)
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9' && i < len(prefix)+5; i++ {
		n = 10*n + int(b[i]-'0')
	}
	return n, b[i:], i > len(prefix)
}
